import PageIndex

/// What an index should say, page by page.
struct IndexModel {
  struct Cell: Equatable {
    var word: UInt64
    /// The slot covers `2^shift` pages.
    var shift: Int
    var marks: Set<Mark> = []
  }

  let fanOutShift: Int
  let keyShift: Int
  private(set) var cells: [UInt64: Cell] = [:]

  init(_ geometry: IndexGeometry) {
    fanOutShift = geometry.fanOutShift
    keyShift = geometry.keyShift
  }

  func first(_ page: UInt64, _ shift: Int) -> UInt64 { (page >> UInt64(shift)) << UInt64(shift) }

  func slot(_ page: UInt64) -> Slot? {
    cells[page].map { Slot(page: first(page, $0.shift), pageCount: 1 << UInt64($0.shift), word: $0.word) }
  }

  mutating func store(_ page: UInt64, order: Int, _ entry: (UInt64) -> Entry) {
    let shift = order / fanOutShift * fanOutShift
    while let cell = cells[page], cell.shift > shift { pushDown(page) }
    var slotPage = page
    while slotPage < page + 1 << UInt64(order) {
      var cell = Cell(word: entry(slotPage).word, shift: shift)
      // An entry in the place of another of its size inherits the marks; what replaces several has none.
      if let old = cells[slotPage], old.shift == shift { cell.marks = old.marks }
      for covered in slotPage..<slotPage + 1 << UInt64(shift) { cells[covered] = cell }
      slotPage += 1 << UInt64(shift)
    }
  }

  mutating func erase(from first: UInt64, through last: UInt64) -> [Slot] {
    var erased: [Slot] = []
    var page = first
    while page <= last {
      guard let slot = slot(page) else {
        page += 1
        continue
      }
      if slot.page < first || slot.page + slot.pageCount - 1 > last {
        pushDown(page)
        continue
      }
      erased.append(slot)
      for covered in slot.page..<slot.page + slot.pageCount { cells[covered] = nil }
      page = slot.page + slot.pageCount
    }
    return erased
  }

  mutating func change(_ page: UInt64, _ body: (inout Cell) -> Void) {
    guard let slot = slot(page) else { return }
    for covered in slot.page..<slot.page + slot.pageCount { body(&cells[covered]!) }
  }

  mutating func removeAll() { cells = [:] }

  /// Splits the slot that covers a page into those of the next level.
  private mutating func pushDown(_ page: UInt64) {
    guard let slot = slot(page), let cell = cells[page] else { return }
    let shift = cell.shift - fanOutShift
    for covered in slot.page..<slot.page + slot.pageCount {
      cells[covered]!.shift = shift
      if Entry(word: cell.word).isFolio {
        cells[covered]!.word = cell.word + (first(covered, shift) - slot.page) << UInt64(keyShift)
      }
    }
  }

  /// What iteration should meet.
  func iterate(from first: UInt64, through last: UInt64, marked mark: Mark? = nil) -> [Slot] {
    var slots: [Slot] = []
    var page = first
    while page <= last {
      guard let slot = slot(page) else {
        page += 1
        continue
      }
      if mark.map({ cells[page]!.marks.contains($0) }) ?? true { slots.append(slot) }
      page = slot.page + slot.pageCount
    }
    return slots
  }
}
