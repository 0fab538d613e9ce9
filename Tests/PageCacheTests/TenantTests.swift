import BackingStores
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

@testable import PageCache

/// Reserves: what others do does not evict what is within them.
@Suite struct TenantTests {
  private func cache() throws -> PageCache {
    try PageCache(.init(memoryLimit: 32 << 20, maximumAtomicLength: 1 << 16))
  }

  @Test(arguments: PageCache.Configuration.Reclaim.allCases)
  func aReserveOutlivesAScan(_ policy: PageCache.Configuration.Reclaim) throws {
    let cache = try PageCache(.init(memoryLimit: 32 << 20, maximumAtomicLength: 1 << 16, reclaim: policy))
    let tenant = try cache.tenant(named: "database", reserve: 8 << 20)
    let own = try cache.open(store: patternStore(40 << 20), .init(tenant: tenant))
    let other = try cache.open(store: patternStore(128 << 20))
    for page in 0..<2048 { _ = try own.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096) }
    #expect(tenant.statistics.residentBytes >= 8 << 20 && tenant.statistics.filledBytes >= 8 << 20)
    for offset in stride(from: 0, to: 120 << 20, by: 65536) {
      _ = try other.read(fromAbsoluteOffset: Int64(offset), count: 65536)
    }
    #expect(tenant.statistics.residentBytes >= 8 << 20)
    let misses = tenant.statistics.misses
    for page in 0..<2048 {
      #expect(
        try own.read(fromAbsoluteOffset: Int64(page) * 4096, count: 2) == patternBytes(page * 4096..<page * 4096 + 2))
    }
    #expect(tenant.statistics.misses < misses + 64, "\(tenant.statistics.misses - misses) of 2048 were missed")
    // It may use more, and evicts its own then.
    for page in 0..<10_000 { _ = try own.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096) }
    #expect(tenant.statistics.evictedBytes > 1 << 20)
    try own.close()
    try other.close()
    cache.reclaimDeferred()
    #expect(tenant.statistics.residentBytes == 0 && cache.residentFrames == 0)
  }

  @Test func countsStayRightWhateverHappens() throws {
    let cache = try cache()
    let tenant = try cache.tenant(named: "a", reserve: 1 << 20)
    let file = try cache.open(
      store: MemoryStore(bytes: [UInt8](repeating: 1, count: 4 << 20)),
      .readWrite(durability: .writeBack, tenant: tenant))
    var random = RandomWords(seed: testSeed)
    for _ in 0..<600 {
      let page = Int64(random.next(below: 1000)) * 4096
      switch random.next(below: 6) {
      case 0: try file.punchHole(page..<page + 50_000)
      case 1: try file.resize(to: page + 4096)
      case 2: try file.advise(.dontNeed, page..<page + 500_000)
      case 3: _ = try file.read(fromAbsoluteOffset: page, count: 50_000)
      case 4:
        _ = try file.withBytes(atAbsoluteOffset: page, count: 4096) { _ in try file.write(toAbsoluteOffset: page, [1]) }
      default: try file.write(toAbsoluteOffset: page, [UInt8](repeating: 1, count: 20_000))
      }
    }
    #expect(try tenant.statistics.residentBytes == cache.statistics().cachedFramesByOrder.reduce(0, +) * 4096)
    try file.close()
    #expect(tenant.statistics.residentBytes == 0)
  }

  @Test func whatCannotBe() throws {
    let cache = try cache()
    let most = try cache.statistics().frames / 2 * 4096
    for reserve in [-1, Int.min, Int.max, most + 1] {
      let error = cacheError { _ = try cache.tenant(named: "greedy", reserve: reserve) }
      guard case .reserveTooLarge(reserve, most: most)? = error?.cause else {
        return #expect(Bool(false), "\(error as Any)")
      }
    }
    do {
      let tenant = try cache.tenant(named: "half", reserve: most)
      #expect(throws: CacheError.self) { _ = try cache.tenant(named: "more", reserve: 1) }
      #expect(throws: CacheError.self) { try cache.setMemoryLimit(16 << 20) }
      let store = patternStore(10_000)
      let file = try cache.open(store: store, .init(tenant: tenant))
      let same = try cache.open(store: store)
      let none = try cache.tenant(named: "none", reserve: 0)
      #expect(throws: CacheError.self) { _ = try cache.open(store: store, .init(tenant: none)) }
      let elsewhere = try self.cache()
      #expect(throws: CacheError.self) { _ = try elsewhere.open(store: store, .init(tenant: tenant)) }
      try file.close()
      try same.close()
    }
    // What is dropped is free again.
    _ = try cache.tenant(named: "again", reserve: most)
    try cache.setMemoryLimit(16 << 20)
  }
}
