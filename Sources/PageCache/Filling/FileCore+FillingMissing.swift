import Folios
import PageIndex
import Primitives

// What is brought for nobody who waits: ahead of need, or after a restart.
extension FileCore {
  /// Fills those of some pages that are missing, run by run, on this thread. The caller has claimed the pages, and whole folios around them, for reading, and has
  /// reserved frames as for a slow read.
  /// - Parameter brought: called for each folio, with its bytes, on this thread or the store's; before this returns.
  /// - Returns: how many fills that took.
  @discardableResult
  func fillMissing(
    _ pages: ClosedRange<UInt64>, purpose: FillPurpose, operation: CacheError.Operation,
    brought: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws(CacheError) -> Int {
    var count = 0
    var page = pages.lowerBound
    while let missing = firstMissing(from: page, through: min(pages.upperBound, lastPageOfStore)) {
      let fills = try fill(missing, execution: .caller, purpose: purpose, operation: operation) { [self] head in
        brought(frameByteCount << pool.table[head].order)
        // Counted for whoever fills; nobody wants it.
        pool.giveBackReference(head)
      }
      for fill in fills { try fill.wait() }
      count += fills.count
      // A fill that came to nothing is not tried again: it is only a favour.
      page = max(missing.lowerBound + 1, fills.last.map { $0.last + 1 } ?? 0)
    }
    return count
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
        let next = domain.read { index.next(from: page, through: last)?.page }
        return page...max(page, (next ?? last + 1) - 1)
      }
      page = present + 1
    }
    return nil
  }
}
