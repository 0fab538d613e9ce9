import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P7: what a flush that has succeeded covers.
@Suite struct KeptFlushTests {
  /// D10. The bytes of the range are in the file, so they are in what a crash leaves.
  @Test(arguments: [0..<4096, 100..<200, 4096..<12_288, 8192..<8193, 0..<20_000] as [Range<Int64>])
  func aRangeThatTheStoreDoesNotReach(_ range: Range<Int64>) throws {
    let store = ScriptedStore()
    let cache = try smallCache()
    let file = try store.open(in: cache, .writeBack)
    try file.write(toAbsoluteOffset: 8192, filled(7))
    try file.flush(range)
    let end = min(range.upperBound, 12_288)
    #expect(store.durable.count >= end, "after a crash the file ends before the range does")
    let wanted = Int(range.lowerBound)..<Int(end)
    if store.durable.count >= end { #expect(try store.durable[wanted] == contents(file)[wanted]) }
    try file.close()
  }

  /// D10. The end of the file is a hole that the store has not been told of.
  @Test func aRangeThatEndsInAHole() throws {
    let store = ScriptedStore()
    let cache = try smallCache()
    let file = try store.open(in: cache, .writeBack)
    try file.write(toAbsoluteOffset: 8192, filled(7))
    try file.punchHole(8192..<12_288)
    try file.flush(0..<12_288)
    expectBytes(store.durable, filled(0, 12_288), "flushed")
    try file.close()
  }

  enum Reshaping: String, CaseIterable { case collapse, insert }

  /// D11. What lies behind the range is made durable before it is moved; also what was given to the store before the
  /// file was opened again.
  @Test(arguments: Reshaping.allCases, PageCache.Durability.allCases)
  func reshapingAfterAReopen(_ reshaping: Reshaping, _ durability: PageCache.Durability) throws {
    let store = ScriptedStore(filled(1, 16_384))
    let cache = try smallCache()
    let first = try store.open(in: cache, durability)
    try first.sync()
    try first.write(toAbsoluteOffset: 8192, filled(7))
    try first.close()
    #expect(store.durable[8192] == 1, "a close does not flush")
    let file = try store.open(in: cache, durability)
    let isCovered = Word()
    store.before { [weak store] call in
      if case .change = call, store?.durable[8192] == 7 { isCovered.set(1) }
      return nil
    }
    if reshaping == .collapse { try file.collapseRange(0..<4096) } else { try file.insertRange(0..<4096) }
    #expect(isCovered.value == 1, "the store moves what it may lose")
    try file.close()
  }

  /// A file that ends in a hole of which the store has nothing yet.
  private func openWithHoleAtEnd(_ store: ScriptedStore, _ cache: PageCache) throws -> CachedFile {
    let file = try store.open(in: cache, .writeBack)
    try file.write(toAbsoluteOffset: 0, filled(5))
    try file.write(toAbsoluteOffset: 8192, filled(7))
    try file.punchHole(8192..<12_288)
    return file
  }

  /// D16. The store is made as long as the files before it is asked to compare them.
  @Test(arguments: [true, false]) func aHoleAtTheEndOfWhatIsDeduped(isMine: Bool) throws {
    let stores = [ScriptedStore(), ScriptedStore()]
    let cache = try smallCache()
    let files =
      isMine
      ? [try openWithHoleAtEnd(stores[0], cache), try stores[1].open(in: cache)]
      : [try stores[0].open(in: cache), try openWithHoleAtEnd(stores[1], cache)]
    let full = files[isMine ? 1 : 0]
    try full.write(toAbsoluteOffset: 0, filled(5))
    try full.resize(to: 12_288)
    #expect(stores[isMine ? 0 : 1].present.isEmpty, "the store has nothing of it")
    #expect(try files[0].dedupe(0..<12_288, with: files[1], at: 0))
    #expect(stores.map(\.present.count) == [12_288, 12_288])
    for file in files { try file.close() }
  }
}
