#if RaceLaboratory
  import FoundationEssentials
  import Glibc
  import RaceLaboratory

  /// Explores generated programs in a few processes, many in each: to start one takes as long as a short search.
  final class BatchRunner {
    private let pool: ProcessPool
    private let executions: Int
    private let seconds: Double
    private var count = 0
    /// Programs that are wrong, shrunk.
    private var known: [String] = []

    init(parallel: Int, executions: Int, seconds: Double) throws {
      pool = try ProcessPool(parallel: parallel)
      self.executions = executions
      self.seconds = seconds
    }

    private static let programsOfOneProcess = 32

    private var knownFile: String { "\(pool.directory)/known" }

    private struct Batch {
      let programs: [String]
      let file: String
    }

    /// - Parameters:
    ///   - safeguard: taken away, if any.
    ///   - next: the next program, or nil if there is none left.
    ///   - done: called with what came of each, in no order.
    func run(
      without safeguard: String? = nil, shrinks: Bool = false, next: () -> String?, done: (BatchResult) -> Void
    ) throws {
      var left: [[String]] = []
      try write([], to: knownFile)
      try pool.run(next: { () throws -> (job: Batch, arguments: [String])? in
        var programs = left.popLast() ?? []
        if programs.isEmpty {
          while programs.count < Self.programsOfOneProcess, let program = next() { programs.append(program) }
        }
        guard !programs.isEmpty else { return nil }
        count += 1
        let batch = Batch(programs: programs, file: "\(pool.directory)/batch-\(count)")
        try write(programs, to: batch.file)
        var arguments = ["batch", batch.file, "--executions", "\(executions)", "--seconds", "\(seconds)"]
        if let safeguard { arguments += ["--without", safeguard] }
        if shrinks { arguments += ["--shrinks", "--known", knownFile] }
        return (batch, arguments)
      }) { batch, ended in
        unsafe unlink(batch.file)
        var results = ended.output.split(separator: UInt8(ascii: "\n")).compactMap {
          try? JSONDecoder().decode(BatchResult.self, from: Data($0))
        }
        if let failure = ended.failure, results.count < batch.programs.count {
          results.append(BatchResult(program: batch.programs[results.count], result: failure))
        }
        // A process that does nothing must not be started for ever.
        guard !results.isEmpty else { throw ProcessPool.RunningError("a batch has come to nothing") }
        let rest = Array(batch.programs.dropFirst(results.count))
        if !rest.isEmpty { left.append(rest) }
        for result in results {
          if let shrunk = result.shrunk, !known.contains(shrunk) {
            known.append(shrunk)
            try write(known, to: knownFile)
          }
          done(result)
        }
      }
    }

    private func write(_ lines: [String], to file: String) throws {
      // By another name first: a process may be reading it.
      let new = file + ".new"
      try lines.joined(separator: "\n").write(toFile: new, atomically: false, encoding: .utf8)
      unsafe rename(new, file)
    }

    func cleanUp() {
      unsafe unlink(knownFile)
      pool.cleanUp()
    }
  }
#endif
