import BackingStores
import PageCache
import Primitives
import SystemPackage
import Testing

/// P7: a store is never made shorter than what it has been given, whatever else it refuses at that time.
@Suite struct KeptGrowthTests {
  /// A call about a range that the store ends before. A clone would make it longer.
  enum Refused: String, CaseIterable {
    case clone, zero, allocate

    func isIt(_ call: ScriptedStore.Call) -> Bool {
      switch (self, call) {
      case (.clone, .clone), (.zero, .change(.zero, _)), (.allocate, .change(.allocate, _)): true
      default: false
      }
    }
  }

  private struct Setting {
    let store = ScriptedStore()
    let cache: PageCache
    let back: CachedFile
    let through: CachedFile
    let source: CachedFile
    let refused: Refused

    /// A file of three pages of which the store has nothing; a call that it refuses would give it two.
    init(_ refused: Refused) throws {
      self.refused = refused
      cache = try smallCache()
      back = try store.open(in: cache, .writeBack)
      through = try store.openAgain(in: cache)
      source = try cache.open(store: ScriptedStore(filled(1, 8192)))
      try back.sync()
      try back.write(toAbsoluteOffset: 8192, filled(3))
      store.before { call in refused.isIt(call) ? .refuse(.unsupported) : nil }
    }

    /// Makes the call that is refused.
    func call() throws {
      switch refused {
      case .clone: try back.clone(0..<8192, of: source, to: 0)
      case .zero: try? back.zeroRange(0..<8192)
      case .allocate: try? back.allocate(0..<8192)
      }
    }
  }

  /// What has made the file longer is not written yet. The store does not get a size that the file never had.
  @Test(arguments: [Refused.zero, .allocate]) func withinAFileThatTheStoreIsNotAsLongAs(_ call: Refused) throws {
    let store = ScriptedStore(filled(1, 4096))
    let cache = try smallCache()
    let file = try store.open(in: cache, .writeBack)
    try file.write(toAbsoluteOffset: 12_288, filled(3))
    if call == .zero { try file.zeroRange(5000..<9000) } else { try file.allocate(5000..<9000) }
    #expect(store.present.count == 4096)
    try file.sync()
    #expect(store.durable == filled(1) + filled(0, 8192) + filled(3))
    try file.close()
  }

  /// D1. The store has the bytes of a write past the end of the file; the write has not returned.
  @Test(arguments: Refused.allCases) func aRefusalBesideAWriteThatExtends(_ refused: Refused) throws {
    let setting = try Setting(refused)
    let (store, once) = (setting.store, Once())
    store.after { call in
      guard call == .write(20_480..<24_576), once.isFirst() else { return }
      let refusing = StagedThread("refused") { try setting.call() }
      // It may wait for the write; it must not undo it.
      refusing.waitUntilOverOrAsleep()
    }
    try setting.through.write(toAbsoluteOffset: 20_480, filled(9))
    expectBytes(
      Array(store.present.suffix(4096)), filled(9), "the write has returned, and the store does not have its bytes")
    try setting.through.sync()
    try setting.through.sync()
    expectBytes(Array(store.durable.suffix(4096)), filled(9), "synced")
  }

  /// D1. The write has been made durable before the store is made shorter.
  @Test(arguments: Refused.allCases) func aRefusalBesideAWriteThatIsSynced(_ refused: Refused) throws {
    let setting = try Setting(refused)
    let store = setting.store
    let (given, goesOn, resizes, synced) = (Moment(), Moment(), Moment(), Moment())
    store.after { call in
      guard call == .write(20_480..<24_576) else { return }
      given.come()
      goesOn.wait()
    }
    store.before { call in
      guard case .resize(let size) = call, size < 24_576 else { return nil }
      resizes.come()
      synced.wait()
      return nil
    }
    let writing = StagedThread("writing") {
      try setting.through.write(toAbsoluteOffset: 20_480, filled(9))
      try setting.through.sync()
    }
    given.wait()
    let refusing = StagedThread("refused") { try setting.call() }
    // Until it has come to the store with a size that it has seen, or waits for the write, or is done.
    refusing.waitUntilOverOrAsleep()
    goesOn.come()
    try writing.value()
    expectBytes(Array(store.durable.suffix(4096)), filled(9), "synced")
    synced.come()
    try refusing.value()
    #expect(!resizes.hasCome, "the store was told a size by which it loses what it was given")
    try setting.back.sync()
    #expect(store.durable.count == 24_576)
    expectBytes(Array(store.durable.suffix(4096)), filled(9), "it was synced before")
  }
}
