import PageIndex
import Primitives

// Every change of a mark is here, so that the counts agree with the marks. What the marks become is decided in `Durability`. All expect the index lock held, since before
// the location was looked up.
extension FileCore {
  /// Changes the marks of the entry that covers a page.
  /// - Returns: by how many the pages with any mark have become more.
  @discardableResult
  func changeMarks(_ location: PageIndex.Location, page: UInt64, _ change: Durability.MarkChange) -> Int {
    let (before, after) = index.changeMarks(of: location, page: page, adding: change.add, removing: change.remove)
    guard before != after else { return 0 }
    let count = 1 << Int(location.shift)
    if (before ^ after) & Mark.dirty.bit != 0 {
      unsafe durability.dirtyPages += after & Mark.dirty.bit != 0 ? count : -count
      if unsafe durability.dirtyPages == 0 { unsafe durability.dirtySince = nil }
    }
    guard (before == 0) != (after == 0) else { return 0 }
    if after == 0 { bringBack(location, page: page) }
    unsafe durability.pages += after == 0 ? -count : count
    return after == 0 ? -count : count
  }

  /// Reclaim may look at a folio again that owed something. If it still does for another of its pages, it is set aside once more.
  private func bringBack(_ location: PageIndex.Location, page: UInt64) {
    let entry = Entry(word: location.slot.loadRelaxed())
    if entry.isFolio { pool.queues.bringBack(entry.headFrame(shift: pool.frameShift)) }
  }

  /// Marks a page as its change has left it.
  /// - Returns: by how many the pages with any mark have become more.
  func mark(_ location: PageIndex.Location, page: UInt64, as standing: Durability.Standing) -> Int {
    switch standing {
    case .dirty:
      if unsafe durability.dirtySince == nil { unsafe durability.dirtySince = monotonicNanoseconds() }
    case .written:
      // A flush may have covered the store's change before the page is marked: so another change is noted, for a flush that clears the mark.
      noteStoreChange()
      noteWrittenTime()
    }
    return changeMarks(location, page: page, unsafe Durability.marks(for: standing, epoch: durability.epoch))
  }

  func noteWrittenTime() {
    if unsafe durability.writtenSince == nil { unsafe durability.writtenSince = monotonicNanoseconds() }
  }

  /// Notes that the store has been changed by this cache.
  func noteStoreChange() {
    watch()
    unsafe storeState.stamp = nil
    unsafe durability.noteStoreChange()
    if unsafe durability.changedSince == nil { unsafe durability.changedSince = monotonicNanoseconds() }
  }

  /// Counts a change that a sync must make durable.
  @inline(__always)
  func noteChangeLocked() {
    unsafe durability.noteChange()
    watch()
  }

  /// Lets the background know that the file owes something.
  @inline(__always)
  private func watch() {
    if unsafe !isWatched {
      unsafe isWatched = true
      engine.writeback.watch(self)
    }
  }

  /// Forgets what is owed for an entry that is about to leave the index.
  func forgetMarks(_ found: PageIndex.Found) {
    let change = changeMarks(found.location, page: found.page, Durability.MarkChange(remove: Mark.allBits))
    if change < 0 { engine.dirtyBudget.giveBack(-change) }
    if unsafe !holdBacks.isEmpty {
      for page in found.page...found.lastPage { unsafe holdBacks.remove(page) }
    }
  }

  /// Whether the store has everything, safely.
  var owesNothing: Bool { unsafe durability.pages == 0 && durability.changedSince == nil }

  /// Whether a slot owes something: then its folio may not be evicted.
  func isOwed(_ location: PageIndex.Location, page: UInt64) -> Bool {
    index.isMarked(location, page: page)
  }

  /// Whether any of some pages is dirty.
  func isAnyDirty(_ pages: ClosedRange<UInt64>) -> Bool {
    unsafe durability.dirtyPages > 0
      && index.next(from: pages.lowerBound, through: pages.upperBound, marked: .dirty) != nil
  }

  /// Pages have become dirty again: if they are held back, what was written to them before waits as well from now on.
  /// - Parameter isAnyLost: also what was durable may be lost.
  func waitForMore(_ pages: ClosedRange<UInt64>, isAnyLost: Bool = false) {
    guard keeps(.dirtyAgainHeldBack) else { return }
    unsafe holdBacks.lowerSince(pages, to: durability.durableChanges, isAnyLost: isAnyLost)
  }

  /// Whether any of some pages owes something.
  func isAnyOwed(_ pages: ClosedRange<UInt64>) -> Bool {
    guard unsafe durability.pages > 0 else { return false }
    return Mark.allCases.contains { index.next(from: pages.lowerBound, through: pages.upperBound, marked: $0) != nil }
  }
}
