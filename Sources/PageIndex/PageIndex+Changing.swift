import Primitives

// Every way in which the tree changes its shape is in this file. Entries in place are also marked and published, by store to their slots: by whoever owns
// the index, with its lock held.
extension PageIndex {
  /// Stores entries over `2^order` pages from `page` on, a multiple of that. Expects the lock held.
  ///
  /// What was there is dropped: whoever calls has dealt with it. Where part of a larger entry is overwritten, the rest of it is kept, in smaller
  /// slots with words of their own.
  /// - Parameters:
  ///   - reserve: holds at least `nodesNeeded` of the range.
  ///   - entry: makes the word for the slot that starts at a page. Not empty: that is `erase`.
  package func store(
    _ page: UInt64, order: Int, reserve: inout NodeReserve, _ entry: (_ slotPage: UInt64) -> Entry
  ) {
    precondition(order >= 0 && order < 54 && page & (1 << UInt64(order) - 1) == 0)
    precondition(page <= geometry.maximumPage && isWithinConfines(page + (1 << UInt64(order) - 1)))
    let shift = levelShift(order: order)
    let node = descend(to: page, shift: shift, reserve: &reserve)
    let first = Int(page >> UInt64(shift) & slotMask)
    for number in first..<first + 1 << (order - shift) {
      let new = entry(page + UInt64(number - first) << UInt64(shift))
      assert(!new.isEmpty && !new.isNode && new != .retry)
      replace(node, number, with: new)
    }
  }

  /// Stores one hole over any range of pages: a logarithmic number of aligned entries (L21), all of one version. Expects the lock held.
  /// - Parameter reserve: holds at least `boundaryNodesNeeded` of the range.
  package func storeHole(from first: UInt64, through last: UInt64, reserve: inout NodeReserve) {
    let hole = Entry.hole(version: nextHoleVersion())
    var page = first
    while page <= last {
      var order = min(53, page == 0 ? 53 : page.trailingZeroBitCount)
      while last - page < 1 << UInt64(order) - 1 { order -= 1 }
      // No larger than what one level holds: a root that is too low could not.
      order = min(order, minimumShift + fanOutShift)
      store(page, order: order, reserve: &reserve) { _ in hole }
      let (next, overflow) = page.addingReportingOverflow(1 << UInt64(order))
      if overflow { return }
      page = next
    }
  }

  /// Empties every slot whose pages all lie in the range; splits larger entries at its ends. Expects the lock held.
  /// - Parameters:
  ///   - reserve: holds at least `nodesNeeded` of the range.
  ///   - erased: called with each entry as it goes.
  package func erase(
    from first: UInt64, through last: UInt64, reserve: inout NodeReserve, erased: (Found) -> Void
  ) {
    var page = first
    while let found = next(from: page, through: last, values: true) {
      if found.page < first || found.lastPage > last {
        // It sticks out: push it down one level and look again.
        let node = self.node(containing: found)
        pushDown(node, Int(found.page >> found.location.shift & slotMask), reserve: &reserve)
        continue
      }
      erased(found)
      eraseSlot(of: found)
      if found.lastPage >= last { return }
      page = found.lastPage + 1
    }
  }

  /// Empties the slot of one entry, and frees the nodes that are empty then. Expects the lock held, since before `found` was looked up.
  package func eraseSlot(of found: Found) {
    let node = self.node(containing: found)
    replace(node, Int(found.page >> found.location.shift & slotMask), with: .empty)
    prune(node)
  }

  /// Puts a value in the place of an entry that bears no mark. Expects the lock held, since before `found` was looked up.
  package func replace(_ found: Found, withValue value: UInt64) {
    replace(node(containing: found), Int(found.page >> found.location.shift & slotMask), with: .value(value))
  }

  /// Sets the read-ahead mark of a folio, whose first reader takes it off again. Expects the lock held.
  package func setReadAheadMark(_ location: Location) {
    var word = location.entry.word
    while Entry(word: word).isStable {
      let (exchanged, original) = location.slot.compareExchangeRelaxed(
        expected: word, desired: word | Entry.readAheadBit)
      if exchanged { return }
      // Only an access bit can have been set meanwhile: the lock is held.
      word = original
    }
  }

