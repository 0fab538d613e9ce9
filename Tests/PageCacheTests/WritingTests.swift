import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What writes do to the file, through either durability.
@Suite struct WritingTests {
  struct Way: Sendable, CustomTestStringConvertible {
    let orders: ClosedRange<Int>
    let durability: PageCache.Durability
    var testDescription: String { "orders \(orders), \(durability)" }
  }

  static let ways: [Way] = [0...0, 2...2, 4...4, 0...4].flatMap { orders in
    PageCache.Durability.allCases.map { Way(orders: orders, durability: $0) }
  }

  @Test(arguments: ways) func everyShapeOfWrite(_ way: Way) throws {
    let memory = MemoryStore(bytes: someBytes(30_000))
    let cache = try smallCache(orders: way.orders, atomic: 1 << 16)
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: memory, .readWrite(durability: way.durability))
    var model = BytesModel(bytes: someBytes(30_000))
    let writes: [(offset: Int, count: Int)] = [
      (0, 1), (4095, 2), (4096, 4096), (100, 7000), (29_999, 1), (29_990, 100), (30_090, 10), (50_000, 1),
      (60_000, 4096), (65_536, 65_536), (1, 0), (500_000, 0), (200_000, 150_001), (65_535, 65_538), (8191, 1),
      (400_000, 12_288), (380_100, 50), (12_288, 16_384),
    ]
    for (number, (offset, count)) in writes.enumerated() {
      let bytes = someBytes(count, number + 2)
      #expect(try file.write(toAbsoluteOffset: Int64(offset), bytes) == count)
      model.write(bytes, at: offset)
      #expect(try file.size == Int64(model.bytes.count), "after \(offset), \(count)")
      #expect(try contents(file) == model.bytes, "after \(offset), \(count)")
      if way.durability == .writeThrough {
        #expect(memory.bytes() == model.bytes, "store after \(offset), \(count)")
      }
    }
    #expect(memory.crashed() == someBytes(30_000), "nothing is durable before a sync")
    try file.sync()
    #expect(memory.crashed() == model.bytes)
    #expect(try cache.statistics().owedFrames == 0)
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  @Test(arguments: ways) func writesOverHoles(_ way: Way) throws {
    let memory = MemoryStore(holeOf: 1 << 20)
    let cache = try smallCache(orders: way.orders, atomic: 1 << 16)
    let file = try cache.open(store: memory, .readWrite(durability: way.durability))
    var model = BytesModel(bytes: [UInt8](repeating: 0, count: 1 << 20))
    // Once where the cache knows of the hole, once where it does not.
    #expect(try contents(file) == model.bytes)
    for isKnown in [true, false] {
      if !isKnown { try file.invalidate() }
      for (number, offset) in [5, 4096 * 3, 200_000, 300_000 - 7, (1 << 20) - 3].enumerated() {
        let start = isKnown ? offset : max(0, offset - 20_000)
        let bytes = someBytes([3, 4096, 9000, 7, 3][number], number + (isKnown ? 0 : 9))
        try file.write(toAbsoluteOffset: Int64(start), bytes)
        model.write(bytes, at: start)
        #expect(try contents(file) == model.bytes)
      }
    }
    try file.sync()
    #expect(memory.bytes() == model.bytes)
    #expect(try file.seekHole(from: 0) != 1 << 20, "holes elsewhere have stayed")
    try file.close()
  }

  @Test(arguments: PageCache.Durability.allCases) func appendsOfManyThreads(_ durability: PageCache.Durability) throws {
    let memory = MemoryStore(bytes: [7])
    let cache = try smallCache(atomic: 1 << 16)
    let file = try cache.open(store: memory, .readWrite(durability: durability))
    let each = isSanitized ? 40 : 120
    let failures = Failures()
    onThreads(4) { thread in
      for number in 0..<each {
        // Nobody else writes this byte in this length.
        let count = 1 + thread + 4 * (number * 37 % 500)
        let bytes = [UInt8](repeating: UInt8(thread + 10), count: count)
        do {
          let place = try file.append(bytes)
          failures.check(
            try file.read(fromAbsoluteOffset: place, count: count) == bytes, "thread \(thread), \(number), at \(place)")
        } catch { failures.add("\(error)") }
      }
    }
    #expect(failures.all == [])
    var expected = [Int](repeating: 0, count: 256)
    for thread in 0..<4 {
      expected[thread + 10] = (0..<each).reduce(0) { $0 + 1 + thread + 4 * ($1 * 37 % 500) }
    }
    expected[7] = 1
    try file.sync()
    for bytes in [try contents(file), memory.crashed()] {
      var counts = [Int](repeating: 0, count: 256)
      for byte in bytes { counts[Int(byte)] += 1 }
      #expect(counts == expected)
    }
    try file.close()
  }

