#if RaceLaboratory
  import RaceLaboratory

  /// As outside the laboratory; every operation is a step that the laboratory controls, and knows where it stands.
  @safe @frozen
  public struct SharedWord: @unchecked Sendable {
    @usableFromInline package let address: UnsafeMutableRawPointer

    @usableFromInline package init(at address: UnsafeMutableRawPointer) { unsafe self.address = address }

    @usableFromInline package func loadRelaxed(file: StaticString = #fileID, line: UInt = #line) -> UInt64 {
      unsafe Explorer.shared.load(address, .relaxed, Site(file, line))
    }

    @usableFromInline package func loadAcquire(file: StaticString = #fileID, line: UInt = #line) -> UInt64 {
      unsafe Explorer.shared.load(address, .acquire, Site(file, line))
    }

    @usableFromInline package func storeRelaxed(_ value: UInt64, file: StaticString = #fileID, line: UInt = #line) {
      unsafe Explorer.shared.store(address, value, .relaxed, Site(file, line))
    }

    @usableFromInline package func storeRelease(_ value: UInt64, file: StaticString = #fileID, line: UInt = #line) {
      unsafe Explorer.shared.store(address, value, .release, Site(file, line))
    }

    /// Counts in a word that nobody else writes, and that nothing depends on: no step.
    @usableFromInline package func addAsOnlyWriter(_ amount: UInt64) {
      unsafe Explorer.shared.addUnseen(address, amount)
    }

    @usableFromInline package func exchangeAcquireRelease(
      _ value: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> UInt64 {
      unsafe Explorer.shared.update(address, .acquireRelease, Site(file, line), as: .exchange) { _ in value }
    }

    @usableFromInline package func fetchAddRelaxed(_ amount: UInt64, file: StaticString = #fileID, line: UInt = #line)
      -> UInt64
    {
      unsafe Explorer.shared.update(address, .relaxed, Site(file, line), as: .add) { $0 &+ amount }
    }

    @usableFromInline package func fetchAddAcquire(_ amount: UInt64, file: StaticString = #fileID, line: UInt = #line)
      -> UInt64
    {
      unsafe Explorer.shared.update(address, .acquire, Site(file, line), as: .add) { $0 &+ amount }
    }

    @usableFromInline package func fetchAddRelease(_ amount: UInt64, file: StaticString = #fileID, line: UInt = #line)
      -> UInt64
    {
      unsafe Explorer.shared.update(address, .release, Site(file, line), as: .add) { $0 &+ amount }
    }

    @usableFromInline package func fetchSubtractRelease(
      _ amount: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> UInt64 {
      unsafe Explorer.shared.update(address, .release, Site(file, line), as: .add) { $0 &- amount }
    }

    @usableFromInline package func compareExchangeRelaxed(
      expected: UInt64, desired: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> (exchanged: Bool, original: UInt64) {
      let original = unsafe Explorer.shared.update(address, .relaxed, Site(file, line), as: .compareExchange) {
        $0 == expected ? desired : nil
      }
      return (original == expected, original)
    }

    @usableFromInline package func compareExchangeAcquire(
      expected: UInt64, desired: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> (exchanged: Bool, original: UInt64) {
      let original = unsafe Explorer.shared.update(address, .acquire, Site(file, line), as: .compareExchange) {
        $0 == expected ? desired : nil
      }
      return (original == expected, original)
    }

    @usableFromInline package func compareExchangeRelease(
      expected: UInt64, desired: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> (exchanged: Bool, original: UInt64) {
      let original = unsafe Explorer.shared.update(address, .release, Site(file, line), as: .compareExchange) {
        $0 == expected ? desired : nil
      }
      return (original == expected, original)
    }

    @usableFromInline package func compareExchangeAcquireRelease(
      expected: UInt64, desired: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> (exchanged: Bool, original: UInt64) {
      let original = unsafe Explorer.shared.update(address, .acquireRelease, Site(file, line), as: .compareExchange) {
        $0 == expected ? desired : nil
      }
      return (original == expected, original)
    }
  }
#endif
