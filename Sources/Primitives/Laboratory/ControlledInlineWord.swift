#if RaceLaboratory
  import RaceLaboratory

  /// As outside the laboratory; in memory of its own, so that it has an address.
  @safe @frozen
  public struct InlineWord: ~Copyable, @unchecked Sendable {
    private let cell: UnsafeMutableRawPointer

    @usableFromInline package init(_ value: UInt64) {
      unsafe cell = .allocate(byteCount: 8, alignment: 8)
      unsafe cell.storeBytes(of: value, as: UInt64.self)
      unsafe Explorer.shared.forget(cell)
    }

    deinit {
      unsafe Explorer.shared.remove(cell)
      unsafe cell.deallocate()
    }

    @usableFromInline package func loadRelaxed(file: StaticString = #fileID, line: UInt = #line) -> UInt64 {
      unsafe Explorer.shared.load(cell, .relaxed, Site(file, line))
    }

    @usableFromInline package func loadAcquire(file: StaticString = #fileID, line: UInt = #line) -> UInt64 {
      unsafe Explorer.shared.load(cell, .acquire, Site(file, line))
    }

    @usableFromInline package func storeRelaxed(_ value: UInt64, file: StaticString = #fileID, line: UInt = #line) {
      unsafe Explorer.shared.store(cell, value, .relaxed, Site(file, line))
    }

    @usableFromInline package func storeRelease(_ value: UInt64, file: StaticString = #fileID, line: UInt = #line) {
      unsafe Explorer.shared.store(cell, value, .release, Site(file, line))
    }

    @usableFromInline package func exchangeRelaxed(_ value: UInt64, file: StaticString = #fileID, line: UInt = #line)
      -> UInt64
    {
      unsafe Explorer.shared.update(cell, .relaxed, Site(file, line), as: .exchange) { _ in value }
    }

    @usableFromInline package func exchangeAcquireRelease(
      _ value: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> UInt64 {
      unsafe Explorer.shared.update(cell, .acquireRelease, Site(file, line), as: .exchange) { _ in value }
    }

    @usableFromInline package func fetchAddAcquireRelease(
      _ amount: UInt64, file: StaticString = #fileID, line: UInt = #line
    ) -> UInt64 {
      unsafe Explorer.shared.update(cell, .acquireRelease, Site(file, line), as: .add) { $0 &+ amount }
    }

    @usableFromInline package func fetchAddRelaxed(_ amount: UInt64, file: StaticString = #fileID, line: UInt = #line)
      -> UInt64
    {
      unsafe Explorer.shared.update(cell, .relaxed, Site(file, line), as: .add) { $0 &+ amount }
    }
  }
#endif