  @Test func anAppendLongerThanTheAtomicLengthAndAnEmptyOne() throws {
    let memory = MemoryStore(bytes: someBytes(5000))
    let cache = try smallCache(atomic: 1 << 16)
    let file = try cache.open(store: memory, .readWrite())
    #expect(try file.append(someBytes(200_000, 3)) == 5000)
    #expect(try file.append([]) == 205_000)
    #expect(try contents(file) == someBytes(5000) + someBytes(200_000, 3))
    #expect(try file.size == 205_000)
    try file.close()
  }

  @Test func spansArraysAndBuffers() throws {
    let cache = try smallCache()
    let file = try cache.open(store: MemoryStore(holeOf: 100), .readWrite())
    let bytes = someBytes(30)
    #expect(try file.write(toAbsoluteOffset: 0, bytes) == 30)
    #expect(try unsafe file.write(toAbsoluteOffset: 30, bytes.span.bytes) == 30)
    let written = try unsafe bytes.withUnsafeBytes { try unsafe file.write(toAbsoluteOffset: 60, $0) }
    #expect(written == 30)
    #expect(try file.append(bytes) == 100)
    let nothing = try unsafe file.write(toAbsoluteOffset: 1 << 40, UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(nothing == 0)
    #expect(try file.size == 130)
    #expect(try contents(file) == bytes + bytes + bytes + [UInt8](repeating: 0, count: 10) + bytes)
    try file.close()
  }

  @Test func twoHandlesOfDifferentDurability() throws {
    let identity = StoreIdentity(realm: "test", object: "two durabilities")
    let memory = MemoryStore(bytes: someBytes(20_000), identity: identity)
    let cache = try smallCache()
    let through = try cache.open(store: memory, .readWrite(durability: .writeThrough))
    let back = try cache.open(
      store: MemoryStore(bytes: [], identity: identity), .readWrite(durability: .writeBack))
    var model = BytesModel(bytes: someBytes(20_000))
    try back.write(toAbsoluteOffset: 100, someBytes(50, 2))
    #expect(memory.bytes() == model.bytes, "only the cache has it")
    model.write(someBytes(50, 2), at: 100)
    #expect(try through.read(fromAbsoluteOffset: 0, count: 20_000) == model.bytes)
    // Beside what is dirty, in the same page: the store gets what was written through, at least.
    try through.write(toAbsoluteOffset: 120, someBytes(5, 3))
    model.write(someBytes(5, 3), at: 120)
    #expect(memory.bytes(in: 120..<125) == someBytes(5, 3))
    #expect(try back.read(fromAbsoluteOffset: 0, count: 20_000) == model.bytes)
    // And what is dirty over what was written through.
    try back.write(toAbsoluteOffset: 118, someBytes(6, 4))
    model.write(someBytes(6, 4), at: 118)
    #expect(try through.read(fromAbsoluteOffset: 0, count: 20_000) == model.bytes)
    try through.sync()
    #expect(memory.crashed() == model.bytes)
    try back.close()
    try through.close()
    #expect(memory.bytes() == model.bytes)
  }

  @Test func statistics() throws {
    let memory = MemoryStore(bytes: someBytes(100_000))
    let cache = try smallCache(atomic: 1 << 16)
    let file = try cache.open(store: memory, .readWrite(durability: .writeBack))
    // Three pages that are not cached; then a piece and a rest.
    try file.write(toAbsoluteOffset: 4096, someBytes(3 * 4096))
    var statistics = try cache.statistics()
    #expect(statistics.writes == 1 && statistics.writtenBytes == 3 * 4096)
    #expect(statistics.owedFrames == 3 && statistics.writtenBackBytes == 0 && statistics.flushes == 0)
    try file.write(toAbsoluteOffset: 5000, [1, 2, 3])
    statistics = try cache.statistics()
    #expect(statistics.owedFrames == 3, "they were dirty already")
    #expect(statistics.writes == 1, "in place, and not counted")
    try file.write(toAbsoluteOffset: 16_384, someBytes((1 << 16) + 4096))
    statistics = try cache.statistics()
    #expect(statistics.writes == 3 && statistics.writtenBytes == 3 * 4096 + (1 << 16) + 4096)
    #expect(statistics.owedFrames == 3 + 17 && statistics.owedFrames <= statistics.mostOwedFrames)
    try file.sync()
    statistics = try cache.statistics()
    #expect(statistics.owedFrames == 0 && statistics.flushes == 1 && statistics.failedFlushes == 0)
    #expect(statistics.writtenBackBytes == UInt64(20 * 4096))
    // What was written through is owed until it is durable.
    let through = try cache.open(
      store: MemoryStore(bytes: [], identity: memory.identity), .readWrite(durability: .writeThrough))
    try through.write(toAbsoluteOffset: 0, someBytes(10))
    #expect(try cache.statistics().owedFrames == 1)
    try through.sync()
    #expect(try cache.statistics().owedFrames == 0)
    try through.close()
    try file.close()
  }
}
