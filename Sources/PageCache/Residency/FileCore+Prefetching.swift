import Folios
import PageIndex
import Primitives

extension FileCore {
  /// Brings pages into the cache that nobody has asked for: those that are missing, as far as frames are free. Nothing is evicted for them.
  ///
  /// The caller has reserved the frames, as for a slow read. Waits for claims on the pages, and for the store.
  /// - Parameters:
  ///   - isProven: the pages had been read often enough to be kept before others, and are put there again. Their access bits stay clear.
  ///   - brought: called for each folio, with its bytes, on any thread; before this returns.
  /// - Throws: `.noFrames` where none are free, `.closed`, `.store`.
  func prefetch(
    _ pages: ClosedRange<UInt64>, isProven: Bool, brought: @escaping @Sendable (Int) -> Void
  ) throws(CacheError) {
    let operation = CacheError.Operation.restoreResidency
    // Whoever closes the file waits for claims: so there must be none after that.
    index.lock()
    guard unsafe !isClosing else {
      index.unlock()
      throw error(operation, nil, .closed)
    }
    let claim = claimLocked(foliosAround(pages), .reading)
    index.unlock()
    defer { letGo(claim) }
    try fillMissing(pages, purpose: .prefetch(isProven: isProven), operation: operation, brought: brought)
  }
}
