import Primitives

/// The background of reclaim: one thread, which sleeps until frames are getting few, and then evicts ahead of need.
///
/// It starts when it is first woken. Without it, for lack of threads, whoever needs a frame evicts.
final class Reclaimer: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var wanting: Engine?
  nonisolated(unsafe) private var hasThread = false
  nonisolated(unsafe) private var isStopped = false
  /// Whether it has been woken and has not slept since. Relaxed: whoever misses a change wakes it once too often, or again at the next frame.
  private let isAwake = InlineWord(0)

  /// How long it rests when nothing could be evicted.
  private static let restNanoseconds = 10_000_000

  /// Has it look at an engine.
  /// - Cost: a load, if it is awake; else a lock.
  func wake(_ engine: Engine) {
    guard isAwake.loadRelaxed() == 0, isAwake.exchangeRelaxed(1) == 0 else { return }
    monitor.withLock {
      guard unsafe !isStopped else { return }
      unsafe wanting = engine
      if unsafe !hasThread {
        unsafe hasThread = true
        guard let thread = JoinableThread(name: "pagecache-rc", { self.run() }) else {
          unsafe hasThread = false
          unsafe wanting = nil
          // Another time there may be one.
          isAwake.storeRelaxed(0)
          return
        }
        thread.detach()
      }
      monitor.broadcast()
    }
  }

  /// Ends the thread.
  func stop() {
    monitor.withLock {
      unsafe isStopped = true
      monitor.broadcast()
    }
  }

  private func run() {
    while true {
      let engine: Engine? = monitor.withLock {
        while unsafe wanting == nil, unsafe !isStopped { monitor.wait() }
        // The engine is held for one round only: it may be the last to be held.
        defer { unsafe wanting = nil }
        return unsafe isStopped ? nil : wanting
      }
      guard let engine else { return }
      let hasDone = engine.reclaimAhead()
      if !hasDone { monitor.withLock { if unsafe !isStopped { monitor.wait(nanoseconds: Reclaimer.restNanoseconds) } } }
      isAwake.storeRelaxed(0)
    }
  }
}

extension Engine {
  /// Free frames below which the background evicts, and up to which it does: one in 128 of the pool and twice that, and 1,024 and twice that at most.
  private var watermarks: (low: Int, high: Int) {
    let low = min(pool.usableFrames / 128, 1024)
    return (low, 2 * low)
  }

  func wakeReclaimerIfLow() {
    if pool.freeFramesRoughly < watermarks.low { reclaimer.wake(self) }
  }

  /// Evicts until enough frames are free, and has files cleaned of which nothing else can go.
  /// - Returns: whether anything has become free.
  fileprivate func reclaimAhead() -> Bool {
    var hasDone = false
    // A large block was wanted: enough frames for it, and as many to move others to.
    let order = Int(wantedOrder.exchangeRelaxed(0))
    let wanted = max(watermarks.high, order > 0 ? 2 << order : 0)
    defer { if order > 0 { _ = compact(order: order) } }
    while true {
      let missing = wanted - pool.freeFrames - pool.retiredFrames
      var evicted = 0
      if missing > 0 { evicted = evict(frames: min(missing, 256), sparingAccessed: true) }
      if pool.reclaimRetired(waiting: true) + evicted > 0 { hasDone = true }
      if missing <= 0 { return hasDone }
      if evicted == 0 {
        for file in openFiles where file.index.withLock({ unsafe file.durability.dirtyPages > 0 }) {
          writeback.start(file)
        }
        return hasDone
      }
    }
  }
}
