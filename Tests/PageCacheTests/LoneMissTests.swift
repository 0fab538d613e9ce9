import BackingStores
import PageCache
import Primitives
import TestSupport
import Testing

/// Misses of one page, which are brought without a claim.
@Suite struct LoneMissTests {
  private func cache(orders: ClosedRange<Int> = 0...0, readAhead: Int = 0) throws -> PageCache {
    try PageCache(
      .init(memoryLimit: 16 << 20, folioOrders: orders, maximumAtomicLength: 1 << 18, readAheadLength: readAhead))
  }

  @Test func eachIsCountedOnce() throws {
    let cache = try cache()
    let store = patternStore(1 << 20)
    let file = try cache.open(store: store)
    for page in 0..<100 {
      let start = Int64(page * 4096 + 100)
      #expect(try file.read(fromAbsoluteOffset: start, count: 3000) == patternBytes(Int(start)..<Int(start) + 3000))
    }
    let statistics = try cache.statistics()
    #expect(statistics.misses == 100 && statistics.slowReads == 100 && statistics.fills == 100)
    #expect(statistics.hits == 0)
    #expect(statistics.slowReadsBySize.reduce(0, +) == 100 && statistics.hitsBySize.reduce(0, +) == 0)
    for page in 0..<100 { _ = try file.read(fromAbsoluteOffset: Int64(page * 4096), count: 100) }
    #expect(try cache.statistics().hits == 100 && cache.statistics().misses == 100)
    #expect(store.readCount == 100)
    // Across two pages it is not one.
    #expect(try file.read(fromAbsoluteOffset: 500_000, count: 4096) == patternBytes(500_000..<504_096))
    #expect(try cache.statistics().misses == 101)
    try file.close()
  }

  @Test func aFaultIsTold() throws {
    let causes: [StoreError.Cause] = [.system(.ioError), .exhausted("memory")]
    for cause in causes {
      let cache = try cache()
      let before = try cache.statistics().freeFrames
      let store = FaultInjectingStore(patternStore(1 << 20)) { number, _ in number == 2 ? .fail(cause) : nil }
      let file = try cache.open(store: store)
      #expect(try file.read(fromAbsoluteOffset: 5000, count: 10) == patternBytes(5000..<5010))
      let error = cacheError { _ = try file.read(fromAbsoluteOffset: 9000, count: 10) }
      #expect(error?.operation == .read && error?.range == 8192..<12288)
      guard case .store(let found)? = error?.cause, found.cause == cause else {
        Issue.record("\(error as Any)")
        return
      }
      #expect(try file.read(fromAbsoluteOffset: 9000, count: 10) == patternBytes(9000..<9010))
      #expect(try cache.statistics().failedFills == 1)
      try file.close()
      try expectAllFramesBack(cache, before)
    }
  }

  @Test func aStoreThatEndsEarlyIsAnError() throws {
    let cache = try cache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: FaultInjectingStore(patternStore(1 << 20)) { _, _ in .short(100) })
    guard case .store(let error)? = cacheError({ _ = try file.read(fromAbsoluteOffset: 4096, count: 10) })?.cause,
      case .shrank = error.cause
    else {
      Issue.record("a short read was taken for a page")
      return
    }
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  /// Misses one behind the other make folios that grow.
  @Test func sequencesGetLargeFolios() throws {
    let cache = try cache(orders: 0...4)
    let file = try cache.open(store: patternStore(1 << 20))
    for page in 0..<256 {
      #expect(
        try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096)
          == patternBytes(page * 4096..<(page + 1) * 4096))
    }
    let frames = try cache.statistics().cachedFramesByOrder
    #expect(frames.reduce(0, +) == 256 && frames[4] >= 192, "\(frames)")
    try file.close()
  }

  /// Where no block of the order is free, the folio comes apart, and not into pages.
  @Test func withoutALargeBlockSmallerOnesDo() throws {
    let cache = try cache(orders: 0...4)
    let file = try cache.open(store: patternStore(64 << 20))
    let other = try cache.open(store: patternStore(64 << 20))
    // One page after another, in no order; then every second of them goes: no two free frames are neighbours.
    let pages = (0..<3900).map { Int64($0 * 7919 % 16_384) * 4096 }
    for offset in pages { _ = try other.read(fromAbsoluteOffset: offset, count: 1) }
    for (number, offset) in pages.enumerated() where number % 2 == 0 {
      try other.advise(.dontNeed, offset..<offset + 4096)
    }
    cache.reclaimDeferred()
    let before = try cache.statistics().fills
    for page in 0..<64 {
      #expect(
        try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096)
          == patternBytes(page * 4096..<(page + 1) * 4096))
    }
    let fills = try cache.statistics().fills - before
    #expect(fills < 40, "\(fills) fills for 64 pages one behind the other")
    try file.close()
    try other.close()
  }

  /// Somebody who reads what is being written misses nothing, and has nothing read ahead.
  @Test func waitingForAChangeIsNoMiss() throws {
    let cache = try cache(readAhead: 1 << 20)
    let file = try cache.open(store: MemoryStore(bytes: someBytes(1 << 20)), .readWrite())
    _ = try file.read(fromAbsoluteOffset: 0, count: 65536)
    let before = try cache.statistics()
    let stop = Word()
    onThreads(2) { thread in
      if thread == 0 {
        for _ in 0..<200 { _ = try? file.write(toAbsoluteOffset: 0, someBytes(65536, 2)) }
        stop.set(1)
      } else {
        while stop.value == 0 { _ = try? file.read(fromAbsoluteOffset: 8192, count: 100) }
      }
    }
    let after = try cache.statistics()
    #expect(after.misses == before.misses && after.readAheads == before.readAheads)
    try file.close()
  }
}