  /// Clears the access bit. Expects the lock held; readers may set it again at any time.
  package func clearAccessed(_ found: Found) {
    var word = found.entry.word
    while true {
      let (exchanged, original) = found.location.slot.compareExchangeRelaxed(
        expected: word, desired: word & ~Entry.accessedBit)
      if exchanged { return }
      // Only an access bit can have been set meanwhile: the lock is held.
      word = original
    }
  }

  /// Empties the index. Expects the lock held.
  /// - Parameter removed: called with each entry.
  package func removeAll(_ removed: (Found) -> Void) {
    let top = Entry(word: root.loadRelaxed())
    guard top.isNode else { return }
    var page: UInt64 = 0
    while let found = next(from: page, through: IndexGeometry.maximumPage, values: true) {
      removed(found)
      if found.lastPage >= IndexGeometry.maximumPage { break }
      page = found.lastPage + 1
    }
    var dead: [Node] = []
    kill(unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: top.nodeSlots).unsafelyUnwrapped), collecting: &dead)
    // Relaxed: this word leads nowhere.
    root.storeRelaxed(0)
    for node in dead { nodes.retireNode(node, fanOut: fanOut) }
  }

  // MARK: The tree

  /// The node whose slots have this shift, on the way to a page; makes what is missing.
  private func descend(to page: UInt64, shift: Int, reserve: inout NodeReserve) -> Node {
    grow(toCover: page, shift: shift, reserve: &reserve)
    var node = rootNode
    while node.shift > shift {
      let number = Int(page >> UInt64(node.shift) & slotMask)
      let entry = Entry(word: node.slot(number).loadRelaxed())
      if !entry.isNode {
        if entry.isEmpty {
          let child = reserve.take()
          child.initialise(parent: node, slotInParent: number, shift: node.shift - fanOutShift, fanOut: fanOut)
          replace(node, number, with: nodeEntry(for: child))
        } else {
          pushDown(node, number, reserve: &reserve)
        }
      }
      let child = Entry(word: node.slot(number).loadRelaxed())
      node = unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: child.nodeSlots).unsafelyUnwrapped)
    }
    return node
  }

  private var rootNode: Node {
    unsafe Node(
      slots: UnsafeMutableRawPointer(bitPattern: Entry(word: root.loadRelaxed()).nodeSlots).unsafelyUnwrapped)
  }

  /// Makes the tree tall enough for a page and for entries at a level.
  func grow(toCover page: UInt64, shift: Int, reserve: inout NodeReserve) {
    if root.loadRelaxed() == 0 {
      let top = rootShift(page: page, level: shift)
      let node = reserve.take()
      node.initialise(parent: nil, slotInParent: 0, shift: top, fanOut: fanOut)
      root.storeRelease(nodeEntry(for: node).word)
    }
    while true {
      let old = rootNode
      if old.shift >= shift, page >> UInt64(old.shift) <= slotMask { return }
      let node = reserve.take()
      node.initialise(parent: nil, slotInParent: 0, shift: old.shift + fanOutShift, fanOut: fanOut)
      node.slot(0).storeRelaxed(root.loadRelaxed())
      node.used = 1
      for mark in Mark.allCases where old.hasAnyMark(mark, fanOut: fanOut) {
        node.setMark(0, mark, to: true, fanOut: fanOut)
      }
      old.parent = unsafe UInt64(UInt(bitPattern: node.slots))
      old.slotInParent = 0
      // Readers that started at the old root stay right: it is still part of the tree.
      root.storeRelease(nodeEntry(for: node).word)
    }
  }

  /// Replaces an entry that covers many pages by a node of entries that say the same of fewer pages each.
  private func pushDown(_ node: Node, _ number: Int, reserve: inout NodeReserve) {
    let entry = Entry(word: node.slot(number).loadRelaxed())
    assert(node.shift > 0 && !entry.isNode && !entry.isEmpty)
    let child = reserve.take()
    child.initialise(parent: node, slotInParent: number, shift: node.shift - fanOutShift, fanOut: fanOut)
    for slot in 0..<fanOut {
      // A folio's memory goes on where that of the slot before ends. Its pages are as large as the keys say.
      let piece = entry.isFolio ? Entry(word: entry.word + UInt64(slot << child.shift) << keyShift) : entry
      child.slot(slot).storeRelaxed(piece.word)
    }
    child.used = fanOut
    for mark in Mark.allCases where node.isMarked(number, mark, fanOut: fanOut) {
      for slot in 0..<fanOut { child.setMark(slot, mark, to: true, fanOut: fanOut) }
    }
    // The number of used slots does not change. A reader of the old word sees that it is gone and looks again.
    node.slot(number).storeRelease(nodeEntry(for: child).word)
  }

  private func node(containing found: Found) -> Node {
    let number = found.page >> found.location.shift & slotMask
    // Safe: the slot lies in a node, `number` words behind its first.
    return unsafe Node(slots: found.location.slot.address - Int(number) * 8)
  }

  /// Puts a word into a slot, keeping count of used slots; takes down what hung there.
  private func replace(_ node: Node, _ number: Int, with new: Entry) {
    let slot = node.slot(number)
    let old = Entry(word: slot.loadRelaxed())
    var dead: [Node] = []
    if old.isNode {
      kill(unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: old.nodeSlots).unsafelyUnwrapped), collecting: &dead)
    }
    // Release pairs with the acquire of `locate`: what the new word leads to is initialised.
    slot.storeRelease(new.word)
    node.used += (new.isEmpty ? 0 : 1) - (old.isEmpty ? 0 : 1)
    if new.isEmpty || old.isNode {
      for mark in Mark.allCases { clearMark(node, number, mark) }
    }
    for node in dead { nodes.retireNode(node, fanOut: fanOut) }
  }

  /// Makes every slot of a subtree say "start again", before it is unlinked: else a reader would check a dead slot for ever, and find it unchanged.
  private func kill(_ node: Node, collecting dead: inout [Node]) {
    for number in 0..<fanOut {
      let slot = node.slot(number)
      let entry = Entry(word: slot.loadRelaxed())
      if entry.isNode {
        kill(
          unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: entry.nodeSlots).unsafelyUnwrapped), collecting: &dead)
      }
      // A reader setting the access bit cannot bring the old word back: its compare-and-exchange names the whole word. Relaxed: there is nothing
      // behind this word, and the store that unlinks the node, or fills its place, is a release.
      if keeps(.retryEntries) { slot.storeRelaxed(Entry.retry.word) }
    }
    dead.append(node)
  }

  /// Takes empty nodes out of the tree, upwards.
  private func prune(_ start: Node) {
    var node = start
    while node.used == 0 {
      if keeps(.retryEntries) { for number in 0..<fanOut { node.slot(number).storeRelaxed(Entry.retry.word) } }
      let parent = node.parentNode
      // Relaxed, both: these words lead nowhere, and no reader accepts what it found in an empty node.
      if let parent {
        parent.slot(node.slotInParent).storeRelaxed(0)
        parent.used -= 1
        for mark in Mark.allCases { clearMark(parent, node.slotInParent, mark) }
      } else {
        root.storeRelaxed(0)
      }
      nodes.retireNode(node, fanOut: fanOut)
      guard let parent else { return }
      node = parent
    }
  }

  func clearMark(_ start: Node, _ startNumber: Int, _ mark: Mark) {
    var node = start
    var number = startNumber
    while node.setMark(number, mark, to: false, fanOut: fanOut), !node.hasAnyMark(mark, fanOut: fanOut),
      let parent = node.parentNode
    {
      number = node.slotInParent
      node = parent
    }
  }
}

extension PageIndex.Location {
  /// Takes a read-ahead mark off, and nothing else.
  /// - Returns: whether this has done it.
  package func takeMark() -> Bool {
    entry.hasReadAheadMark
      && slot.compareExchangeRelaxed(expected: entry.word, desired: entry.clearing(Entry.readAheadBit).word).exchanged
  }

  /// Sets the access bit of the word that was read, and takes a read-ahead mark off, if it is still the same. No lock; inside a read section.
  ///
  /// By compare-and-exchange with the whole word and never by a blind OR: the slot may hold something else by now. Relaxed: the bits order nothing.
  /// - Returns: whether this has taken a mark off.
  /// - Cost: one locked instruction, at most once for each slot and pass of reclaim (P2's exception).
  package func noteAccess() -> Bool {
    assert(entry.isFolio)
    let noted = entry.setting(Entry.accessedBit).clearing(Entry.readAheadBit)
    guard keeps(.accessBitByComparison) else {
      slot.storeRelaxed(noted.word)
      return entry.hasReadAheadMark
    }
    return slot.compareExchangeRelaxed(expected: entry.word, desired: noted.word).exchanged && entry.hasReadAheadMark
  }
}
