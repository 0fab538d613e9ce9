import Primitives

// The count of references (S3, L32, L33): one fetch-and-add to take, one to give back; compare-and-exchange only for the one
// that gives back the last.
extension FolioMetadata {
  @inlinable @inline(__always)
  public static var frozenBit: UInt64 { 1 << 63 }

  /// Takes a reference to whatever folio has this frame now: false if the count is frozen. A refused attempt needs no undoing:
  /// unfreezing stores an absolute value.
  ///
  /// Acquire pairs with the release of `thaw`: the taker sees the folio as it was when its count was set.
  /// The folio is only speculatively the one that was meant: confirm it against the index entry.
  /// - Cost: one locked instruction.
  @inlinable @inline(__always)
  package func tryTakeReference() -> Bool { references.fetchAddAcquire(1) & FolioMetadata.frozenBit == 0 }

  /// The same by a loop of compare-and-exchange. Only for comparison: it collapses under contention (L32).
  @inlinable @inline(__always)
  package func tryTakeReferenceByCompareExchange() -> Bool {
    var old = references.loadRelaxed()
    while true {
      if old & FolioMetadata.frozenBit != 0 { return false }
      let (exchanged, original) = references.compareExchangeAcquire(expected: old, desired: old + 1)
      if exchanged { return true }
      old = original
    }
  }

  /// Gives a reference back. Inside a read section: else the folio could be freed and handed on between the two steps, and the second
  /// would destroy a stranger (L33).
  /// - Returns: true for the one caller that must now retire the folio. It looks at order and kind only after that (R10).
  @inlinable @inline(__always)
  package func giveBackReference() -> Bool {
    // Release: what the holder did with the bytes is over before anybody finds the count at zero.
    guard references.fetchSubtractRelease(1) == 1 else { return false }
    // Acquire pairs with the releases of all who gave back before.
    return references.compareExchangeAcquire(expected: 0, desired: FolioMetadata.frozenBit).exchanged
  }

  /// The same by a loop of compare-and-exchange. Only for comparison.
  @inlinable @inline(__always)
  package func giveBackReferenceByCompareExchange() -> Bool {
    var old = references.loadRelaxed()
    while true {
      // Acquire and release as above, in one.
      let (exchanged, original) = references.compareExchangeAcquireRelease(
        expected: old, desired: old == 1 ? FolioMetadata.frozenBit : old &- 1)
      if exchanged { return old == 1 }
      old = original
    }
  }

  /// Freezes the count if it is exactly what is expected: nobody takes a reference until it is thawed.
  package func freeze(expecting count: UInt64) -> Bool {
    references.compareExchangeAcquire(expected: count, desired: FolioMetadata.frozenBit).exchanged
  }

  /// Ends a freeze with a count of its own.
  package func thaw(to count: UInt64) { references.storeRelease(count) }
}
