import Primitives

/// A node of the radix tree.
///
/// ```
///   marks     one bit a slot and mark, in words of 64; padded
///   header    64 bytes: parent, place in the parent, slots in use, shift, words for the allocator
///   slots     fanOut entries        <- a node entry points here, so that a lookup adds nothing to the address
/// ```
///
/// Slots are read without a lock. Everything else is the lock holder's, but for the marks, which iteration reads without it.
@safe
package struct Node: @unchecked Sendable {
  package let slots: UnsafeMutableRawPointer

  package init(slots: UnsafeMutableRawPointer) { unsafe self.slots = slots }

  static let headerByteCount = 64

  static func marksByteCount(fanOut: Int) -> Int {
    let words = Mark.allCases.count * ((fanOut + 63) / 64)
    // With the header, a multiple of what a node entry can address.
    return (words * 8 + headerByteCount + Entry.nodeAlignment - 1) / Entry.nodeAlignment * Entry.nodeAlignment
      - headerByteCount
  }

  static func byteCount(fanOut: Int) -> Int {
    let alignment = Entry.nodeAlignment
    return marksByteCount(fanOut: fanOut) + headerByteCount + (fanOut * 8 + alignment - 1) / alignment * alignment
  }

  // Safe, below: offsets are inside the node's memory, which its allocator keeps for a grace period after it left the tree.

  /// The start of the node's memory.
  package func base(fanOut: Int) -> UnsafeMutableRawPointer {
    unsafe slots - Node.headerByteCount - Node.marksByteCount(fanOut: fanOut)
  }

  /// The node whose memory starts here.
  package static func at(base: UnsafeMutableRawPointer, fanOut: Int) -> Node {
    unsafe Node(slots: base + marksByteCount(fanOut: fanOut) + headerByteCount)
  }

  func slot(_ number: Int) -> SharedWord { unsafe SharedWord(at: slots + number * 8) }

  // The header words need no atomicity: the index lock guards them.
  var parent: UInt64 {
    get { unsafe SharedWord(at: slots - 64).loadRelaxed() }
    nonmutating set { unsafe SharedWord(at: slots - 64).storeRelaxed(newValue) }
  }
  var slotInParent: Int {
    get { unsafe Int(SharedWord(at: slots - 56).loadRelaxed()) }
    nonmutating set { unsafe SharedWord(at: slots - 56).storeRelaxed(UInt64(newValue)) }
  }
  /// Slots that are not empty.
  var used: Int {
    get { unsafe Int(SharedWord(at: slots - 48).loadRelaxed()) }
    nonmutating set { unsafe SharedWord(at: slots - 48).storeRelaxed(UInt64(newValue)) }
  }
  var shift: Int {
    get { unsafe Int(SharedWord(at: slots - 40).loadRelaxed()) }
    nonmutating set { unsafe SharedWord(at: slots - 40).storeRelaxed(UInt64(newValue)) }
  }
  /// Words for the allocator that waits for a grace period: a link and the grace period's number.
  package var link: UInt64 {
    get { unsafe SharedWord(at: slots - 32).loadRelaxed() }
    nonmutating set { unsafe SharedWord(at: slots - 32).storeRelaxed(newValue) }
  }
  package var gracePeriod: UInt64 {
    get { unsafe SharedWord(at: slots - 24).loadRelaxed() }
    nonmutating set { unsafe SharedWord(at: slots - 24).storeRelaxed(newValue) }
  }

  var parentNode: Node? {
    unsafe UnsafeMutableRawPointer(bitPattern: UInt(parent)).map { unsafe Node(slots: $0) }
  }

  /// The word of marks that holds a slot's bit.
  func markWord(_ mark: Mark, word: Int, fanOut: Int) -> SharedWord {
    let words = (fanOut + 63) / 64
    return unsafe SharedWord(at: base(fanOut: fanOut) + (mark.rawValue * words + word) * 8)
  }

  func isMarked(_ slot: Int, _ mark: Mark, fanOut: Int) -> Bool {
    markWord(mark, word: slot / 64, fanOut: fanOut).loadRelaxed() & 1 << UInt64(slot % 64) != 0
  }

  /// Expects the index lock held. Returns whether the bit changed.
  @discardableResult
  func setMark(_ slot: Int, _ mark: Mark, to on: Bool, fanOut: Int) -> Bool {
    let word = markWord(mark, word: slot / 64, fanOut: fanOut)
    let old = word.loadRelaxed()
    let bit: UInt64 = 1 << UInt64(slot % 64)
    let new = on ? old | bit : old & ~bit
    word.storeRelaxed(new)
    return new != old
  }

  func hasAnyMark(_ mark: Mark, fanOut: Int) -> Bool {
    (0..<(fanOut + 63) / 64).contains { markWord(mark, word: $0, fanOut: fanOut).loadRelaxed() != 0 }
  }

  /// The first slot from `start` on that bears the mark.
  func firstMarked(_ mark: Mark, from start: Int, fanOut: Int) -> Int? {
    var slot = start
    while slot < fanOut {
      let bits = markWord(mark, word: slot / 64, fanOut: fanOut).loadRelaxed() >> UInt64(slot % 64)
      if bits != 0 { return slot + bits.trailingZeroBitCount }
      slot = (slot / 64 + 1) * 64
    }
    return nil
  }

  /// Makes fresh memory an empty node. Nobody else has seen it yet.
  func initialise(parent: Node?, slotInParent: Int, shift: Int, fanOut: Int) {
    unsafe zeroBytes(base(fanOut: fanOut), count: Node.byteCount(fanOut: fanOut))
    self.parent = parent.map { unsafe UInt64(UInt(bitPattern: $0.slots)) } ?? 0
    self.slotInParent = slotInParent
    self.shift = shift
  }
}

/// A property of entries that can be searched for without visiting the others.
package enum Mark: Int, CaseIterable, Sendable {
  /// Changed in the cache; the store has not been told, or what it was told was lost.
  case dirty
  /// Given to the store in an even flush epoch, and not known to be durable.
  case writtenInEvenEpoch
  /// Given to the store in an odd flush epoch, and not known to be durable.
  case writtenInOddEpoch
}

/// Several marks of one entry.
package struct MarkSet: OptionSet, Sendable {
  package let rawValue: Int
  package init(rawValue: Int) { self.rawValue = rawValue }
  package init(_ mark: Mark) { rawValue = 1 << mark.rawValue }
  package static let all = MarkSet(rawValue: 1 << Mark.allCases.count - 1)
}
