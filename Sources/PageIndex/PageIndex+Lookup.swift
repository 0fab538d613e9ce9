import Primitives

extension PageIndex {
  /// Where a page's entry was found.
  @frozen
  public struct Location {
    /// The word's own address: load it again to see whether it changed. Valid while the read section or the lock lasts.
    public let slot: SharedWord
    public let entry: Entry
    /// The slot covers `2^shift` pages, from a multiple of that on; bytes, if it was located by byte offset.
    public let shift: UInt64

    @inlinable @inline(__always)
    package init(slot: SharedWord, entry: Entry, shift: UInt64) {
      self.slot = slot
      self.entry = entry
      self.shift = shift
    }
  }

  /// Finds the slot that covers a key: nil where there is no node for it. Needs a read section or the lock.
  ///
  /// A key is a page number shifted left by the geometry's `keyShift`: a byte offset.
  ///
  /// The acquire loads pair with the release stores of `replace`: a node is initialised, and a frame filled, before it can be reached.
  /// The entry may be `retry`: the node is leaving the tree; start again.
  /// - Cost: one load a level and one for the root; no store.
  @inlinable @inline(__always)
  package static func locate(root: SharedWord, slotMask: UInt64, key: UInt64) -> Location? {
    let entry = Entry(word: root.loadAcquire())
    guard entry.isNode, key &>> entry.nodeShift <= slotMask else { return nil }
    return descend(from: entry, slotMask: slotMask, key: key)
  }

  /// The same for a key below the index's `coveredPages`, which every root covers.
  /// - Cost: as `locate`, less a comparison.
  @inlinable @inline(__always)
  package static func locateCovered(root: SharedWord, slotMask: UInt64, key: UInt64) -> Location? {
    let entry = Entry(word: root.loadAcquire())
    guard entry.isNode else { return nil }
    assert(key &>> entry.nodeShift <= slotMask)
    return descend(from: entry, slotMask: slotMask, key: key)
  }

  @inlinable @inline(__always)
  static func descend(from top: Entry, slotMask: UInt64, key: UInt64) -> Location {
    var entry = top
    while true {
      let shift = entry.nodeShift
      let offset = (key &>> shift & slotMask) &<< 3
      // Safe: a node entry holds the address of `fanOut` slots, which stay allocated for a grace period after they leave the tree.
      let slot = unsafe SharedWord(
        at: UnsafeMutableRawPointer(bitPattern: entry.nodeSlots &+ UInt(truncatingIfNeeded: offset)).unsafelyUnwrapped)
      entry = Entry(word: slot.loadAcquire())
      if !entry.isNode { return Location(slot: slot, entry: entry, shift: shift) }
    }
  }

  /// Finds the slot that covers a page. Needs a read section or the lock. Without the lock it waits while a node is being taken out of the tree: a few
  /// stores.
  package func locate(_ page: UInt64) -> Location? {
    guard page <= geometry.maximumPage else { return nil }
    while true {
      guard let found = PageIndex.locate(root: root, slotMask: slotMask, key: page << keyShift) else { return nil }
      if found.entry == .retry {
        spinHint()
        continue
      }
      return Location(slot: found.slot, entry: found.entry, shift: found.shift - keyShift)
    }
  }

  /// The entry that covers a page. Needs a read section or the lock.
  package func entry(at page: UInt64) -> Entry { locate(page)?.entry ?? .empty }

  /// One entry met by iteration.
  package struct Found {
    /// First page that the slot covers.
    package let page: UInt64
    /// Pages that the slot covers.
    package let pageCount: UInt64
    package let location: Location

    package var entry: Entry { location.entry }
    package var lastPage: UInt64 { page + (pageCount - 1) }
  }

  /// The first entry that says something of its pages, and bears the mark if one is given, whose slot covers a page in the range. Needs a read section or
  /// the lock. Without the lock it may or may not see changes made meanwhile; it never misses an entry that was there all the time.
  /// - Parameter values: also one that says nothing of its pages, but of what was there before.
  /// - Cost: one descent, and one load for each slot passed over (for each 64, with a mark).
  package func next(
    from first: UInt64, through last: UInt64, marked mark: Mark? = nil, values: Bool = false
  ) -> Found? {
    var page = first
    search: while page <= last {
      let top = Entry(word: root.loadAcquire())
      guard top.isNode, page >> pageShift(top) <= slotMask else { return nil }
      var node = unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: top.nodeSlots).unsafelyUnwrapped)
      var shift = pageShift(top)
      while true {
        let start = Int(page >> shift & slotMask)
        guard let number = firstUsed(in: node, from: start, marked: mark) else {
          // Nothing more under this node: go on behind it.
          let (next, overflow) = ((page >> shift) | slotMask).addingReportingOverflow(1)
          let top = next << shift
          if overflow || top >> shift != next || top <= page { return nil }
          page = top
          continue search
        }
        if number != start { page = (page >> shift & ~slotMask | UInt64(number)) << shift }
        guard page <= last else { return nil }
        let slot = node.slot(number)
        let entry = Entry(word: slot.loadAcquire())
        if entry == .retry {
          spinHint()
          continue search
        }
        // Emptied since it was looked at: look again from here.
        if entry.isEmpty { continue }
        if entry.isValue, !values {
          let (next, overflow) = (page >> shift).addingReportingOverflow(1)
          page = next << shift
          if overflow || page >> shift != next { return nil }
          if next & slotMask == 0 { continue search }
          continue
        }
        if !entry.isNode {
          return Found(
            page: (page >> shift) << shift, pageCount: 1 << shift,
            location: Location(slot: slot, entry: entry, shift: shift))
        }
        node = unsafe Node(slots: UnsafeMutableRawPointer(bitPattern: entry.nodeSlots).unsafelyUnwrapped)
        shift = pageShift(entry)
      }
    }
    return nil
  }

  private func firstUsed(in node: Node, from start: Int, marked mark: Mark?) -> Int? {
    if let mark {
      var candidate = start
      while let number = node.firstMarked(mark, from: candidate, fanOut: fanOut) {
        if node.slot(number).loadRelaxed() != 0 { return number }
        candidate = number + 1
        if candidate >= fanOut { return nil }
      }
      return nil
    }
    return (start..<fanOut).first { node.slot($0).loadRelaxed() != 0 }
  }
}
