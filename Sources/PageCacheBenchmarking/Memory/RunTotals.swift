import Primitives

/// What the threads of one run have done, summed up as each ends.
@safe
final class RunTotals: Sendable {
  private let begun = InlineWord(0)
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var (reads, failed, wrong) = (0, 0, 0)
  nonisolated(unsafe) private var ended: UInt64 = 0

  /// By one thread, before the others go on.
  func start() { begun.storeRelaxed(monotonicNanoseconds()) }

  // Relaxed: the barrier has ordered it.
  var started: UInt64 { begun.loadRelaxed() }

  func add(reads: Int, failed: Int, wrong: Int) {
    let now = monotonicNanoseconds()
    monitor.withLock {
      unsafe self.reads += reads
      unsafe self.failed += failed
      unsafe self.wrong += wrong
      unsafe ended = max(ended, now)
    }
  }

  /// What was counted here. The rest is for others to fill in.
  var run: MemoryRun {
    monitor.withLock {
      unsafe MemoryRun(
        reads: reads, nanoseconds: Int(ended - started), processorNanoseconds: 0, misses: nil, deviceBytes: 0,
        failed: failed, wrong: wrong, memoryBytes: 0)
    }
  }
}
