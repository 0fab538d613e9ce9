import Primitives

/// Files that share a reserve of the cache's memory: what others read and write does not evict what is within it.
///
/// A file belongs to the tenant with which it was first opened (`PageCache.OpenOptions.tenant`). A tenant may use more than its reserve, as all may; it only never has to go below it for others'
/// sake. Its own accesses may evict its own files' pages.
///
/// What one tenant has cached is told by its own handles and by its own statistics. A cache makes no secret of time: whoever can time reads of a file that he has open too can tell whether
/// its pages are cached (B8, CVE-2019-5489). Tenants that must not know of each other must not share files.
public final class Tenant: Sendable {
  public let name: String
  /// Bytes that others do not evict.
  public let reserve: Int

  let engine: Engine
  let reservedFrames: Int
  /// Frames of its files' folios in the index. Relaxed: a count and nothing else.
  let residentFrames = SharedCounter()
  let filledBytes = SharedCounter()
  let evictedFrames = SharedCounter()
  let misses = SharedCounter()

  init(name: String, reserve: Int, frames: Int, engine: Engine) {
    self.name = name
    self.reserve = reserve
    self.engine = engine
    reservedFrames = frames
  }

  deinit { engine.giveBackReserve(reservedFrames) }

  /// What a tenant has, and what was done for it.
  public struct Statistics: Sendable, Equatable {
    /// Bytes of its files that are cached, in whole frames.
    public var residentBytes: Int
    /// Bytes that stores have delivered for it.
    public var filledBytes: Int
    /// Bytes of its files that were evicted, by whomever.
    public var evictedBytes: Int
    /// Reads that found something missing.
    public var misses: Int
  }

  /// - Cost: four loads.
  public var statistics: Statistics {
    let shift = engine.pool.frameShift
    return Statistics(
      residentBytes: max(0, residentFrames.value) << shift, filledBytes: filledBytes.value,
      evictedBytes: evictedFrames.value << shift, misses: misses.value)
  }

  /// Whether a folio of so many frames may not go for others.
  func keeps(_ frames: Int) -> Bool { residentFrames.value - frames < reservedFrames }

  /// Counts a folio of so many frames as gone, if it may go.
  /// - Parameter other: for whom.
  func lose(_ frames: Int, for other: Tenant?) -> Bool {
    if residentFrames.addReturningNew(-frames) >= reservedFrames || other == self { return true }
    residentFrames.add(frames)
    return false
  }
}

extension Tenant: Equatable {
  public static func == (one: Tenant, other: Tenant) -> Bool { one === other }
}

extension PageCache {
  /// Sets some of the memory aside for files of a tenant, until the tenant is dropped and all of its files are closed.
  /// - Parameter reserve: bytes, rounded up to whole frames. All reserves together may be half of the limit.
  /// - Throws: `CacheError` with cause `.reserveTooLarge` if more than half of the memory would be set aside, or if it is negative; `.forkedChild`.
  /// - Cost: a lock; waits while the limit is being changed.
  public func tenant(named name: String, reserve: Int) throws(CacheError) -> Tenant {
    guard !engine.isInForkedChild else { throw CacheError(operation: .reserve, file: name, cause: .forkedChild) }
    return try engine.tenant(named: name, reserve: reserve)
  }
}

extension Engine {
  func tenant(named name: String, reserve: Int) throws(CacheError) -> Tenant {
    // The limit does not change meanwhile.
    limitTurn.take()
    defer { limitTurn.end() }
    let bytes = pool.frameByteCount
    let most = pool.usableFrames / 2
    let frames = reserve < 0 ? -1 : reserve / bytes + (reserve % bytes == 0 ? 0 : 1)
    let left = max(0, most - reservedFrames.value)
    guard 0...left ~= frames else {
      throw CacheError(operation: .reserve, file: name, cause: .reserveTooLarge(reserve, most: left * bytes))
    }
    reservedFrames.add(frames)
    return Tenant(name: name, reserve: reserve, frames: frames, engine: self)
  }

  func giveBackReserve(_ frames: Int) { reservedFrames.add(-frames) }
}
