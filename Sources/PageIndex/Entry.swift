/// One 64-bit word of the index. It says everything a lock-free reader needs, who never has to look at folio metadata.
///
/// ```
/// 63          44 43   40 39                         8  7  6  5  4  3   2 1 0
/// +-------------+-------+----------------------------+--+--+--+--+--+-------+
/// |   version   | order | bytes into the arena / 256 | 0|RA|AC|CH|UP| 0 1 0 |  folio
/// +-------------+-------+----------------------------+--+--+--+--+--+-------+
/// |                             version                             | 1 0 0 |  hole
/// +-----------------------------------------------------------------+-------+
/// |                     61 bits of the caller's                     | 1 1 0 |  value: a shadow, of what was here
/// +-----------------------------------------------------------------+-------+
/// |                                1                                | 0 0 0 |  retry
/// +-----------------------------------------------------------------+-------+
/// |                                0                                | 0 0 0 |  empty: nothing known
/// +-------------------------------------------------+-------------------+---+
/// |        address of the child's slots / 128       |  shift, bits 1-6  | 1 |  node
/// +-------------------------------------------------+-------------------+---+
/// ```
///
/// UP up to date · CH changing · AC accessed · RA read-ahead mark.
///
/// The places are chosen for the hit path. A node is told by one bit; its word shifted right by one is, in its low six bits, the shift that the
/// processor wants. A folio's bytes are found by masking its word and adding the arena's address: no shift, no multiplication. All that a hit must
/// look at is the low byte.
///
/// A folio's word names the memory that backs *this* slot, not the folio's head: a lookup resolves nothing else. A slot that sits at a higher
/// level covers `fanOut^level` pages, in one contiguous piece of the folio. 32 bits of 256 bytes are a pool of 1 TiB; frames may be as small as 256
/// bytes, in the laboratory. 4 bits of order reach beyond the buddy allocator's 9; what is left, 20 bits, is the version.
///
/// **Why a word never comes back while somebody reads.** A reader accepts what it copied if the word is the same before and after. So within one read
/// section no slot may hold the same word twice with something else between.
/// - Folio words: the version belongs to the *frame*. Each change of a frame's word, in place or by moving it to another slot, takes the successor of the
///   version it had. A frame that left the index comes back only after a grace period. And twice in each round of
///   versions the next one waits for a grace period (`successor`), so the same frame never shows the same version twice in one section.
/// - Hole words have no frame, but 61 bits of version, from a counter of the index that does not wrap in the life of a machine.
/// - Empty, value, node and retry words are never accepted by a reader.
///
/// A single counter of that width for all changes of an index, with a grace period at its wrap, is not enough: a word written long ago, at version v,
/// may be read when the counter stands at v - 2; two changes later the slot shows the same word again.
@frozen
public struct Entry: Equatable, Sendable {
  public let word: UInt64

  @inlinable @inline(__always)
  public init(word: UInt64) { self.word = word }

  /// What kind of word it is.
  public enum Kind: Sendable {
    case empty, folio, hole, value, node, retry
  }

  // MARK: Layout

  public static var nodeBit: UInt64 { @inlinable @inline(__always) get { 1 } }
  public static var kindMask: UInt64 { @inlinable @inline(__always) get { 7 } }
  public static var folioKind: UInt64 { @inlinable @inline(__always) get { 2 } }
  public static var holeKind: UInt64 { @inlinable @inline(__always) get { 4 } }
  public static var valueKind: UInt64 { @inlinable @inline(__always) get { 6 } }
  public static var upToDateBit: UInt64 { @inlinable @inline(__always) get { 1 << 3 } }
  public static var changingBit: UInt64 { @inlinable @inline(__always) get { 1 << 4 } }
  public static var accessedBit: UInt64 { @inlinable @inline(__always) get { 1 << 5 } }
  public static var readAheadBit: UInt64 { @inlinable @inline(__always) get { 1 << 6 } }
  public static var arenaOffsetMask: UInt64 { @inlinable @inline(__always) get { ((1 << 32) - 1) << 8 } }
  public static var orderShift: UInt64 { @inlinable @inline(__always) get { 40 } }
  public static var orderMask: UInt64 { @inlinable @inline(__always) get { 15 } }
  public static var versionShift: UInt64 { @inlinable @inline(__always) get { 44 } }
  public static var versionBits: UInt64 { @inlinable @inline(__always) get { 20 } }
  public static var maximumOrder: Int { @inlinable @inline(__always) get { 9 } }
  /// What an arena may measure at most.
  public static var maximumArenaByteCount: Int { 1 << 40 }
  /// What node slots are aligned to.
  public static var nodeAlignment: Int { 128 }

  /// The bits a hit looks at: kind, up to date, changing, accessed, read-ahead. A whole byte: one comparison.
  public static var hitMask: UInt64 { @inlinable @inline(__always) get { 0xFF } }
  /// ... and what they must say: a folio, up to date, not changing, accessed before, no mark that wants work.
  public static var hitPattern: UInt64 { @inlinable @inline(__always) get { folioKind | upToDateBit | accessedBit } }

  // MARK: Making

  public static var empty: Entry { @inlinable @inline(__always) get { Entry(word: 0) } }
  public static var retry: Entry { @inlinable @inline(__always) get { Entry(word: 8) } }

