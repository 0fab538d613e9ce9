import BackingStores
import Glibc
import PageCache
import PageCacheBenchmarking
import SystemPackage
import Testing

@Suite struct SharingTests {
  @Test func twoOpensOfOneInodeShareOneFile() throws {
    try withTemporaryDirectory { directory in
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: 100_000)
      let other = directory.appending("link")
      unsafe pattern.path.withPlatformString { from in unsafe other.withPlatformString { unsafe _ = link(from, $0) } }
      let cache = try smallCache()
      let first = try cache.open(pattern.path)
      let second = try cache.open(other)
      let descriptor = try FileDescriptor.open(pattern.path, .readOnly)
      let third = try cache.open(descriptor)
      try descriptor.close()
      #expect(try cache.statistics().openFiles == 1)
      _ = try first.read(fromAbsoluteOffset: 0, count: 100_000)
      let fills = try cache.statistics().fills
      #expect(try second.read(fromAbsoluteOffset: 7, count: 100_000) == patternBytes(7..<100_000))
      #expect(try third.residency() == [0..<100_000])
      #expect(try cache.statistics().fills == fills)
      try first.close()
      #expect(try second.read(fromAbsoluteOffset: 0, count: 10) == patternBytes(0..<10))
      try second.close()
      try third.close()
      #expect(try cache.statistics().openFiles == 0)
      // The last close has dropped it.
      let again = try cache.open(pattern.path)
      #expect(try again.residency() == [])
    }
  }

  @Test func handlesThatAreDroppedAreClosed() throws {
    let cache = try smallCache()
    let before = try cache.statistics().freeFrames
    do {
      let file = try cache.open(store: patternStore(100_000))
      _ = try file.read(fromAbsoluteOffset: 0, count: 100_000)
      #expect(try cache.statistics().openFiles == 1)
    }
    #expect(try cache.statistics().openFiles == 0)
    try expectAllFramesBack(cache, before)
  }

  @Test func aFileOutlivesTheReferenceToItsCache() throws {
    func open() throws -> CachedFile { try smallCache().open(store: patternStore(10_000)) }
    let file = try open()
    #expect(try file.read(fromAbsoluteOffset: 0, count: 10_000) == patternBytes(0..<10_000))
  }

  @Test func sameStoreIdentitySharesAndKeepsTheSecondStoreUntilTheEnd() throws {
    let identity = StoreIdentity(realm: "test", object: "one")
    let first = FaultInjectingStore(MemoryStore(bytes: patternBytes(0..<5000), identity: identity))
    let second = FaultInjectingStore(MemoryStore(bytes: patternBytes(0..<5000), identity: identity))
    let cache = try smallCache()
    let one = try cache.open(store: first)
    let two = try cache.open(store: second)
    #expect(try two.read(fromAbsoluteOffset: 0, count: 5000) == patternBytes(0..<5000))
    #expect(first.readCount == 1)
    #expect(second.readCount == 0)
    try one.close()
    #expect(first.closeCount == 0 && second.closeCount == 0)
    try two.close()
    #expect(first.closeCount == 1 && second.closeCount == 1)
  }

  @Test func manyCachesAtOnce() throws {
    let caches = try (0..<20).map { _ in try smallCache(limit: 2 << 20, atomic: 65_536) }
    for (number, cache) in caches.enumerated() {
      let file = try cache.open(store: patternStore(50_000 + number))
      #expect(try file.read(fromAbsoluteOffset: 0, count: 60_000) == patternBytes(0..<50_000 + number))
    }
  }

  @Test func statisticsCountReadsBySize() throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(100_000))
    _ = try file.read(fromAbsoluteOffset: 0, count: 100_000)
    let before = try cache.statistics()
    for _ in 0..<10 { _ = try file.read(fromAbsoluteOffset: 5, count: 1) }
    for _ in 0..<20 { _ = try file.read(fromAbsoluteOffset: 5, count: 256) }
    for _ in 0..<30 { _ = try file.read(fromAbsoluteOffset: 5, count: 257) }
    for _ in 0..<40 { _ = try file.read(fromAbsoluteOffset: 5, count: 32_768) }
    let after = try cache.statistics()
    func hits(_ size: Int) -> UInt64 { after.hitsBySize[size] - before.hitsBySize[size] }
    #expect(hits(0) == 10 && hits(7) == 20 && hits(8) == 30 && hits(14) == 40)
    #expect(after.hits - before.hits == 100)
    #expect(after.slowReads == before.slowReads)
    #expect(after.fills == before.fills)
  }
}
