/// One 64-bit word of the index. It says everything a lock-free reader needs, who never has to look at folio metadata.
///
/// ```
///  63            40 39                          12 11 10   7  6  5  4  3  2  0
/// +----------------+------------------------------+--+------+--+--+--+--+-----+
/// |    version     |         frame number         | 0| order|RA|AC|CH|UP|  1  |  folio
/// +----------------+------------------------------+--+------+--+--+--+--+-----+
/// |                              version                                |  2  |  hole
/// +---------------------------------------------------------------------+-----+
/// |                       61 bits of the caller's                       |  3  |  value (a shadow, later)
/// +--------+------------------------------------------------+-----------+-----+
/// | shift  |        address of the child's slots (64-byte aligned)      |  4  |  node
/// +--------+------------------------------------------------------------+-----+
/// |                                  0                                  |  5  |  retry
/// +---------------------------------------------------------------------+-----+
/// |                                  0                                  |  0  |  empty: nothing known
/// +---------------------------------------------------------------------+-----+
/// ```
///
/// UP up to date · CH changing · AC accessed · RA read-ahead mark.
///
/// A folio's word names the frame that backs *this* slot, not the folio's head: a lookup resolves nothing else. A slot that sits at a higher
/// level covers `fanOut^level` pages, in one contiguous piece of the folio. 28 bits of frame number are a pool of 1 TiB in 4 KiB frames; 4 bits of
/// order reach beyond the buddy allocator's 9; what is left, 24 bits, is the version.
///
/// **Why a word never comes back while somebody reads.** A reader accepts what it copied if the word is the same before and after. So within one read
/// section no slot may hold the same word twice with something else between.
/// - Folio words: the version belongs to the *frame*. Each change of a frame's word, in place or by moving it to another slot, takes the successor of the
///   version it had. A frame that left the index comes back only after a grace period. And going from the last version to the first waits for a
///   grace period too (`successor`), so the same frame never shows the same version twice in one section.
/// - Hole words have no frame, but 61 bits of version, from a counter of the index that does not wrap in the life of a machine.
/// - Empty, value, node and retry words are never accepted by a reader.
///
/// A single counter of 24 bits for all changes of an index, with a grace period at its wrap, is not enough: a word written long ago, at version v,
/// may be read when the counter stands at v - 2; two changes later the slot shows the same word again.
@frozen
package struct Entry: Equatable, Sendable {
  package let word: UInt64

  @inlinable @inline(__always)
  package init(word: UInt64) { self.word = word }

  /// What kind of word it is: its low three bits.
  package enum Kind: UInt64, Sendable {
    case empty = 0
    case folio, hole, value, node, retry
  }

  // MARK: Layout

  package static var kindMask: UInt64 { @inlinable @inline(__always) get { 7 } }
  package static var folioKind: UInt64 { @inlinable @inline(__always) get { 1 } }
  package static var nodeKind: UInt64 { @inlinable @inline(__always) get { 4 } }
  package static var upToDateBit: UInt64 { @inlinable @inline(__always) get { 1 << 3 } }
  package static var changingBit: UInt64 { @inlinable @inline(__always) get { 1 << 4 } }
  package static var accessedBit: UInt64 { @inlinable @inline(__always) get { 1 << 5 } }
  package static var readAheadBit: UInt64 { @inlinable @inline(__always) get { 1 << 6 } }
  package static var orderShift: UInt64 { @inlinable @inline(__always) get { 7 } }
  package static var orderMask: UInt64 { @inlinable @inline(__always) get { 15 } }
  package static var frameShift: UInt64 { @inlinable @inline(__always) get { 12 } }
  package static var frameBits: UInt64 { @inlinable @inline(__always) get { 28 } }
  package static var frameMask: UInt64 { @inlinable @inline(__always) get { (1 << 28) - 1 } }
  package static var versionShift: UInt64 { @inlinable @inline(__always) get { 40 } }
  package static var versionBits: UInt64 { @inlinable @inline(__always) get { 24 } }
  package static var nodeAddressMask: UInt64 { @inlinable @inline(__always) get { 0x00FF_FFFF_FFFF_FFC0 } }
  package static var nodeLevelShift: UInt64 { @inlinable @inline(__always) get { 56 } }
  package static var maximumOrder: Int { @inlinable @inline(__always) get { 9 } }

  /// The bits a hit looks at: kind, up to date, changing, accessed, read-ahead.
  package static var hitMask: UInt64 {
    @inlinable @inline(__always) get { kindMask | upToDateBit | changingBit | accessedBit | readAheadBit }
  }
  /// ... and what they must say: a folio, up to date, not changing, accessed before, no mark that wants work.
  package static var hitPattern: UInt64 { @inlinable @inline(__always) get { folioKind | upToDateBit | accessedBit } }

  // MARK: Making

  package static var empty: Entry { @inlinable @inline(__always) get { Entry(word: 0) } }
  package static var retry: Entry { @inlinable @inline(__always) get { Entry(word: 5) } }

  @inlinable
  package static func folio(frame: UInt64, order: Int, version: UInt64, flags: UInt64 = upToDateBit) -> Entry {
    assert(frame <= frameMask && order >= 0 && order <= maximumOrder && version < 1 << versionBits)
    assert(flags & ~(upToDateBit | changingBit | accessedBit | readAheadBit) == 0)
    return Entry(
      word: folioKind | flags | UInt64(order) &<< orderShift | frame &<< frameShift | version &<< versionShift)
  }

  @inlinable
  package static func hole(version: UInt64) -> Entry {
    assert(version < 1 << 61)
    return Entry(word: Kind.hole.rawValue | version &<< 3)
  }

  /// A word of the caller's: 61 bits.
  @inlinable
  package static func value(_ value: UInt64) -> Entry {
    assert(value < 1 << 61)
    return Entry(word: Kind.value.rawValue | value &<< 3)
  }

  static func node(_ node: Node, shift: Int) -> Entry {
    let address = unsafe UInt64(UInt(bitPattern: node.slots))
    assert(address & ~nodeAddressMask == 0)
    return Entry(word: nodeKind | address | UInt64(shift) &<< nodeLevelShift)
  }

  // MARK: Reading

  package var kind: Kind { Kind(rawValue: word & Entry.kindMask) ?? .retry }

  @inlinable @inline(__always)
  package var isNode: Bool { word & Entry.kindMask == Entry.nodeKind }
  @inlinable @inline(__always)
  package var isFolio: Bool { word & Entry.kindMask == Entry.folioKind }
  @inlinable @inline(__always)
  package var isEmpty: Bool { word == 0 }
  /// Whether a hit may copy without any cold work.
  @inlinable @inline(__always)
  package var isPlainHit: Bool { word & Entry.hitMask == Entry.hitPattern }
  /// Whether the bytes under it are whole: a folio, up to date and not changing.
  @inlinable @inline(__always)
  package var isStable: Bool {
    word & (Entry.kindMask | Entry.upToDateBit | Entry.changingBit) == Entry.folioKind | Entry.upToDateBit
  }

  /// Of a folio: the frame behind this slot.
  @inlinable @inline(__always)
  package var frame: UInt64 { word &>> Entry.frameShift & Entry.frameMask }
  /// Of a folio: the base-2 logarithm of its frames.
  @inlinable @inline(__always)
  package var order: Int { Int(truncatingIfNeeded: word &>> Entry.orderShift & Entry.orderMask) }
  /// Of a folio: its first frame. Folios lie naturally aligned in the arena.
  @inlinable @inline(__always)
  package var headFrame: UInt64 { frame & ~((1 &<< UInt64(order)) &- 1) }
  /// Of a folio.
  @inlinable @inline(__always)
  package var version: UInt64 { word &>> Entry.versionShift }
  @inlinable @inline(__always)
  package var isAccessed: Bool { word & Entry.accessedBit != 0 }
  /// Of a value entry.
  package var value: UInt64 { word &>> 3 }

  /// Of a node: its slots, and how far a page number is shifted to choose one.
  @inlinable @inline(__always)
  package var nodeSlots: UInt { UInt(truncatingIfNeeded: word & Entry.nodeAddressMask) }
  @inlinable @inline(__always)
  package var nodeShift: UInt64 { word &>> Entry.nodeLevelShift }

  @inlinable @inline(__always)
  package func setting(_ bits: UInt64) -> Entry { Entry(word: word | bits) }
  @inlinable @inline(__always)
  package func clearing(_ bits: UInt64) -> Entry { Entry(word: word & ~bits) }

  /// Whether nothing that matters to a reader has changed: all but the access bit, which other readers may set.
  @inlinable @inline(__always)
  package func isSame(as other: Entry) -> Bool { (word ^ other.word) & ~Entry.accessedBit == 0 }
}
