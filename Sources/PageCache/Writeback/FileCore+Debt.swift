import PageIndex
import Primitives

// Every change of a mark is here, so that the counts agree with the marks. All expect the index lock held, since before the location was looked up.
extension FileCore {
  /// Adds and removes marks of the entry that covers a page.
  /// - Returns: by how many the pages with any mark have become more.
  @discardableResult
  func changeMarks(
    _ location: PageIndex.Location, page: UInt64, add: MarkSet = MarkSet(rawValue: 0),
    remove: MarkSet = MarkSet(rawValue: 0)
  ) -> Int {
    // Bits, not sets: this is done for every page that is written.
    let before = index.marks(of: location, page: page).rawValue
    let after = before & ~remove.rawValue | add.rawValue
    var different = before ^ after
    guard different != 0 else { return 0 }
    let count = 1 << Int(location.shift)
    if different & MarkSet(.dirty).rawValue != 0 {
      unsafe debt.dirtyPages += after & MarkSet(.dirty).rawValue != 0 ? count : -count
      if unsafe debt.dirtyPages == 0 { unsafe debt.dirtySince = nil }
    }
    while different != 0 {
      let number = different.trailingZeroBitCount
      different &= different - 1
      guard let mark = Mark(rawValue: number) else { break }
      index.setMark(of: location, page: page, mark, to: after & 1 << number != 0)
    }
    guard (before == 0) != (after == 0) else { return 0 }
    if after == 0 { bringBack(location, page: page) }
    unsafe debt.pages += after == 0 ? -count : count
    return after == 0 ? -count : count
  }

  /// Reclaim may look at a folio again that owed something. If it still does for another of its pages, it is set aside once more.
  private func bringBack(_ location: PageIndex.Location, page: UInt64) {
    let entry = Entry(word: location.slot.loadRelaxed())
    if entry.isFolio { pool.queues.bringBack(entry.headFrame(shift: pool.frameShift)) }
  }

  /// Notes that the cache has what the store has not.
  /// - Returns: by how many the pages with any mark have become more.
  func markDirty(_ location: PageIndex.Location, page: UInt64) -> Int {
    if unsafe debt.dirtySince == nil { unsafe debt.dirtySince = monotonicNanoseconds() }
    return changeMarks(location, page: page, add: MarkSet(.dirty))
  }

  /// Notes that the store has been given what is in the cache. Whatever an earlier flush owes for the page, the next one owes as well: one mark is enough.
  ///
  /// A flush may have covered the store's change before the page is marked: so another change is noted, for a flush that clears the mark.
  func markWritten(_ location: PageIndex.Location, page: UInt64) -> Int {
    unsafe storeState.noteChange()
    if unsafe debt.writtenSince == nil { unsafe debt.writtenSince = monotonicNanoseconds() }
    return unsafe changeMarks(
      location, page: page, add: MarkSet(debt.writtenMark), remove: MarkSet(Debt.mark(ofEpoch: debt.epoch + 1)))
  }

  /// Forgets what is owed for an entry that is about to leave the index.
  func forgetMarks(_ found: PageIndex.Found) {
    let change = changeMarks(found.location, page: found.page, remove: .all)
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
