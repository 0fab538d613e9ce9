import BackingStores
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

@testable import PageCache

/// Large folios that come apart.
@Suite struct SplittingTests {
  private func cache(_ orders: ClosedRange<Int> = 4...4) throws -> PageCache {
    try PageCache(
      .init(memoryLimit: 16 << 20, folioOrders: orders, maximumAtomicLength: 1 << 16, readAheadLength: 0))
  }

  private func orders(_ cache: PageCache) throws -> [Int] {
    Array(try cache.statistics().cachedFramesByOrder.prefix(5))
  }

  private func bytes(of span: RawSpan) -> [UInt8] {
    (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
  }

  @Test func whatIsPunchedIsFreed() throws {
    let cache = try cache()
    var model = BytesModel(bytes: someBytes(16 * 4096 * 4))
    let store = MemoryStore(bytes: model.bytes)
    let file = try cache.open(store: store, .readWrite())
    #expect(try contents(file) == model.bytes)
    #expect(try orders(cache) == [0, 0, 0, 0, 64])
    // From the middle of the first to the middle of the third page of the third folio.
    let hole = 4096 * 8..<4096 * 34 + 100
    try file.punchHole(Int64(hole.lowerBound)..<Int64(hole.upperBound))
    model.write([UInt8](repeating: 0, count: hole.count), at: hole.lowerBound)
    // The halves; and of the third folio what is behind its second page: 2, 4 and 8 pages.
    #expect(try orders(cache) == [0, 2, 4, 8 + 8, 16])
    #expect(try contents(file) == model.bytes)
    // Pieces are folios of their own: each is lent, and goes, by itself.
    try file.withBytes(atAbsoluteOffset: 0, count: 100) { _ in
      #expect(!cache.engine.evict(file.keepsWords, page: 0))
      #expect(cache.engine.evict(file.keepsWords, page: 36))
      #expect(cache.engine.evict(file.keepsWords, page: 40))
    }
    #expect(try contents(file) == model.bytes)
    try file.resize(to: 4096 * 3)
    #expect(try contents(file) == Array(model.bytes.prefix(4096 * 3)))
    #expect(try orders(cache)[4] == 0)
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
    #expect(cache.residentFrames == 0)
  }

  @Test func whatIsLentStaysWhole() throws {
    let cache = try cache()
    let file = try cache.open(store: MemoryStore(bytes: someBytes(16 * 4096)), .readWrite())
    _ = try contents(file)
    try file.withBytes(atAbsoluteOffset: 4096 * 12, count: 4096) { span in
      let before = bytes(of: span)
      try file.punchHole(0..<4096 * 13)
      try file.resize(to: 4096 * 15)
      #expect(bytes(of: span) == before)
    }
    #expect(
      try contents(file) == [UInt8](repeating: 0, count: 4096 * 13) + someBytes(16 * 4096)[4096 * 13..<4096 * 15])
    try file.close()
  }

  /// Of a folio of which little is in use, the rest goes.
  @Test func pressureSplits() throws {
    let cache = try PageCache(
      .init(memoryLimit: 8 << 20, folioOrders: 4...4, maximumAtomicLength: 1 << 16, readAheadLength: 0))
    let file = try cache.open(store: patternStore(64 << 20))
    // One page of each of many folios, again and again, beside a scan.
    let inUse = (0..<64).map { $0 * 16 * 4096 }
    var next = 64 * 16 * 4096
    for _ in 0..<60 {
      for offset in inUse {
        #expect(try file.read(fromAbsoluteOffset: Int64(offset), count: 10) == patternBytes(offset..<offset + 10))
      }
      for _ in 0..<8 {
        _ = try file.read(fromAbsoluteOffset: Int64(next), count: 4096)
        next += 16 * 4096
      }
    }
    let found = try cache.statistics().cachedFramesByOrder
    #expect(found[2] > 0, "\(found)")
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.residentFrames == 0)
  }

  /// Readers and borrowers beside punches, truncation and eviction.
  @Test func besideReaders() throws {
    let cache = try cache(0...4)
    let size = 4 << 20
    let file = try cache.open(
      store: MemoryStore(bytes: [UInt8](repeating: 1, count: size)), .readWrite(durability: .writeBack))
    let (failures, isOver) = (Failures(), Word())
    onThreads(4) { thread in
      var random = RandomWords(seed: testSeed &+ UInt64(thread))
      do {
        if thread == 0 {
          for _ in 0..<(isSanitized ? 100 : 1500) {
            let page = Int64(random.next(below: 1000))
            switch random.next(below: 4) {
            case 0: try file.punchHole(page * 4096..<page * 4096 + Int64(random.next(below: 100_000) + 1))
            case 1: try file.resize(to: page * 4096 + 5000)
            case 2: try file.write(toAbsoluteOffset: page * 4096, [UInt8](repeating: 1, count: 65536))
            default: _ = cache.engine.evict(frames: 64, sparingAccessed: random.next(below: 2) == 0)
            }
          }
          isOver.set(1)
          return
        }
        while isOver.value == 0 {
          let offset = Int64(random.next(below: UInt64(size)))
          if thread == 3 {
            try file.withBytes(atAbsoluteOffset: offset, count: 4096) { span in
              let lent = bytes(of: span)
              failures.check(lent.allSatisfy { $0 <= 1 }, "what nobody wrote, lent at \(offset)")
              failures.check(bytes(of: span) == lent, "what is lent has changed")
            }
          } else {
            let bytes = try file.read(fromAbsoluteOffset: offset, count: 20_000)
            failures.check(bytes.allSatisfy { $0 <= 1 }, "what nobody wrote at \(offset)")
          }
        }
      } catch {
        failures.add("\(error)")
        isOver.set(1)
      }
    }
    #expect(failures.all == [])
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
    #expect(cache.residentFrames == 0)
    let statistics = try cache.statistics()
    #expect(statistics.freeFrames + statistics.nodeFrames == statistics.frames)
  }
}
