#if RaceLaboratory
  import ArgumentParser
  import FoundationEssentials
  import Glibc
  import Primitives
  import RaceLaboratory

  /// What came of one generated program.
  struct BatchResult: Codable {
    let program: String
    var result: JobResult
    /// The smallest program that is wrong as well, with what is wrong with it.
    var shrunk: String?
    /// The last execution of that.
    var trace: [String] = []
  }

  /// Explores generated programs one after the other, up to the first that is wrong: that leaves stacks and a cache
  /// behind, which no other program of the process should meet.
  struct BatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "batch", abstract: "Explores generated programs, for the command run.", shouldDisplay: false)

    @Argument(help: "A file with a program's name in each line.") var file: String
    @Option(help: "Executions of one program, at most.") var executions: Int
    @Option(help: "Seconds for one program, at most.") var seconds: Double
    @Option(help: "A safeguard to take away.") var without: String?
    @Option(help: "A file with programs that are known to be wrong: what contains one of them is not shrunk.")
    var known: String?
    @Flag(help: "Whether programs that are wrong are made smaller.") var shrinks = false

    mutating func run() throws {
      unsafe takenAway = without.flatMap { Safeguard(rawValue: $0) }
      Explorer.shared.copiesBriefly = true
      for name in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") {
        guard let program = GeneratedProgram(String(name)) else {
          throw ValidationError("this is no generated program: \(name)")
        }
        // A search that does not come back is no result.
        alarm(UInt32(seconds * 4 + 60))
        let report = explore(program)
        var result = BatchResult(program: program.name, result: JobResult(report))
        if let failure = report.failure, failure.kind != .laboratory, shrinks { shrink(program, failure, &result) }
        print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
        fflush(nil)
        if report.failure != nil { return }
      }
    }

    private func explore(_ program: GeneratedProgram) -> RaceReport {
      GeneratedSearch.explore(program.litmus(isTold: false).make, executions: executions, seconds: seconds)
    }

    private func shrink(_ program: GeneratedProgram, _ failure: RaceFailure, _ result: inout BatchResult) {
      let known = known.flatMap { try? String(contentsOfFile: $0, encoding: .utf8) } ?? ""
      for other in known.split(separator: "\n").compactMap({ GeneratedProgram(String($0)) })
      where program.contains(other) {
        result.shrunk = other.name
        return
      }
      let (smallest, last) = program.shrunk(failure) { candidate in
        alarm(UInt32(seconds * 4 + 60))
        let failure = explore(candidate).failure
        return failure?.kind == .laboratory ? nil : failure
      }
      result.shrunk = smallest.name
      result.result.kind = last.kind.rawValue
      result.result.message = last.message
      result.result.path = "\(last.path)"
      let told = Explorer.shared.explore(.replay(last.path), smallest.litmus(isTold: true).make)
      var text = TraceText(names: Explorer.shared.threadNames)
      result.trace = text.text(told.failure?.trace ?? last.trace)
    }
  }
#endif
