import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What the common writes ask of the store.
@Suite struct StoreCallTests {
  @Test(arguments: [0...0, 4...4]) func aWriteInPlaceAsksNothing(orders: ClosedRange<Int>) throws {
    let store = FaultInjectingStore(MemoryStore(bytes: someBytes(100_000)))
    let cache = try PageCache(
      .init(
        memoryLimit: 8 << 20, folioOrders: orders, maximumAtomicLength: 1 << 16, writeBackAge: .seconds(3600)))
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    _ = try contents(file)
    let before = store.callCounts
    let statistics = try cache.statistics()
    for number in 0..<500 {
      let offset = number * 151 % 90_000
      try file.write(toAbsoluteOffset: Int64(offset), someBytes(number % 3 == 0 ? 9000 : 64, number))
      #expect(try file.read(fromAbsoluteOffset: Int64(offset), count: 64) == someBytes(64, number))
    }
    #expect(store.callCounts == before)
    // Nor did any of them take the long way.
    let after = try cache.statistics()
    #expect(after.writes == statistics.writes && after.slowReads == statistics.slowReads)
    #expect(after.fills == statistics.fills && after.gracePeriods == statistics.gracePeriods)
    try file.sync()
    try file.close()
  }

  @Test func aWriteOfWholePagesReadsNothing() throws {
    let store = FaultInjectingStore(MemoryStore(bytes: someBytes(100_000)))
    let cache = try DurabilityTests.cache()
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    let before = store.callCounts
    try file.write(toAbsoluteOffset: 4096, someBytes(8192, 2))
    #expect(store.callCounts == before)
    // A part of one does: once.
    try file.write(toAbsoluteOffset: 20_000, someBytes(10, 3))
    #expect(store.readCount == 1 && store.callCount(of: .write) == 0)
    try file.write(toAbsoluteOffset: 20_100, someBytes(10, 3))
    #expect(store.readCount == 1)
    // Past the end there is nothing to read.
    try file.write(toAbsoluteOffset: 200_000, someBytes(10, 3))
    #expect(store.readCount == 1)
    // Neighbours go to the store together.
    for page in 0..<16 { try file.write(toAbsoluteOffset: 40_960 + Int64(page) * 1000, someBytes(1000, page)) }
    let writes = store.callCount(of: .write)
    try file.flush(40_960..<56_960)
    #expect(store.callCount(of: .write) == writes + 1 && store.callCount(of: .flush) == 1)
    try file.close()
  }

  @Test func aWriteThroughIsOneCall() throws {
    let store = FaultInjectingStore(MemoryStore(bytes: someBytes(100_000)))
    let cache = try DurabilityTests.cache()
    let file = try cache.open(store: store, .readWrite(durability: .writeThrough))
    _ = try contents(file)
    var expected = store.callCounts
    for number in 0..<100 {
      try file.write(toAbsoluteOffset: Int64(number * 851 % 80_000), someBytes(number % 3 == 0 ? 9000 : 64, number))
    }
    expected[.write] = 100
    #expect(store.callCounts == expected)
    try file.close()
  }

  /// A sync of what is durable asks nothing; one that is not, as little as it can.
  @Test func syncs() throws {
    let store = FaultInjectingStore(MemoryStore(bytes: someBytes(100_000)))
    let cache = try DurabilityTests.cache()
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    try file.sync(dataOnly: true)
    let first = store.callCount(of: .flush)
    #expect(first == 1, "what was done to the store before it was opened")
    let before = store.callCounts
    for _ in 0..<10 { try file.sync(dataOnly: true) }
    #expect(store.callCounts == before)
    try file.write(toAbsoluteOffset: 5, [1])
    try file.sync(dataOnly: true)
    #expect(store.callCount(of: .flush) == 2 && store.callCount(of: .write) == 1)
    try file.close()
  }
}
