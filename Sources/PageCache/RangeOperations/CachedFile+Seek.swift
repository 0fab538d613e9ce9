import BackingStores
import Primitives

extension CachedFile {
  /// The first byte at or after an offset that is not known to be in a hole; nil if there is none. As lseek(2) with `SEEK_DATA`.
  /// - Throws: `CacheError` with cause `.negativeOffset`, `.closed`, `.forkedChild`, or `.store`.
  /// - Cost: a write-back of what is dirty from there on, a claim, which waits for whoever changes something there, and a call of the store for each hole
  ///   or run of data passed over.
  public func seekData(from offset: Int64) throws(CacheError) -> Int64? {
    try seek(from: offset, .seekData) { $0.isHole ? nil : true }
  }

  /// The first byte at or after an offset that is in a hole, or the size, as if one began there; nil for an offset at or past the end. As lseek(2) with
  /// `SEEK_HOLE`.
  /// - Throws: as `seekData(from:)`.
  /// - Cost: as `seekData(from:)`.
  public func seekHole(from offset: Int64) throws(CacheError) -> Int64? {
    let found = try seek(from: offset, .seekHole) { $0.isHole ? true : nil }
    if let found { return found }
    let size = try file(.seekHole).size
    return offset < size ? size : nil
  }

  private func seek(
    from offset: Int64, _ operation: CacheError.Operation, _ isWanted: (StoreExtent) -> Bool?
  ) throws(CacheError) -> Int64? {
    let file = try file(operation)
    guard offset >= 0 else { throw error(operation, nil, .negativeOffset(offset)) }
    try file.settleHoldBacks()
    do throws(StoreError) {
      // The store is asked when it has everything.
      if file.index.withLock({ unsafe file.debt.pages > 0 }) {
        try file.writeBack(file.pages(from: offset))
        file.awaitWriteBacks()
      }
      // While this has a claim, the last close waits.
      let claim = file.claim(file.pages(from: offset), .reading)
      defer { file.letGo(claim) }
      guard file.index.withLock({ unsafe !file.isClosing }) else {
        throw StoreError(operation: .extent, store: name, cause: .system(.badFileDescriptor))
      }
      var position = offset
      while true {
        let length = file.length
        guard position < length else { return nil }
        // The end of the file that the store does not have yet is a hole.
        let stored = file.index.withLock { unsafe file.storeState.size }
        let extent = position < stored ? try file.store.extent(at: position) : StoreExtent(isHole: true, end: .max)
        if isWanted(extent) != nil { return position }
        guard extent.end > position else { return nil }
        position = min(extent.end, max(stored, position + 1))
      }
    } catch {
      throw self.error(operation, nil, .store(error))
    }
  }
}
