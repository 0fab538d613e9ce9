#if !RaceLaboratory
  import Synchronization

  /// The address of a 64-bit word that several threads read and write.
  ///
  /// The protocols of this package keep their shared state in raw memory (index nodes, folio metadata, thread records), so an
  /// atomic is an address, not a stored property. Each method names its ordering: at the place of use one can read what an
  /// operation pairs with, and the race laboratory can weaken it.
  ///
  /// Safety: the maker of a `SharedWord` vouches that the address is 8-byte aligned and stays allocated while anybody uses it.
  /// Beyond that no use of it can break memory safety.
  @safe @frozen
  public struct SharedWord: @unchecked Sendable {
    @usableFromInline let cell: UnsafeMutablePointer<Atomic<UInt64>>

    @inlinable @inline(__always)
    package init(at address: UnsafeMutableRawPointer) {
      // Safe: an Atomic<UInt64> has the layout of a UInt64.
      unsafe cell = address.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inlinable @inline(__always)
    package var address: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(cell) }

    // MARK: Loads

    @inlinable @inline(__always)
    package func loadRelaxed() -> UInt64 { unsafe cell.pointee.load(ordering: .relaxed) }

    @inlinable @inline(__always)
    package func loadAcquire() -> UInt64 { unsafe cell.pointee.load(ordering: .acquiring) }

    // MARK: Stores

    @inlinable @inline(__always)
    package func storeRelaxed(_ value: UInt64) { unsafe cell.pointee.store(value, ordering: .relaxed) }

    @inlinable @inline(__always)
    package func storeRelease(_ value: UInt64) { unsafe cell.pointee.store(value, ordering: .releasing) }

    /// Adds without a locked instruction. Right only for words that one thread writes and others merely read.
    @inlinable @inline(__always)
    package func addAsOnlyWriter(_ amount: UInt64) { storeRelaxed(loadRelaxed() &+ amount) }

    // MARK: Read-modify-write

    @inlinable @inline(__always)
    package func exchangeAcquireRelease(_ value: UInt64) -> UInt64 {
      unsafe cell.pointee.exchange(value, ordering: .acquiringAndReleasing)
    }

    /// Returns the value before the addition.
    @inlinable @inline(__always)
    package func fetchAddRelaxed(_ amount: UInt64) -> UInt64 {
      unsafe cell.pointee.wrappingAdd(amount, ordering: .relaxed).oldValue
    }

    @inlinable @inline(__always)
    package func fetchAddAcquire(_ amount: UInt64) -> UInt64 {
      unsafe cell.pointee.wrappingAdd(amount, ordering: .acquiring).oldValue
    }

    @inlinable @inline(__always)
    package func fetchAddRelease(_ amount: UInt64) -> UInt64 {
      unsafe cell.pointee.wrappingAdd(amount, ordering: .releasing).oldValue
    }

    @inlinable @inline(__always)
    package func fetchSubtractRelease(_ amount: UInt64) -> UInt64 {
      unsafe cell.pointee.wrappingSubtract(amount, ordering: .releasing).oldValue
    }

    @inlinable @inline(__always)
    package func compareExchangeRelaxed(expected: UInt64, desired: UInt64) -> (exchanged: Bool, original: UInt64) {
      unsafe cell.pointee.compareExchange(expected: expected, desired: desired, ordering: .relaxed)
    }

    @inlinable @inline(__always)
    package func compareExchangeAcquire(expected: UInt64, desired: UInt64) -> (exchanged: Bool, original: UInt64) {
      unsafe cell.pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiring)
    }

    @inlinable @inline(__always)
    package func compareExchangeRelease(expected: UInt64, desired: UInt64) -> (exchanged: Bool, original: UInt64) {
      unsafe cell.pointee.compareExchange(expected: expected, desired: desired, ordering: .releasing)
    }

    @inlinable @inline(__always)
    package func compareExchangeAcquireRelease(expected: UInt64, desired: UInt64) -> (exchanged: Bool, original: UInt64)
    {
      unsafe cell.pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiringAndReleasing)
    }
  }
#endif
