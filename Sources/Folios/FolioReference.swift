import PageIndex
import Primitives
import ReadCopyUpdate

/// A reference to whatever folio had a frame when it was taken. It may be another one than was meant: confirm it (L14).
///
/// Made, and confirmed or dropped, inside one read section.
@safe
package struct SpeculativeReference: ~Copyable {
  private unowned(unsafe) let pool: FramePool
  private let head: UInt64

  /// Takes a reference, or nil if the folio's count is frozen: it is on its way out.
  /// - Cost: one locked instruction.
  package init?(_ pool: FramePool, head: UInt64) {
    guard pool.table[head].tryTakeReference() else { return nil }
    unsafe self.pool = pool
    self.head = head
  }

  /// Dropped without being confirmed: gives it back.
  deinit { unsafe pool.giveBackReference(head) }

  /// Becomes a reference to the folio that an entry names, if the entry still says what it said. Otherwise gives it back.
  package consuming func confirm(_ location: PageIndex.Location) -> FolioReference? {
    // The fetch-and-add that took the reference is an acquire: this load is not older. And who removes an entry freezes the count first, so an
    // unchanged word means that the reference was taken in time. Relaxed: what the word says was acquired when it was found.
    let isConfirmed =
      !keeps(.confirmation) || Entry(word: location.slot.loadRelaxed()).isSame(as: location.entry)
    let reference = unsafe FolioReference(pool: pool, head: head)
    discard self
    if isConfirmed { return reference }
    return nil
  }
}

/// A reference to a folio: its frames stay its own, evicted or not, until it is given back.
@safe
package struct FolioReference: ~Copyable {
  private unowned(unsafe) let pool: FramePool
  package let head: UInt64

  init(pool: FramePool, head: UInt64) {
    unsafe self.pool = pool
    self.head = head
  }

  /// Gives the reference back; retires the folio with the last.
  deinit { unsafe pool.giveBackReference(head) }

  /// Lets go without giving back: the caller does so later, by `FramePool.giveBackReference`.
  package consuming func intoHead() -> UInt64 {
    let head = head
    discard self
    return head
  }
}

extension FramePool {
  /// Gives back a reference to a folio, and retires the folio with the last.
  /// - Cost: a read section and one locked instruction; for the last one, a compare-and-exchange and two locks more.
  package func giveBackReference(_ head: UInt64) {
    let folio = table[head]
    // In a read section: between its two steps the folio must not be handed on (L33).
    let wasLast = keeps(.putInSection) ? domain.read { folio.giveBackReference() } : folio.giveBackReference()
    if wasLast { retire(head) }
  }
}
