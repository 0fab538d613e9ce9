import BackingStores
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

@testable import PageCache

/// Large blocks out of small ones.
@Suite struct CompactionTests {
  private func cache() throws -> PageCache {
    try PageCache(.init(memoryLimit: 24 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, readAheadLength: 0))
  }

  /// Fills the cache with single pages, and has every third of them go.
  private func fragment(_ cache: PageCache, _ file: CachedFile, pages: Int) throws {
    for page in 0..<pages { _ = try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 1) }
    for page in stride(from: 0, to: pages, by: 3) { _ = cache.engine.evict(file.keepsWords, page: UInt64(page)) }
    cache.reclaimDeferred()
  }

  @Test func aLargeBlockOutOfSmallOnes() throws {
    let cache = try cache()
    let pages = 5780
    let file = try cache.open(store: patternStore(pages * 4096))
    try fragment(cache, file, pages: pages)
    let before = cache.engine.pool.freeBlocks
    #expect(cache.engine.pool.freeFrames > 1024 && before[9] == 0, "\(before)")
    #expect(cache.engine.compact(order: 9))
    #expect(cache.engine.pool.freeBlocks[9] == 1)
    let block = try #require(cache.engine.pool.allocate(order: 9))
    cache.engine.pool.free(block)
    #expect(try cache.statistics().moves > 0)
    let misses = try cache.statistics().misses
    for page in 0..<pages where page % 3 != 0 {
      #expect(
        try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096)
          == patternBytes(page * 4096..<(page + 1) * 4096))
    }
    #expect(try cache.statistics().misses == misses, "what was moved is still there")
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.residentFrames == 0 && cache.leftovers.allSatisfy { $0.count == 0 })
  }

  @Test func whatIsLentIsNotMoved() throws {
    let cache = try cache()
    let pages = 5780
    let file = try cache.open(store: patternStore(pages * 4096))
    try fragment(cache, file, pages: pages)
    try file.withBytes(atAbsoluteOffset: 4096, count: 4096) { span in
      let found = cache.engine.domain.read { file.keepsWords.index.locate(1)?.entry }
      let head = try #require(found).headFrame(shift: 12)
      #expect(!cache.engine.move(head))
      #expect(unsafe span.withUnsafeBytes { unsafe PatternFile.firstMismatch($0, at: 4096) } == nil)
    }
    let found = cache.engine.domain.read { file.keepsWords.index.locate(1)?.entry }
    #expect(cache.engine.move(try #require(found).headFrame(shift: 12)))
    #expect(try file.read(fromAbsoluteOffset: 4000, count: 5000) == patternBytes(4000..<9000))
    try file.close()
  }

  /// Moving beside readers, borrowers, writers and eviction.
  @Test func besideEverythingElse() throws {
    let cache = try PageCache(
      .init(memoryLimit: 24 << 20, folioOrders: 0...3, maximumAtomicLength: 1 << 16, readAheadLength: 1 << 18))
    let size = 30 << 20
    let file = try cache.open(
      store: MemoryStore(bytes: [UInt8](repeating: 1, count: size)), .readWrite(durability: .writeBack))
    let (failures, isOver) = (Failures(), Word())
    onThreads(4) { thread in
      var random = RandomWords(seed: testSeed &+ UInt64(thread))
      do {
        if thread == 0 {
          // Twenty seconds, and longer where the machine has not come to move anything by then.
          let start = monotonicNanoseconds()
          func isLate(_ moves: Int) -> Bool {
            monotonicNanoseconds() - start > (moves > 0 ? 20_000_000_000 : 300_000_000_000)
          }
          while true {
            let moves = try cache.statistics().moves
            if moves >= 200 || isLate(Int(moves)) { break }
            _ = cache.engine.evict(frames: 600, sparingAccessed: true)
            _ = cache.engine.compact(order: 4 + Int(random.next(below: 6)))
          }
          isOver.set(1)
          return
        }
        while isOver.value == 0 {
          let page = Int64(random.next(below: UInt64(size / 4096)))
          switch thread {
          case 1:
            let bytes = try file.read(fromAbsoluteOffset: page * 4096, count: 4096)
            failures.check(bytes.allSatisfy { $0 == bytes[0] }, "a torn page")
          case 2:
            try file.withBytes(atAbsoluteOffset: page * 4096, count: 4096) { span in
              let first = (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
              let then = (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
              failures.check(first == then && first.allSatisfy { $0 == first[0] }, "what is lent has changed")
            }
          default:
            try file.write(
              toAbsoluteOffset: page * 4096, [UInt8](repeating: UInt8(random.next(below: 200)), count: 4096))
          }
        }
      } catch {
        failures.add("\(error)")
        isOver.set(1)
      }
    }
    #expect(failures.all == [])
    #expect(try cache.statistics().moves > 0)
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.residentFrames == 0 && cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
    let statistics = try cache.statistics()
    #expect(statistics.freeFrames + statistics.nodeFrames == statistics.frames)
  }
}
