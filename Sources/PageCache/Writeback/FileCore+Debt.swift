import PageIndex
import Primitives

// Every change of a mark is here, so that the counts agree with the marks. All expect the index lock held, since before the location was looked up.
extension FileCore {
  /// Adds and removes marks of the entry that covers a page.
  /// - Returns: by how many the pages with any mark have become more.
  @discardableResult
  func changeMarks(_ location: PageIndex.Location, page: UInt64, add: MarkSet = [], remove: MarkSet = []) -> Int {
    let before = index.marks(of: location, page: page)
    let after = before.subtracting(remove).union(add)
    guard after != before else { return 0 }
    for mark in Mark.allCases where before.contains(MarkSet(mark)) != after.contains(MarkSet(mark)) {
      index.setMark(of: location, page: page, mark, to: after.contains(MarkSet(mark)))
    }
    let count = 1 << Int(location.shift)
    let dirty = MarkSet(.dirty)
    if before.contains(dirty) != after.contains(dirty) {
      unsafe debt.dirtyPages += after.contains(dirty) ? count : -count
      if unsafe debt.dirtyPages == 0 { unsafe debt.dirtySince = nil }
    }
    guard before.isEmpty != after.isEmpty else { return 0 }
    unsafe debt.pages += after.isEmpty ? -count : count
    return after.isEmpty ? -count : count
  }

  /// Notes that the cache has what the store has not.
  /// - Returns: by how many the pages with any mark have become more.
  func markDirty(_ location: PageIndex.Location, page: UInt64) -> Int {
    if unsafe debt.dirtySince == nil { unsafe debt.dirtySince = monotonicNanoseconds() }
    return changeMarks(location, page: page, add: MarkSet(.dirty))
  }

  /// Notes that the store has been given what is in the cache.
  func markWritten(_ location: PageIndex.Location, page: UInt64) -> Int {
    if unsafe debt.writtenSince == nil { unsafe debt.writtenSince = monotonicNanoseconds() }
    return unsafe changeMarks(location, page: page, add: MarkSet(debt.writtenMark))
  }

  /// Forgets what is owed for an entry that is about to leave the index.
  func forgetMarks(_ found: PageIndex.Found) {
    let change = changeMarks(
      found.location, page: found.page,
      remove: [MarkSet(.dirty), MarkSet(.writtenInEvenEpoch), MarkSet(.writtenInOddEpoch)])
    if change < 0 { engine.dirtyBudget.giveBack(-change) }
    if unsafe !holdBacks.isEmpty {
      for page in found.page...found.lastPage { unsafe holdBacks[page] = nil }
    }
  }

  /// Whether the store has everything, safely.
  var owesNothing: Bool {
    unsafe debt.pages == 0 && storeState.changedSince == nil
  }

  /// Whether a folio may be evicted, as far as its slot goes.
  func isOwed(_ location: PageIndex.Location, page: UInt64) -> Bool {
    !index.marks(of: location, page: page).isEmpty
  }
}
