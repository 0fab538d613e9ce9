/// How executions are chosen.
package enum Strategy: Sendable {
  /// Depth first, every one that differs in the order of steps that depend on each other, or in what a load returns, with at most so many preemptions; nil for
  /// any number.
  case exhaustive(preemptions: Int?)
  /// At random, so many.
  case random(seed: UInt64, count: Int)
  /// Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): threads have random priorities, which change at `depth` - 1 random steps.
  case priorities(seed: UInt64, count: Int, depth: Int)
  /// One that is known.
  case replay(Path)
}

/// Where a search ends before its end.
package struct Limits: Sendable {
  package var executions: Int
  package var seconds: Double
  /// Steps of one execution, after which it is taken for one that never ends.
  package var steps: Int

  package init(executions: Int = .max, seconds: Double = .infinity, steps: Int = 20_000) {
    self.executions = executions
    self.seconds = seconds
    self.steps = steps
  }
}

/// A program for the laboratory: made anew for each execution, by who is none of its threads.
package struct Program {
  package var threads: [(name: String, body: () -> Void)]
  /// Says what is wrong with the outcome, if anything is. Run when all threads have ended.
  package var check: () -> String?

  package init(threads: [(name: String, body: () -> Void)], check: @escaping () -> String? = { nil }) {
    precondition(threads.count <= Explorer.mostThreads)
    self.threads = threads
    self.check = check
  }
}

/// Why an execution is not what it must be.
package struct RaceFailure: Sendable {
  package enum Kind: String, Sendable {
    /// The program's own check.
    case check
    /// Nobody can go on.
    case deadlock
    /// It goes on and on.
    case livelock
    /// Bytes were read of a frame that had been handed to somebody else.
    case reuse
    /// The laboratory itself: an execution that does not repeat, memory that was written past it.
    case laboratory
  }

  package let kind: Kind
  package let message: String
  package let path: Path
  package let trace: [TraceEntry]
}

/// What a search has found.
package struct RaceReport: Sendable {
  package var executions = 0
  /// Whether there was nothing left to try within the bound.
  package var isComplete = false
  package var seconds = 0.0
  package var longest = 0
  package var failure: RaceFailure?

  package init() {}

  /// Another search for the same, which goes further.
  package mutating func go(on report: RaceReport) {
    executions += report.executions
    seconds += report.seconds
    longest = max(longest, report.longest)
    isComplete = report.isComplete
    failure = report.failure
  }
}
