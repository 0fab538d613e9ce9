import Primitives

/// What is known of a frame, 64 bytes, in an array of its own.
///
/// ```
///   byte 0   references   bit 63: frozen. The index holds one while the folio is in it; borrowers and slow paths hold others
///        8   pins         of direct I/O and the like; never mixed with references (L25). Nothing takes any yet
///       16   owner        number of the file, or of the chunk's head frame
///       24   page         the folio's first page in its file
///       32   link         next and previous in the list that the frame is on, each plus one, 32 bits
///       40   period       grace period that must be over before the frame is free
///       48   state        kind in bits 0-7, order in bits 8-15
///       56   spare        the chunk allocator's; of a folio in the index, the queue of reclaim that it is in: see `FolioQueues`
/// ```
///
/// Valid for the first frame of a block; the others of the block say `tail`. All words are atomic, because reclaim looks at them without a lock
/// and confirms what it saw under the index lock.
@safe
@frozen
public struct FolioMetadata: @unchecked Sendable {
  @usableFromInline let base: UnsafeMutableRawPointer

  @inlinable @inline(__always)
  public static var byteCount: Int { 64 }

  @inlinable @inline(__always)
  init(base: UnsafeMutableRawPointer) { unsafe self.base = base }

  // Safe: offsets inside the 64 bytes, aligned; the array lives as long as the pool.
  @inlinable @inline(__always)
  package var references: SharedWord { unsafe SharedWord(at: base) }
  package var pins: SharedWord { unsafe SharedWord(at: base + 8) }
  package var owner: SharedWord { unsafe SharedWord(at: base + 16) }
  package var page: SharedWord { unsafe SharedWord(at: base + 24) }
  var link: SharedWord { unsafe SharedWord(at: base + 32) }
  var period: SharedWord { unsafe SharedWord(at: base + 40) }
  package var state: SharedWord { unsafe SharedWord(at: base + 48) }
  var spare: SharedWord { unsafe SharedWord(at: base + 56) }

  /// What a block of frames is used for.
  package enum Kind: UInt64, Sendable {
    /// Not the first frame of its block.
    case tail = 0
    /// On a free list.
    case free
    /// Handed out, not yet in an index.
    case allocated
    /// In an index.
    case cached
    /// Out of the index; waiting for a grace period or for its last reference.
    case leaving
    /// Holds index nodes.
    case nodes
    /// Free, and given back to the system: the limit has been lowered.
    case withdrawn
  }

  package static func state(_ kind: Kind, order: Int) -> UInt64 { kind.rawValue | UInt64(order) << 8 }

  package var kind: Kind { Kind(rawValue: state.loadRelaxed() & 0xFF) ?? .tail }
  package var order: Int { Int(state.loadRelaxed() >> 8 & 0xFF) }

  package func setState(_ kind: Kind, order: Int) { state.storeRelaxed(FolioMetadata.state(kind, order: order)) }

  /// The list link: frame numbers or nil.
  var next: UInt64? {
    get { decode(link.loadRelaxed() & 0xFFFF_FFFF) }
    nonmutating set { link.storeRelaxed(link.loadRelaxed() & ~0xFFFF_FFFF | encode(newValue)) }
  }
  var previous: UInt64? {
    get { decode(link.loadRelaxed() >> 32) }
    nonmutating set { link.storeRelaxed(link.loadRelaxed() & 0xFFFF_FFFF | encode(newValue) << 32) }
  }

  private func encode(_ frame: UInt64?) -> UInt64 { frame.map { $0 + 1 } ?? 0 }
  private func decode(_ word: UInt64) -> UInt64? { word == 0 ? nil : word - 1 }
}
