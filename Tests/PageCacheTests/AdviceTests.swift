import BackingStores
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

@testable import PageCache

/// Hints, and what they leave behind.
@Suite struct AdviceTests {
  private func cache() throws -> PageCache {
    try PageCache(.init(memoryLimit: 32 << 20, maximumAtomicLength: 1 << 18, writeBackAge: .seconds(3600)))
  }

  private func cachedBytes(_ file: CachedFile) throws -> Int { try file.residency().reduce(0) { $0 + $1.count } }

  private func settle(_ cache: PageCache) {
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
  }

  /// L19: a long read beside what is in use.
  @Test(arguments: [1000, 4096, 65536])
  func reuseOfNothing(step: Int) throws {
    let cache = try cache()
    let size = 8 << 20
    let store = patternStore(size)
    let file = try cache.open(store: store)
    // In use by somebody else.
    for _ in 0..<2 { _ = try file.read(fromAbsoluteOffset: 1 << 20, count: 100_000) }
    settle(cache)
    let before = try cachedBytes(file)
    let reader = try cache.open(store: store)
    try reader.advise(.noReuse)
    var offset = 0
    while offset < size {
      let count = min(step, size - offset)
      let bytes = try reader.read(fromAbsoluteOffset: Int64(offset), count: step)
      #expect(bytes == patternBytes(offset..<offset + count))
      offset += count
    }
    settle(cache)
    let statistics = try cache.statistics()
    #expect(statistics.filledBytes < UInt64(size + size / 8), "each byte is read once")
    #expect(statistics.readAheads > 4)
    // What was read ahead just now, and has been read before it came, may be left.
    #expect(try cachedBytes(file) <= before + (1 << 20))
    let hits = try cache.statistics().slowReads
    _ = try file.read(fromAbsoluteOffset: 1 << 20, count: 100_000)
    #expect(try cache.statistics().slowReads == hits, "what was in use is still there")
    try reader.advise(.normal)
    _ = try reader.read(fromAbsoluteOffset: 7 << 20, count: 4096)
    #expect(try cachedBytes(file) >= 4096)
  }

  @Test func whatIsWrittenLeavesNothing() throws {
    for durability in [PageCache.Durability.writeBack, .writeThrough] {
      let cache = try cache()
      let store = MemoryStore(bytes: [])
      let file = try cache.open(store: store, .readWrite(durability: durability))
      try file.advise(.noReuse)
      for page in 0..<500 { try file.write(toAbsoluteOffset: Int64(page) * 4096, someBytes(4096, page)) }
      try file.append(someBytes(4096, 500))
      #expect(try cachedBytes(file) == 501 * 4096)
      try file.sync()
      #expect(try cachedBytes(file) == 0)
      #expect(store.bytes() == (0...500).flatMap { someBytes(4096, $0) })
    }
  }

  @Test func needed() throws {
    let cache = try cache()
    let file = try cache.open(store: patternStore(8 << 20))
    try file.advise(.willNeed, 1 << 20..<3 << 20)
    try file.advise(.willNeed, 9 << 20..<Int64.max)
    settle(cache)
    #expect(try cachedBytes(file) == 2 << 20)
    let slow = try cache.statistics().slowReads
    #expect(try file.read(fromAbsoluteOffset: 1 << 20, count: 100_000) == patternBytes(1 << 20..<(1 << 20) + 100_000))
    #expect(try cache.statistics().slowReads == slow)
    try file.withBytes(atAbsoluteOffset: 2 << 20, count: 10) { _ in try file.advise(.dontNeed) }
    #expect(try cachedBytes(file) > 0 && cachedBytes(file) <= 1 << 20, "what is lent stays")
    try file.advise(.dontNeed)
    #expect(try cachedBytes(file) == 0)
    #expect(throws: CacheError.self) { try file.advise(.willNeed, -5..<3) }
    try file.close()
    #expect(throws: CacheError.self) { try file.advise(.normal) }
  }

  @Test func whatIsOwedStays() throws {
    let cache = try cache()
    let file = try cache.open(store: MemoryStore(bytes: someBytes(100_000)), .readWrite(durability: .writeBack))
    _ = try contents(file)
    try file.write(toAbsoluteOffset: 5000, [1, 2, 3])
    try file.advise(.dontNeed)
    #expect(try cachedBytes(file) >= 4096)
    #expect(try file.read(fromAbsoluteOffset: 5000, count: 3) == [1, 2, 3])
  }

  @Test func patterns() throws {
    let cache = try cache()
    let file = try cache.open(store: patternStore(8 << 20))
    try file.advise(.random)
    for page in 0..<100 { _ = try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096) }
    settle(cache)
    #expect(try cache.statistics().readAheads == 0)
    try file.advise(.sequential)
    _ = try file.read(fromAbsoluteOffset: 4 << 20, count: 4096)
    settle(cache)
    #expect(try cache.statistics().readAheads > 0)
  }
}
