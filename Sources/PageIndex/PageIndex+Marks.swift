import Primitives

extension PageIndex {
  /// Whether the entry that covers a page bears a mark. Needs the lock.
  package func isMarked(_ page: UInt64, _ mark: Mark) -> Bool {
    guard let found = locate(page), !found.entry.isEmpty else { return false }
    return marks(of: found, page: page).contains(MarkSet(mark))
  }

  /// Sets or clears a mark of the entry that covers a page; nothing where there is none. Expects the lock held.
  package func setMark(_ page: UInt64, _ mark: Mark, to on: Bool) {
    guard let found = locate(page), !found.entry.isEmpty else { return }
    setMark(of: found, page: page, mark, to: on)
  }

  /// Which marks an entry bears. Expects the lock held, since before the location was looked up for the page.
  package func marks(of location: Location, page: UInt64) -> MarkSet {
    let (node, number) = slot(of: location, page: page)
    var bits = 0
    if node.isMarked(number, .dirty, fanOut: fanOut) { bits |= 1 << Mark.dirty.rawValue }
    if node.isMarked(number, .writtenInEvenEpoch, fanOut: fanOut) { bits |= 1 << Mark.writtenInEvenEpoch.rawValue }
    if node.isMarked(number, .writtenInOddEpoch, fanOut: fanOut) { bits |= 1 << Mark.writtenInOddEpoch.rawValue }
    return MarkSet(rawValue: bits)
  }

  /// Whether an entry is marked dirty. As `marks(of:page:)`, of one mark.
  package func isMarkedDirty(_ location: Location, page: UInt64) -> Bool {
    let (node, number) = slot(of: location, page: page)
    return node.isMarked(number, .dirty, fanOut: fanOut)
  }

  /// Sets or clears a mark of an entry. Expects the lock held, since before the location was looked up for the page.
  package func setMark(of location: Location, page: UInt64, _ mark: Mark, to on: Bool) {
    var (node, number) = slot(of: location, page: page)
    guard on else { return clearMark(node, number, mark) }
    while node.setMark(number, mark, to: true, fanOut: fanOut), let parent = node.parentNode {
      number = node.slotInParent
      node = parent
    }
  }

  private func slot(of location: Location, page: UInt64) -> (Node, Int) {
    let number = Int(page >> location.shift & slotMask)
    // Safe: the slot lies in a node, `number` words behind its first.
    return unsafe (Node(slots: location.slot.address - number * 8), number)
  }

  /// Whether any entry bears the mark. No lock; a moment's truth.
  package func hasAny(_ mark: Mark) -> Bool {
    let top = Entry(word: root.loadAcquire())
    guard top.isNode else { return false }
    return unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: top.nodeSlots).unsafelyUnwrapped)
      .hasAnyMark(mark, fanOut: fanOut)
  }
}
