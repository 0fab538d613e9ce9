#if !RaceLaboratory
  import Synchronization

  /// A 64-bit word that several threads read and write, stored in place: a `let` property of a class costs no second load to reach and no
  /// exclusivity check. Orderings as in `SharedWord`.
  @frozen
  public struct InlineWord: ~Copyable, Sendable {
    @usableFromInline let cell: Atomic<UInt64>

    @inlinable @inline(__always)
    package init(_ value: UInt64) { cell = Atomic(value) }

    @inlinable @inline(__always)
    package func loadRelaxed() -> UInt64 { cell.load(ordering: .relaxed) }

    @inlinable @inline(__always)
    package func loadAcquire() -> UInt64 { cell.load(ordering: .acquiring) }

    @inlinable @inline(__always)
    package func storeRelaxed(_ value: UInt64) { cell.store(value, ordering: .relaxed) }

    @inlinable @inline(__always)
    package func storeRelease(_ value: UInt64) { cell.store(value, ordering: .releasing) }

    @inlinable @inline(__always)
    package func exchangeRelaxed(_ value: UInt64) -> UInt64 { cell.exchange(value, ordering: .relaxed) }

    @inlinable @inline(__always)
    package func exchangeAcquireRelease(_ value: UInt64) -> UInt64 {
      cell.exchange(value, ordering: .acquiringAndReleasing)
    }

    /// Returns the value before the addition.
    @inlinable @inline(__always)
    package func fetchAddAcquireRelease(_ amount: UInt64) -> UInt64 {
      cell.wrappingAdd(amount, ordering: .acquiringAndReleasing).oldValue
    }

    /// Returns the value before the addition.
    @inlinable @inline(__always)
    package func fetchAddRelaxed(_ amount: UInt64) -> UInt64 {
      cell.wrappingAdd(amount, ordering: .relaxed).oldValue
    }
  }
#endif
