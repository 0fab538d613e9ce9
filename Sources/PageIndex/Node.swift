import Primitives

/// A node of the radix tree.
///
/// ```
///   marks     padding, and one bit a slot and mark in words of 64, the first word next to the header
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
    let words = Mark.allCases.count * markWords(fanOut: fanOut)
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

  // With every change of a page its marks are looked at, and most of the time changed: so these are inlined.

  @inline(__always)
  private static func markWords(fanOut: Int) -> Int { (fanOut &+ 63) &>> 6 }

  /// The word of marks that holds a slot's bit.
  @inline(__always)
  private func markWord(_ mark: Mark, word: Int, fanOut: Int) -> SharedWord {
    let number = mark.rawValue &* Node.markWords(fanOut: fanOut) &+ word
    return unsafe SharedWord(at: slots - Node.headerByteCount - (number &+ 1) &* 8)
  }

  @inline(__always)
  func isMarked(_ slot: Int, _ mark: Mark, fanOut: Int) -> Bool {
    markWord(mark, word: slot &>> 6, fanOut: fanOut).loadRelaxed() &>> UInt64(slot & 63) & 1 != 0
  }

  /// Expects the index lock held. Returns whether the bit changed.
  @inline(__always)
  @discardableResult
  func setMark(_ slot: Int, _ mark: Mark, to on: Bool, fanOut: Int) -> Bool {
    let word = markWord(mark, word: slot &>> 6, fanOut: fanOut)
    let old = word.loadRelaxed()
    let bit: UInt64 = 1 &<< UInt64(slot & 63)
    let new = on ? old | bit : old & ~bit
    word.storeRelaxed(new)
    return new != old
  }

  @inline(__always)
  func hasAnyMark(_ mark: Mark, fanOut: Int) -> Bool {
    for word in 0..<Node.markWords(fanOut: fanOut)
    where markWord(mark, word: word, fanOut: fanOut).loadRelaxed() != 0 { return true }
    return false
  }

  /// The first slot from `start` on that bears the mark.
  func firstMarked(_ mark: Mark, from start: Int, fanOut: Int) -> Int? {
    var slot = start
    while slot < fanOut {
      let bits = markWord(mark, word: slot &>> 6, fanOut: fanOut).loadRelaxed() &>> UInt64(slot & 63)
      if bits != 0 { return slot + bits.trailingZeroBitCount }
      slot = (slot &>> 6 &+ 1) &<< 6
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

  /// Its bit where several are kept in one number: in place of a set, whose operations, as `rawValue`, would be calls
  /// where another module asks for them.
  @inlinable @inline(__always)
  package var bit: Int {
    switch self {
    case .dirty: 0b001
    case .writtenInEvenEpoch: 0b010
    case .writtenInOddEpoch: 0b100
    }
  }

  @inlinable @inline(__always)
  package static var allBits: Int { 0b111 }
}
