import BackingStores
import PageCache
import Primitives
import TestSupport
import Testing

/// Folios of several pages that writes make.
@Suite struct LargeWriteTests {
  private func cache(limit: Int = 64 << 20, orders: ClosedRange<Int> = 0...4) throws -> PageCache {
    try PageCache(.init(memoryLimit: limit, folioOrders: orders, maximumAtomicLength: 1 << 20, readAheadLength: 0))
  }

  private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

  private func folios(_ cache: PageCache) throws -> [Int] {
    try cache.statistics().cachedFramesByOrder.enumerated().map { $1 >> $0 }
  }

  @Test func foliosAreAsLargeAsTheWrite() throws {
    let cache = try cache()
    let file = try cache.open(store: MemoryStore(bytes: []), .readWrite())
    try file.write(toAbsoluteOffset: 0, someBytes(256 << 10))
    #expect(try folios(cache) == [0, 0, 0, 0, 4, 0, 0, 0, 0, 0])
    try file.write(toAbsoluteOffset: 1 << 20, someBytes(4096))
    #expect(try folios(cache) == [1, 0, 0, 0, 4, 0, 0, 0, 0, 0])
    // From page 1 on: one page, then 2, 4, 8, then 16, and the rest.
    try file.write(toAbsoluteOffset: 2 << 20 | 4096, someBytes(36 * 4096))
    #expect(try folios(cache) == [3, 1, 2, 1, 5, 0, 0, 0, 0, 0])
    // Ends that are not of pages are filled up: with nothing, where there is nothing.
    try file.write(toAbsoluteOffset: 4 << 20 | 100, someBytes(16 * 4096 - 200, 3))
    #expect(try folios(cache) == [3, 1, 2, 1, 6, 0, 0, 0, 0, 0])
    #expect(try file.read(fromAbsoluteOffset: 4 << 20, count: 65536) == zeros(100) + someBytes(65336, 3))
    try file.close()
  }

  @Test(arguments: PageCache.Durability.allCases) func onlyWhatIsWrittenIsOwed(_ durability: PageCache.Durability)
    throws
  {
    let memory = MemoryStore(bytes: someBytes(1 << 20, 7))
    let cache = try cache()
    let file = try cache.open(store: memory, .readWrite(durability: durability))
    var model = BytesModel(bytes: someBytes(1 << 20, 7))
    func write(_ offset: Int, _ count: Int, _ number: Int) throws {
      try file.write(toAbsoluteOffset: Int64(offset), someBytes(count, number))
      model.write(someBytes(count, number), at: offset)
    }
    // The first and the last page are read from the store for what is around.
    try write(65536 + 10, 131_072 - 20, 1)
    #expect(try folios(cache)[4] == 2)
    #expect(try contents(file) == model.bytes)
    try file.sync()
    #expect(memory.bytes() == model.bytes && memory.crashed() == model.bytes)
    #expect(try cache.statistics().owedFrames == 0)
    try write(70_000, 1, 2)
    #expect(try cache.statistics().owedFrames == 1, "one page of a folio of sixteen")
    let before = try cache.statistics().writtenBackBytes
    try file.sync()
    if durability == .writeBack { #expect(try cache.statistics().writtenBackBytes - before == 4096) }
    #expect(memory.crashed() == model.bytes)
    try file.close()
  }

  @Test func holesAndWhatIsThere() throws {
    let memory = MemoryStore(holeOf: 4 << 20)
    let cache = try cache()
    let file = try cache.open(store: memory, .readWrite())
    var model = BytesModel(bytes: zeros(4 << 20))
    // A page in the middle is there already: it stays, and the others are around it.
    try file.write(toAbsoluteOffset: 5 * 4096, someBytes(4096))
    #expect(try file.read(fromAbsoluteOffset: 0, count: 4 << 20).count == 4 << 20)
    try file.write(toAbsoluteOffset: 0, someBytes(16 * 4096, 2))
    model.write(someBytes(16 * 4096, 2), at: 0)
    #expect(try folios(cache) == [2, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    #expect(try contents(file) == model.bytes)
    // What is punched out of a large one is free at once, and what comes there again is large again.
    try file.write(toAbsoluteOffset: 1 << 20, someBytes(65536, 3))
    try file.punchHole(1 << 20..<1 << 20 | 32768)
    #expect(try folios(cache)[4] == 0 && folios(cache)[3] == 2)
    try file.write(toAbsoluteOffset: 1 << 20, someBytes(32768, 4))
    model.write(someBytes(65536, 3), at: 1 << 20)
    model.write(someBytes(32768, 4), at: 1 << 20)
    #expect(try folios(cache)[3] == 3)
    #expect(try contents(file) == model.bytes)
    try file.sync()
    #expect(memory.bytes() == model.bytes)
    try file.close()
  }

  @Test func aLoanKeepsItsBytes() throws {
    let cache = try cache()
    let file = try cache.open(store: MemoryStore(bytes: []), .readWrite())
    try file.write(toAbsoluteOffset: 0, someBytes(65536, 1))
    try file.withBytes(atAbsoluteOffset: 8192, count: 4096) { span in
      try file.write(toAbsoluteOffset: 0, someBytes(65536, 2))
      #expect(unsafe span.withUnsafeBytes { unsafe Array($0) } == Array(someBytes(65536, 1)[8192..<12288]))
    }
    #expect(try contents(file) == someBytes(65536, 2))
    try file.close()
  }

  @Test func manyWritesAtTheLimit() throws {
    let cache = try cache(limit: 8 << 20)
    let before = try cache.statistics().freeFrames
    let memory = MemoryStore(bytes: [])
    let file = try cache.open(store: memory, .readWrite())
    let pieces = 96
    for piece in 0..<pieces { try file.write(toAbsoluteOffset: Int64(piece) << 18 | 4096, someBytes(1 << 18, piece)) }
    for piece in 0..<pieces {
      #expect(
        try file.read(fromAbsoluteOffset: Int64(piece) << 18 | 4096, count: 1 << 18) == someBytes(1 << 18, piece))
    }
    #expect(try cache.statistics().evictions > 0)
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  @Test func aRefusalLosesNothing() throws {
    let memory = MemoryStore(bytes: someBytes(1 << 20))
    let cache = try cache()
    let before = try cache.statistics().freeFrames
    // The read of what is around the last page fails.
    let store = FaultInjectingStore(memory) { _, request in
      request.offset == 31 * 4096 ? .fail(.system(.ioError)) : nil
    }
    let file = try cache.open(store: store, .readWrite())
    expectRefusal(.write, "store") { try file.write(toAbsoluteOffset: 65536, someBytes(65436, 2)) }
    #expect(try file.read(fromAbsoluteOffset: 65536, count: 4096) == Array(someBytes(1 << 20)[65536..<69632]))
    #expect(try cache.statistics().owedFrames == 0)
    try file.close()
    try expectAllFramesBack(cache, before)
  }
}
