#if RaceLaboratory
  import Glibc
  import Primitives
  import RaceLaboratory

  /// Every litmus test, as it is and without each of its safeguards: one row for each.
  final class LitmusTable {
    private let tests: [Litmus]
    private let seconds: Double
    private let isShort: Bool
    private var results: [Job: JobResult] = [:]
    private var printed = 0
    private var complaints: [String] = []

    init(_ tests: [Litmus], seconds: Double, isShort: Bool) {
      self.tests = tests
      self.seconds = seconds
      self.isShort = isShort
    }

    private func bound(_ litmus: Litmus) -> Int? { isShort ? min(litmus.bound ?? 3, 3) - 1 : litmus.bound }

    private func whole(_ litmus: Litmus) -> Job { Job(litmus: litmus.name, bound: bound(litmus), seconds: seconds) }

    private func mutants(_ litmus: Litmus) -> [Job] {
      // What is caught ends the search: the time is for machines that are slow.
      let time = isShort ? 6 * seconds : seconds
      return litmus.mutants.filter { !isShort || !litmus.slowMutants.contains($0) }.map {
        Job(litmus: litmus.name, without: $0.rawValue, bound: litmus.bound, seconds: time)
      }
    }

    /// - Returns: whether everything is as it must be.
    func run(_ runner: JobRunner) throws -> Bool {
      show(
        columns(
          [
            "row", "threads", "executions", "bound", "seconds", "as it is",
            "without a safeguard: caught after executions",
          ]))
      try runner.run(tests.flatMap { [whole($0)] + mutants($0) }) { job, result in
        results[job] = result
        while printed < tests.count, let row = row(tests[printed]) {
          show(row)
          printed += 1
        }
      }
      let all = tests.map { whole($0) }.compactMap { results[$0] }
      let executions = all.reduce(0) { $0 + $1.executions }
      let time = all.reduce(0.0) { $0 + $1.seconds }
      let mutantCount = tests.reduce(0) { $0 + mutants($1).count }
      let caught = tests.flatMap { mutants($0) }.count { results[$0]?.isCaught == true }
      show(
        "\(tests.count) tests, \(executions) executions, \(Int(Double(executions) / max(time, 1e-9))) a second; "
          + "\(caught) of \(mutantCount) mutants caught")
      complainOfUntested()
      for complaint in complaints { show(complaint) }
      return complaints.isEmpty
    }

    /// A safeguard without a test that misses it is no more than an opinion.
    private func complainOfUntested() {
      guard tests.count == Litmus.all.count else { return }
      for safeguard in Safeguard.allCases where !tests.contains(where: { $0.mutants.contains(safeguard) }) {
        complaints.append("no test is about the safeguard \(safeguard.rawValue)")
      }
    }

    /// Nil if there is not all of it yet.
    private func row(_ litmus: Litmus) -> String? {
      guard let result = results[whole(litmus)] else { return nil }
      var parts: [String] = []
      for job in mutants(litmus) {
        guard let result = results[job], let name = job.without else { return nil }
        if result.isCaught {
          parts.append("\(name) \(result.executions)")
        } else {
          parts.append("\(name) NOT CAUGHT in \(result.executions)")
          complaints.append(
            "\(litmus.name) without \(name): \(result.message ?? (result.isComplete ? "nothing is wrong" : "nothing found in time"))"
          )
        }
      }
      let state: String
      if litmus.isBroken {
        state = result.isCaught ? "found" : "NOT FOUND"
        if !result.isCaught { complaints.append("\(litmus.name): a planted bug was not found") }
      } else if let message = result.message {
        state = "WRONG"
        complaints.append("\(litmus.name): \(message) [\(result.path ?? "")]")
      } else if result.isComplete {
        state = "clean"
      } else {
        state = isShort ? "clean so far" : "NOT DONE"
        if !isShort { complaints.append("\(litmus.name): not all executions in \(seconds) seconds") }
      }
      return columns([
        litmus.name, "\(litmus.threads)", "\(result.executions)", bound(litmus).map { "\($0)" } ?? "none",
        tenths(result.seconds), state, parts.joined(separator: ", "),
      ])
    }
  }

  private let widths = [18, 8, 11, 6, 8, 13]

  /// One line of a table.
  func columns(_ texts: [String]) -> String {
    texts.enumerated().map { number, text in
      guard number < widths.count, text.count < widths[number] else { return text }
      return text + String(repeating: " ", count: widths[number] - text.count)
    }.joined(separator: " ")
  }

  /// Prints a line now: whoever reads the table may see it grow.
  func show(_ line: String) {
    print(line)
    fflush(nil)
  }

  func tenths(_ seconds: Double) -> String {
    let tenths = Int((seconds * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
#endif
