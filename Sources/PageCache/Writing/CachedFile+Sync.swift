import BackingStores
import Primitives

extension CachedFile {
  /// Makes durable all that was done to the file before this call, by whatever handle (P7).
  ///
  /// Writes back what is dirty, waits for what is on its way, and flushes the store. If somebody else's flush covers this call, waits for that.
  ///
  /// When it fails, or the background has failed since this handle was last told, it throws; what was not made durable stays in the cache, and the next
  /// call tries again: none succeeds before the store really has it.
  /// - Parameter dataOnly: what is not needed to read the bytes back, such as times, may stay behind: fdatasync(2) instead of fsync(2).
  /// - Throws: `CacheError` with cause `.writeBackFailed`, which tells this handle once of each attempt that failed, and of others that have changed the
  ///   file (P10); `.store` if another call has told this handle of the failure already; `.orderingCycle`, `.closed`, `.forkedChild`.
  /// - Cost: a call of the store for each run of up to 1 MiB of dirty neighbours, and a flush. Nothing but a lock, with `dataOnly`, if all is durable.
  public func sync(dataOnly: Bool = false) throws(CacheError) {
    let file = try file(.sync)
    do throws(CacheError) {
      try file.makeDurable(dataOnly: dataOnly)
    } catch {
      try report(file, .sync)
      throw error
    }
    try report(file, .sync)
    dropLeft()
  }

  /// Makes the bytes of a range durable, as they are now or later. What else is dirty may stay so, unless bytes of the range are held back: then all of the
  /// file is made durable.
  ///
  /// The flush of a local file covers more than the range: all that its store has been given.
  /// - Throws: as `sync`, and `.badRange`.
  /// - Cost: a call of the store for each run of up to 1 MiB of dirty neighbours in the range, and a flush.
  public func flush(_ range: Range<Int64>) throws(CacheError) {
    let file = try file(.flush, range)
    guard range.lowerBound >= 0 else { throw error(.flush, range, .badRange(range)) }
    guard !range.isEmpty else { return }
    do throws(CacheError) {
      try file.makeDurable(
        pages: file.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count)), dataOnly: true,
        operation: .flush)
    } catch {
      try report(file, .flush)
      throw error
    }
    try report(file, .flush)
    dropLeft()
  }

  /// All that has been done to the file by now: something that other bytes can wait for. See `write(toAbsoluteOffset:_:notBefore:)`.
  /// - Throws: `CacheError` with cause `.closed` or `.forkedChild`.
  /// - Cost: a lock.
  public func durabilityPoint() throws(CacheError) -> DurabilityPoint {
    let file = try file(.holdBack)
    // T1, the last close, has set `isClosing`, and flushes for the points that there are then. A point that T2 made
    // after that would never be reached.
    let change = file.index.withLock { unsafe file.isClosing ? nil : file.durability.makePoint() }
    guard let change else { throw error(.holdBack, nil, .closed) }
    return DurabilityPoint(file: file, change: change)
  }

  /// Tells of the failures since this handle was last told, once.
  func report(_ file: FileCore, _ operation: CacheError.Operation) throws(CacheError) {
    let (failures, before) = file.index.withLock { () -> ([StoreError], Int) in
      defer { unsafe failureCursor = file.durability.failures.count }
      return unsafe file.durability.failures.since(failureCursor)
    }
    guard !failures.isEmpty || before > 0 else { return }
    throw error(operation, nil, .writeBackFailed(failures, before: before))
  }
}
