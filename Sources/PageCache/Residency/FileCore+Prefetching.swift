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
    var page = pages.lowerBound
    while let missing = firstMissing(from: page, through: min(pages.upperBound, lastPageOfStore)) {
      let fills = try fill(
        missing, execution: .caller, purpose: .prefetch(isProven: isProven), operation: operation
      ) { [self] head in
        brought(frameByteCount << engine.pool.table[head].order)
        // Counted for whoever fills; nobody wants it.
        engine.pool.giveBackReference(head)
      }
      for fill in fills { try fill.wait() }
      // A fill that came to nothing is not tried again: it is only a favour.
      page = max(missing.lowerBound + 1, fills.last.map { $0.last + 1 } ?? 0)
    }
  }

  /// The last page that can be filled; 0, of which nothing is filled, if there is none.
  private var lastPageOfStore: UInt64 {
    let count = index.withLock { unsafe pageCount(min(length, max(0, storeState.size))) }
    return count == 0 ? 0 : count - 1
  }

  /// The first run of pages of which the index has none.
  ///
  /// No further than that: what is there is not held, and a dirty page that is written back and goes while the store is asked for its holes would be taken
  /// for a part of one (`learnHole`).
  private func firstMissing(from first: UInt64, through last: UInt64) -> ClosedRange<UInt64>? {
    var page = first
    while page <= last {
      guard let present = lastPresent(from: page, through: last) else {
        let next = engine.domain.read { index.next(from: page, through: last)?.page }
        return page...max(page, (next ?? last + 1) - 1)
      }
      page = present + 1
    }
    return nil
  }
}
