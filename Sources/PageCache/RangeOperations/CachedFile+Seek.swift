import BackingStores
import Primitives

extension CachedFile {
  /// The first byte at or after an offset that is not known to be in a hole; nil if there is none. As lseek(2) with `SEEK_DATA`.
  /// - Throws: `CacheError` with cause `.negativeOffset`, `.closed`, `.forkedChild`, or `.store`.
  /// - Cost: a write-back of what is dirty from there on, a claim, which waits for whoever changes something there, and a call of the store for each hole
  ///   or run of data passed over.
  public func seekData(from offset: Int64) throws(CacheError) -> Int64? {
    try seek(from: offset, .seekData, isHole: false)
  }

  /// The first byte at or after an offset that is in a hole, or the size, as if one began there; nil for an offset at or past the end. As lseek(2) with
  /// `SEEK_HOLE`.
  /// - Throws: as `seekData(from:)`.
  /// - Cost: as `seekData(from:)`.
  public func seekHole(from offset: Int64) throws(CacheError) -> Int64? {
    try seek(from: offset, .seekHole, isHole: true)
  }

  private func seek(
    from offset: Int64, _ operation: CacheError.Operation, isHole: Bool
  ) throws(CacheError) -> Int64? {
    let file = try file(operation)
    guard offset >= 0 else { throw error(operation, nil, .negativeOffset(offset)) }
    let pages = file.pages(from: offset)
    return try FileCore.tryingAgain(unlessHeld: [(file, pages)]) { () throws(CacheError) -> Int64?? in
      // While this has a claim, the last close waits, and nothing changes.
      let claim = file.claim(pages, .reading)
      defer { file.letGo(claim) }
      guard file.index.withLock({ unsafe !file.isClosing }) else { throw error(operation, nil, .closed) }
      let watch = file.index.withLock { unsafe file.durability.watch }
      // The store is asked when it has everything.
      guard try file.writeBackClaimed(pages, holding: .reading, operation: operation, range: nil) else { return nil }
      var position = offset
      while true {
        let length = file.length
        // A hole begins where the file ends.
        let end = isHole && offset < length ? length : nil
        guard position < length else { return .some(end) }
        // The end of the file that the store does not have yet is a hole.
        let stored = file.index.withLock { unsafe file.storeState.size }
        var extent = StoreExtent(isHole: true, end: .max)
        if position < stored {
          do throws(StoreError) { extent = try file.store.extent(at: position) } catch {
            throw self.error(operation, nil, .store(error))
          }
        }
        // A flush that failed meanwhile may have lost what the store was asked about.
        if let loss = file.index.withLock({ unsafe file.durability.loss(since: watch) }) {
          throw error(operation, nil, .store(loss))
        }
        if extent.isHole == isHole { return position }
        guard extent.end > position else { return .some(end) }
        position = position < stored ? min(extent.end, stored) : length
      }
    }
  }
}
