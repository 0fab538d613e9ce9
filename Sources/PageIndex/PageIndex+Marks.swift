import Primitives

extension PageIndex {
  /// Whether the entry that covers a page bears a mark. Needs the lock.
  package func isMarked(_ page: UInt64, _ mark: Mark) -> Bool {
    guard let found = locate(page), !found.entry.isEmpty else { return false }
    let (node, number) = slot(of: found, page: page)
    return node.isMarked(number, mark, fanOut: fanOut)
  }

  /// Sets or clears a mark of the entry that covers a page; nothing where there is none. Expects the lock held.
  package func setMark(_ page: UInt64, _ mark: Mark, to on: Bool) {
    guard let found = locate(page), !found.entry.isEmpty else { return }
    let (node, number) = slot(of: found, page: page)
    setMark(node, number, mark, to: on)
  }

  @inline(__always)
  private func marks(_ node: Node, _ number: Int) -> Int {
    var bits = 0
    if node.isMarked(number, .dirty, fanOut: fanOut) { bits |= Mark.dirty.bit }
    if node.isMarked(number, .writtenInEvenEpoch, fanOut: fanOut) { bits |= Mark.writtenInEvenEpoch.bit }
    if node.isMarked(number, .writtenInOddEpoch, fanOut: fanOut) { bits |= Mark.writtenInOddEpoch.bit }
    return bits
  }

  /// Sets some marks of an entry and clears others; what stands in both is set. Expects the lock held, since before the
  /// location was looked up for the page.
  /// - Returns: the marks before and after, as the bits of each `Mark`.
  package func changeMarks(
    of location: Location, page: UInt64, adding: Int, removing: Int
  ) -> (before: Int, after: Int) {
    let (node, number) = slot(of: location, page: page)
    let before = marks(node, number)
    let after = before & ~removing | adding & Mark.allBits
    func change(_ mark: Mark) {
      if (before ^ after) & mark.bit != 0 { setMark(node, number, mark, to: after & mark.bit != 0) }
    }
    if before != after {
      change(.dirty)
      change(.writtenInEvenEpoch)
      change(.writtenInOddEpoch)
    }
    return (before, after)
  }

  /// Whether an entry bears any mark. Expects the lock held, since before the location was looked up for the page.
  package func isMarked(_ location: Location, page: UInt64) -> Bool {
    let (node, number) = slot(of: location, page: page)
    return marks(node, number) != 0
  }

  /// Whether an entry is marked dirty. Expects the lock held, since before the location was looked up for the page.
  package func isMarkedDirty(_ location: Location, page: UInt64) -> Bool {
    let (node, number) = slot(of: location, page: page)
    return node.isMarked(number, .dirty, fanOut: fanOut)
  }

  private func setMark(_ start: Node, _ startNumber: Int, _ mark: Mark, to on: Bool) {
    guard on else { return clearMark(start, startNumber, mark) }
    var (node, number) = (start, startNumber)
    while node.setMark(number, mark, to: true, fanOut: fanOut), let parent = node.parentNode {
      number = node.slotInParent
      node = parent
    }
  }

  @inline(__always)
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
