import BackingStores
import PageCache
import Primitives
import SystemPackage
import Testing

/// P7: of two ranges that are exchanged, the bytes of each are somewhere at all times.
@Suite struct KeptExchangeTests {
  enum Side: String, CaseIterable { case mine, theirs, bothInOneFile }

  /// D3. A flush of one side fails, for another handle, when both stores have been given the other side's bytes.
  @Test(arguments: Side.allCases) func aFlushThatFailsInTheMiddle(_ side: Side) throws {
    let isOneFile = side == .bothInOneFile
    let stores = (mine: ScriptedStore(filled(1) + filled(2)), theirs: ScriptedStore(filled(1) + filled(2)))
    let cache = try smallCache()
    let mine = try stores.mine.open(in: cache)
    let theirs = try isOneFile ? stores.mine.openAgain(in: cache) : stores.theirs.open(in: cache)
    let losing = side == .theirs ? stores.theirs : stores.mine
    let other = try losing.openAgain(in: cache)
    for file in [mine, theirs, other] { try file.sync() }

    let (once, fails, hasBoth) = (Once(), Once(), Moment())
    let syncing = Handover<StagedThread<Void>>()
    @Sendable func strike() {
      guard hasBoth.hasCome, once.isFirst() else { return }
      losing.before { call in call == .flush && fails.isFirst() ? .lose : nil }
      // In a design that has it wait for the exchange, it fails after that.
      let thread = StagedThread("other") { try other.sync() }
      thread.waitUntilOverOrAsleep()
      syncing.put(thread)
    }
    (isOneFile ? stores.mine : stores.theirs).after { call in
      guard case .write(let range) = call, range.lowerBound == 4096 else { return }
      hasBoth.come()
      if side != .theirs { strike() }
    }
    // What is put to the second store is known of it when the first one is flushed.
    stores.mine.before { call in
      if call == .flush, side == .theirs { strike() }
      return nil
    }
    try mine.exchange(0..<4096, with: theirs, at: 4096)
    #expect(syncing.take()?.error() is CacheError?)

    for file in [mine, theirs] {
      // The first one tells of the failure.
      try? file.sync()
      try file.sync()
    }
    #expect(stores.mine.durable(at: 0) == 2, "synced")
    #expect((isOneFile ? stores.mine : stores.theirs).durable(at: 4096) == 1, "synced")
    #expect(try mine.read(fromAbsoluteOffset: 0, count: 1) == [2])
    #expect(try theirs.read(fromAbsoluteOffset: 4096, count: 1) == [1])
    for file in [mine, theirs, other] { try? file.close(discardingDirty: true) }
  }
}
