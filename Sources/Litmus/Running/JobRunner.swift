#if RaceLaboratory
  import FoundationEssentials
  import RaceLaboratory

  /// Runs searches, each in a process of its own.
  struct JobRunner {
    private let pool: ProcessPool

    init(parallel: Int) throws { pool = try ProcessPool(parallel: parallel) }

    /// Runs jobs, as many at a time as there may be.
    /// - Parameters:
    ///   - next: the next job, or nil if there is none now: asked again when one has ended.
    ///   - done: called with each result, here.
    func run(next: () -> Job?, done: (Job, JobResult) -> Void) throws {
      try pool.run(next: { next().map { ($0, ["explore"] + $0.arguments) } }) { job, ended in
        done(job, Self.result(ended))
      }
    }

    func run(_ jobs: [Job], done: (Job, JobResult) -> Void) throws {
      var left = Array(jobs.reversed())
      try run(next: { left.popLast() }, done: done)
    }

    private static func result(_ ended: ProcessPool.Ended) -> JobResult {
      if let failure = ended.failure { return failure }
      guard let result = try? JSONDecoder().decode(JobResult.self, from: ended.output) else {
        return JobResult(kind: "laboratory", message: "the search has written no result")
      }
      return result
    }

    func cleanUp() { pool.cleanUp() }
  }
#endif
