import Primitives

extension PageIndex {
  /// Whether the entry that covers a page bears a mark. Needs the lock.
  package func isMarked(_ page: UInt64, _ mark: Mark) -> Bool {
    guard let (node, number) = slotHolding(page) else { return false }
    return node.isMarked(number, mark, fanOut: fanOut)
  }

  /// Sets or clears a mark of the entry that covers a page; nothing where there is none. Expects the lock held.
  package func setMark(_ page: UInt64, _ mark: Mark, to on: Bool) {
    guard var (node, number) = slotHolding(page) else { return }
    guard on else { return clearMark(node, number, mark) }
    while node.setMark(number, mark, to: true, fanOut: fanOut), let parent = node.parentNode {
      number = node.slotInParent
      node = parent
    }
  }

  /// Whether any entry bears the mark. No lock; a moment's truth.
  package func hasAny(_ mark: Mark) -> Bool {
    let top = Entry(word: root.loadAcquire())
    guard top.isNode else { return false }
    return unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: top.nodeSlots).unsafelyUnwrapped)
      .hasAnyMark(mark, fanOut: fanOut)
  }

  private func slotHolding(_ page: UInt64) -> (Node, Int)? {
    guard let found = locate(page), !found.entry.isEmpty else { return nil }
    let number = Int(page >> found.shift & slotMask)
    return unsafe (Node(slots: found.slot.address - number * 8), number)
  }
}
