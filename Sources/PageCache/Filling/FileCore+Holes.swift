import BackingStores
import PageIndex
import Primitives

// Where the store has holes: asked for when a range is first missed (L20), kept as entries that cost no frame (P8).
//
// What the store said may be old by the time it is stored (B7). Within the missing pages, which the asker holds, nobody changes the store. Beyond
// them, what it said is kept only if nobody who could have changed it, or written back what only the cache knew, has had a claim on the file since before
// the question.
extension FileCore {
  /// Whether a missing page may lie in a hole that the index does not know, so that `learnHole` has to find out. Expects the index lock held.
  func mayLieInHole(_ page: UInt64) -> Bool {
    let start = Int64(page << frameShift)
    return unsafe start < length && (start >= storeState.size || storeState.mayHaveHoles)
  }

  /// Learns whether missing pages lie in a hole, and stores entries for it.
  /// - Parameter missing: pages that the caller has claimed, and of which he holds what is there: what is not, nobody else brings.
  /// - Returns: the pages to fill from the store, from the first missing one on; nil if that is now known to be in a hole.
  func learnHole(
    _ missing: ClosedRange<UInt64>, purpose: FillPurpose = .demand
  ) throws(CacheError) -> ClosedRange<UInt64>? {
    let first = missing.lowerBound
    let (before, isQuiet, state) = index.withLock { unsafe (changesBegun, !isBeingChanged, storeState) }
    let length = self.length
    let start = Int64(first << frameShift)
    guard start < length else { return missing }
    let end: Int64
    if start >= state.size {
      // The store has not come so far.
      end = .max
    } else {
      guard state.mayHaveHoles else { return missing }
      do throws(StoreError) {
        let extent = try store.extent(at: start)
        guard extent.isHole else {
          return first...max(first, min(missing.upperBound, UInt64(max(1, extent.end) - 1) >> frameShift))
        }
        end = extent.end
      } catch {
        // Whoever does not know where its holes are has none.
        if case .unsupported = error.cause { return missing }
        throw self.error(.read, byteRange(from: first, through: missing.upperBound), .store(error))
      }
    }
    // Whole pages; the last one of the file is whole, because what lies past the end is zero.
    let endPage = end >= length ? pageCount(length) : UInt64(max(0, end)) >> frameShift
    guard endPage > first else { return first...first }
    // The hole may begin before the page that was missed. Ask from where the unknown begins: one question more, once for a hole.
    var startPage = first
    if isQuiet || !keeps(.quietHoles), let unknown = startOfUnknown(before: first), unknown < first {
      if Int64(unknown << frameShift) >= state.size {
        startPage = unknown
      } else if case .some(let extent) = try? store.extent(at: Int64(unknown << frameShift)), extent.isHole,
        extent.end >= start
      {
        startPage = unknown
      }
    }
    let isStored = storeHole(
      wide: startPage...endPage - 1, narrow: first...min(missing.upperBound, endPage - 1), isQuiet: isQuiet,
      before: before, length: length, mayEvict: purpose.mayEvict)
    guard let isStored else {
      throw noFrames(.read, byteRange(from: first, through: missing.upperBound))
    }
    return isStored ? nil : missing
  }

  /// First page of the run of pages before a page of which the index knows nothing.
  private func startOfUnknown(before page: UInt64) -> UInt64? {
    guard page > 0 else { return nil }
    return domain.read {
      // In steps that double: a lone folio far back costs a few looks.
      var reach: UInt64 = 1
      while true {
        let from = page > reach ? page - reach : 0
        if let found = lastEntry(from: from, through: page - 1) { return found + 1 }
        if from == 0 { return 0 }
        reach <<= 2
      }
    }
  }

  /// Last page in a range that has an entry; nil if none has, or if there are too many to look at.
  private func lastEntry(from first: UInt64, through last: UInt64) -> UInt64? {
    var known: UInt64?
    var page = first
    for _ in 0..<64 {
      guard page <= last, let found = index.next(from: page, through: last) else { return known }
      known = min(found.lastPage, last)
      page = found.lastPage + 1
    }
    return last
  }

  /// - Returns: whether it is known now; nil if there are no nodes.
  private func storeHole(
    wide: ClosedRange<UInt64>, narrow: ClosedRange<UInt64>, isQuiet: Bool, before: UInt64, length: Int64,
    mayEvict: Bool
  ) -> Bool? {
    var reserve = NodeReserve(for: index)
    while true {
      let needed = index.boundaryNodesNeeded(from: wide.lowerBound, through: wide.upperBound)
      guard engine.fill(&reserve, to: needed, mayEvict: mayEvict) else { return nil }
      let stored: Bool? = index.withLock {
        if unsafe isClosing { return false }
        // The tree may have grown while nodes were looked for.
        guard reserve.count >= index.boundaryNodesNeeded(from: wide.lowerBound, through: wide.upperBound) else {
          return nil
        }
        let isStill = unsafe isQuiet && before == changesBegun && self.length == length || !keeps(.quietHoles)
        let range = isStill ? wide : narrow
        return storeHoleInGap(range, at: narrow.lowerBound, reserve: &reserve)
      }
      if let stored { return stored }
    }
  }

  /// Stores a hole in the gap of the index around a page, as far as the range goes. Expects the index lock held.
  private func storeHoleInGap(_ range: ClosedRange<UInt64>, at page: UInt64, reserve: inout NodeReserve) -> Bool {
    let there = index.entry(at: page)
    guard there.isEmpty || there.isValue else { return there.isHole }
    var last = range.upperBound
    if let next = index.next(from: page, through: last) { last = next.page - 1 }
    var first = range.lowerBound
    if first < page, let before = lastEntry(from: first, through: page - 1) { first = before + 1 }
    index.storeHole(from: first, through: last, reserve: &reserve)
    return true
  }
}
