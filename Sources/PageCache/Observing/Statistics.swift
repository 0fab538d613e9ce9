public import Folios
import PageIndex
import Primitives

extension PageCache {
  /// What a cache has done, and what it holds. Counts are sums over threads: each is exact, together they are of about one moment.
  public struct Statistics: Sendable, Equatable {
    /// Reads (atomic pieces of longer ones) served without the slow path.
    public var hits: UInt64
    /// Reads that took the slow path: something was missing, or kept changing.
    public var slowReads: UInt64
    /// Slow reads by which at least one page was found missing. One read can count more than once, if it had to look again.
    public var misses: UInt64
    /// Copies done again because the file changed under them.
    public var retries: UInt64
    /// Fills: reads of the store, and attempts for which there were no frames.
    public var fills: UInt64
    /// Fills by somebody else that slow reads waited for.
    public var joinedFills: UInt64
    /// Fills that the store refused.
    public var failedFills: UInt64
    /// Of the fills, those of what nobody waited for yet.
    public var readAheads: UInt64
    /// Bytes that the store delivered.
    public var filledBytes: UInt64
    /// Folios evicted, and their frames.
    public var evictions: UInt64
    public var evictedFrames: UInt64
    /// Folios that came back a short while after they had been evicted.
    public var refaults: UInt64
    /// Folios that were moved to other frames, so that larger blocks became free.
    public var moves: UInt64
    /// Loans without a copy, and with one.
    public var borrows: UInt64
    public var borrowCopies: UInt64

    /// Writes (atomic pieces of longer ones) that could not be made in place, under the file's lock, and their bytes. Those in place are not counted.
    public var writes: UInt64
    public var writtenBytes: UInt64
    /// Bytes given to stores by write-back.
    public var writtenBackBytes: UInt64
    /// Flushes of stores that succeeded, and that failed.
    public var flushes: UInt64
    public var failedFlushes: UInt64
    /// Frames that are not evicted because their stores do not safely have what is in them, those that writes under way have set aside included; and the most
    /// that there may be.
    public var owedFrames: Int
    public var mostOwedFrames: Int

    /// Frames in the pool, and what they are used for. The rest is held by fills under way; what moves while it is counted may count twice, or not at all.
    public var frames: Int
    public var freeFrames: Int
    public var nodeFrames: Int
    /// Frames in the index, by the order of their folios.
    public var cachedFramesByOrder: [Int]
    /// Frames that wait for a grace period, now and at most so far.
    public var deferredFrames: Int
    public var peakDeferredFrames: Int
    /// Grace periods begun.
    public var gracePeriods: UInt64
    /// Bytes in a frame.
    public var frameByteCount: Int
    /// Open files.
    public var openFiles: Int

    /// Hits and slow reads by size: element 0 is reads of one or two bytes, element n reads of 2^n+1 ... 2^(n+1) bytes (L40).
    public var hitsBySize: [UInt64]
    public var slowReadsBySize: [UInt64]

    /// Whether the kernel backs the arena with huge pages.
    public var hugePages: HugePageStatus
  }

  /// Sums up what all threads have counted.
  /// - Throws: `CacheError` with cause `.forkedChild`.
  /// - Cost: a look at each thread's counters and at each frame's metadata, and a read of `/proc/self/smaps`: milliseconds. Hits pay nothing
  ///   for it.
  public func statistics() throws(CacheError) -> Statistics {
    guard !engine.isInForkedChild else { throw CacheError(operation: .statistics, file: "", cause: .forkedChild) }
    let pool = engine.pool
    func sum(_ counter: Int) -> UInt64 { engine.domain.sum(counter: counter) }
    let hits = Counter.bySize(Counter.hitSizes, in: engine.domain)
    let slow = Counter.bySize(Counter.slowSizes, in: engine.domain)
    var cached = Array(repeating: 0, count: Entry.maximumOrder + 1)
    for frame in 0..<UInt64(pool.frontier) {
      let state = pool.table[frame].state.loadRelaxed()
      let order = Int(state >> 8 & 0xFF)
      if state & 0xFF == FolioMetadata.Kind.cached.rawValue, order < cached.count { cached[order] += 1 << order }
    }
    return Statistics(
      hits: hits.reduce(0, &+), slowReads: slow.reduce(0, &+), misses: sum(Counter.misses),
      retries: sum(Counter.retries), fills: sum(Counter.fills), joinedFills: sum(Counter.joinedFills),
      failedFills: sum(Counter.failedFills), readAheads: sum(Counter.readAheads), filledBytes: sum(Counter.filledBytes),
      evictions: sum(Counter.evictions),
      evictedFrames: sum(Counter.evictedFrames), refaults: sum(Counter.refaults), moves: sum(Counter.moves),
      borrows: sum(Counter.borrows),
      borrowCopies: sum(Counter.borrowCopies),
      writes: sum(Counter.writes), writtenBytes: sum(Counter.writtenBytes),
      writtenBackBytes: sum(Counter.writtenBackBytes), flushes: sum(Counter.flushes),
      failedFlushes: sum(Counter.failedFlushes), owedFrames: engine.dirtyBudget.used,
      mostOwedFrames: engine.dirtyBudget.capacity, frames: pool.usableFrames, freeFrames: pool.freeFrames,
      nodeFrames: pool.nodeFrames, cachedFramesByOrder: cached,
      deferredFrames: pool.retiredFrames, peakDeferredFrames: pool.peakRetiredFrames,
      gracePeriods: engine.domain.gracePeriodCount, frameByteCount: pool.frameByteCount,
      openFiles: engine.openFileCount, hitsBySize: hits, slowReadsBySize: slow,
      hugePages: pool.arena.hugePageStatus())
  }

  /// Frames of folios that reclaim knows of.
  package var residentFrames: Int {
    let frames = engine.pool.queues.frames
    return frames[0] + frames[1]
  }
  /// Whether anything has had to go yet.
  package var hasEvicted: Bool { engine.hasEvicted.loadRelaxed() != 0 }

  /// Bytes of frames that are in memory now. For tests.
  package var residentBytes: Int { engine.pool.arena.residentBytes }

  /// Frames that nobody has. For tests.
  package var freeFrames: Int { engine.pool.freeFrames }

  /// Frames in chunks of index nodes, of which a few stay when all nodes have gone. For tests.
  package var nodeFramesLeft: Int { engine.pool.nodeFrames }

  /// Frames that wait for a grace period. For tests.
  package var retiredFrames: Int { engine.pool.retiredFrames }

  /// Free blocks by order. For tests.
  package var freeBlocks: [Int] { engine.pool.freeBlocks }

  /// Large folios for which there was no block, although as many frames were free. For tests.
  package var fragmentedAllocations: UInt64 { engine.domain.sum(counter: Counter.fragmentedAllocations) }

  /// What should be nothing when no file is open and nothing waits for a grace period. For tests.
  package var leftovers: [(name: String, count: Int)] {
    [
      ("index nodes", engine.pool.usedNodes), ("frames reserved by calls", engine.budget.used),
      ("frames owed to stores", engine.dirtyBudget.used), ("fills at stores", engine.fillsAtStores.value),
    ]
  }

  /// Waits for a grace period and frees what waits for it. For tests: the cache does so by itself when it needs frames.
  package func reclaimDeferred() { engine.pool.reclaimRetired(waiting: true) }
}