  /// - Parameter arenaOffset: bytes from the start of the arena to those of this slot; a multiple of 256.
  @inlinable
  public static func folio(
    arenaOffset: UInt64, order: Int, version: UInt64, flags: UInt64 = upToDateBit
  ) -> Entry {
    assert(arenaOffset & ~arenaOffsetMask == 0 && order >= 0 && order <= maximumOrder && version < 1 << versionBits)
    assert(flags & ~(upToDateBit | changingBit | accessedBit | readAheadBit) == 0)
    return Entry(word: folioKind | flags | arenaOffset | UInt64(order) &<< orderShift | version &<< versionShift)
  }

  @inlinable
  public static func hole(version: UInt64) -> Entry {
    assert(version < 1 << 61)
    return Entry(word: holeKind | version &<< 3)
  }

  /// A word of the caller's: 61 bits.
  @inlinable
  public static func value(_ value: UInt64) -> Entry {
    assert(value < 1 << 61)
    return Entry(word: valueKind | value &<< 3)
  }

  static func node(_ node: Node, shift: Int) -> Entry {
    let address = unsafe UInt64(UInt(bitPattern: node.slots))
    assert(address & 127 == 0 && (0..<64).contains(shift))
    return Entry(word: nodeBit | UInt64(shift) << 1 | address)
  }

  // MARK: Reading

  public var kind: Kind {
    if isNode { return .node }
    switch word & Entry.kindMask {
    case Entry.folioKind: return .folio
    case Entry.holeKind: return .hole
    case Entry.valueKind: return .value
    default: return isEmpty ? .empty : .retry
    }
  }

  @inlinable @inline(__always)
  public var isNode: Bool { word & Entry.nodeBit != 0 }
  @inlinable @inline(__always)
  public var isFolio: Bool { word & Entry.kindMask == Entry.folioKind }
  @inlinable @inline(__always)
  public var isHole: Bool { word & Entry.kindMask == Entry.holeKind }
  @inlinable @inline(__always)
  public var isValue: Bool { word & Entry.kindMask == Entry.valueKind }
  @inlinable @inline(__always)
  public var isEmpty: Bool { word == 0 }
  /// Whether a hit may copy without any cold work.
  @inlinable @inline(__always)
  public var isPlainHit: Bool { word & Entry.hitMask == Entry.hitPattern }
  /// Whether the bytes under it are whole: a folio, up to date and not changing.
  @inlinable @inline(__always)
  public var isStable: Bool {
    word & (Entry.kindMask | Entry.upToDateBit | Entry.changingBit) == Entry.folioKind | Entry.upToDateBit
  }

  /// Whether it is a folio whose bytes somebody is changing.
  @inlinable @inline(__always)
  public var isChanging: Bool {
    word & (Entry.kindMask | Entry.changingBit) == Entry.folioKind | Entry.changingBit
  }

  /// Of a folio: bytes from the start of the arena to those of this slot.
  @inlinable @inline(__always)
  public var arenaOffset: UInt64 { word & Entry.arenaOffsetMask }
  /// Of a folio: the base-2 logarithm of its frames.
  @inlinable @inline(__always)
  public var order: Int { Int(truncatingIfNeeded: word &>> Entry.orderShift & Entry.orderMask) }
  /// Of a folio: the frame behind this slot.
  @inlinable @inline(__always)
  public func frame(shift: Int) -> UInt64 { arenaOffset &>> UInt64(shift) }
  /// Of a folio: its first frame. Folios lie naturally aligned in the arena.
  @inlinable @inline(__always)
  public func headFrame(shift: Int) -> UInt64 { frame(shift: shift) & ~((1 &<< UInt64(order)) &- 1) }
  /// Of a folio.
  @inlinable @inline(__always)
  public var version: UInt64 { word &>> Entry.versionShift }
  @inlinable @inline(__always)
  public var isAccessed: Bool { word & Entry.accessedBit != 0 }
  /// Of a value entry.
  public var value: UInt64 { word &>> 3 }

  /// Whether a reader has something to note in it: a folio that was not read lately, or one with a read-ahead mark.
  @inlinable @inline(__always)
  public var wantsNote: Bool {
    isFolio && word & (Entry.accessedBit | Entry.readAheadBit) != Entry.accessedBit
  }
  @inlinable @inline(__always)
  public var hasReadAheadMark: Bool { word & Entry.readAheadBit != 0 }

  /// Of a node: its slots.
  @inlinable @inline(__always)
  public var nodeSlots: UInt { UInt(truncatingIfNeeded: word & ~127) }
  /// Of a node: how far a key is shifted to choose a slot. The mask costs nothing where the value is only used to shift by.
  @inlinable @inline(__always)
  public var nodeShift: UInt64 { word &>> 1 & 63 }

  @inlinable @inline(__always)
  public func setting(_ bits: UInt64) -> Entry { Entry(word: word | bits) }
  @inlinable @inline(__always)
  public func clearing(_ bits: UInt64) -> Entry { Entry(word: word & ~bits) }
  /// Of a folio: the same as a part of one of another order.
  public func withOrder(_ order: Int) -> Entry {
    Entry(word: word & ~(Entry.orderMask &<< Entry.orderShift) | UInt64(order) &<< Entry.orderShift)
  }

  /// Whether nothing that matters to a reader has changed: all but the access bit, which other readers may set.
  @inlinable @inline(__always)
  public func isSame(as other: Entry) -> Bool { (word ^ other.word) & ~Entry.accessedBit == 0 }
}
