import BackingStores
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

@testable import PageCache

/// What is brought before it is asked for.
@Suite struct ReadAheadTests {
  // MARK: What accesses look like

  @Test func oneBehindTheOther() {
    var streams = ReadAheadStreams(most: 256)
    #expect(streams.missed(100...103) == nil)
    #expect(streams.missed(104...107) == .init(ranges: [108...127], mark: 108))
    #expect(streams.reached(108) == .init(ranges: [128...159], mark: 128))
    #expect(streams.reached(128) == .init(ranges: [160...255], mark: 160))
    #expect(streams.reached(160) == .init(ranges: [256...383], mark: 256))
    #expect(streams.reached(256) == .init(ranges: [384...767], mark: 384))
    #expect(streams.reached(384) == .init(ranges: [768...1023], mark: 768))
    // Somebody who has seen no mark, because what was read ahead has gone again.
    #expect(streams.missed(900...900)?.mark == 1024)
  }

  @Test func theSameDistanceApart() {
    var streams = ReadAheadStreams(most: 256)
    #expect(streams.missed(0...3) == nil)
    #expect(streams.missed(16...19) == nil)
    #expect(streams.missed(32...35) == .init(ranges: [48...51, 64...67, 80...83, 96...99], mark: 48))
    #expect(streams.reached(48)?.ranges.first == 112...115)
    // A mark of which something was missed before is no stream of its own.
    #expect(streams.missed(64...67) == nil || streams.missed(64...67) == nil)
    #expect(streams.reached(96) == nil)
  }

  @Test func severalAtATime() {
    var streams = ReadAheadStreams(most: 64)
    let starts: [UInt64] = [0, 100_000, 200_000, 300_000, 400_000]
    var plans = 0
    for step: UInt64 in 0..<3 {
      for start in starts where streams.missed(start + step...start + step) != nil { plans += 1 }
    }
    #expect(plans == starts.count * 2)
  }

  @Test func atRandom() {
    var streams = ReadAheadStreams(most: 1024)
    var random = RandomWords(seed: testSeed)
    var brought = 0
    for _ in 0..<100_000 {
      let page = random.next(below: 1 << 18)
      brought += streams.missed(page...page)?.ranges.reduce(0) { $0 + $1.count } ?? 0
    }
    #expect(brought < 5_000, "\(brought) pages were read ahead")
    // Numbers at the end of what there is.
    for page: UInt64 in [1 << 52, (1 << 52) - 1, 0] {
      _ = streams.missed(page...page)
      _ = streams.missed(page + 1...page + 1)
      _ = streams.reached(page)
    }
    #expect(ReadAheadStreams(most: 0).streams.isEmpty)
  }

  // MARK: What comes of it

  private func cache(orders: ClosedRange<Int> = 0...9, ahead: Int = 1 << 20) throws -> PageCache {
    try PageCache(
      .init(memoryLimit: 64 << 20, folioOrders: orders, maximumAtomicLength: 1 << 20, readAheadLength: ahead))
  }

  @Test(arguments: [0...0, 0...9], [4096, 10_000, 300_000])
  func aWholeFile(orders: ClosedRange<Int>, step: Int) throws {
    let cache = try cache(orders: orders)
    let size = 24 << 20 + 777
    let file = try cache.open(store: patternStore(size))
    var offset = 0
    while offset < size {
      let count = min(step, size - offset)
      #expect(try file.read(fromAbsoluteOffset: Int64(offset), count: step) == patternBytes(offset..<offset + count))
      offset += count
    }
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
    let statistics = try cache.statistics()
    #expect(statistics.filledBytes == UInt64(size))
    #expect(statistics.readAheads > 10)
    #expect(statistics.slowReads < UInt64(size / step / 4), "\(statistics.slowReads) of \(size / step)")
    if orders.upperBound > 0 { #expect(statistics.cachedFramesByOrder[7...].reduce(0, +) > 4096) }
    try file.close()
    try expectAllFramesBack(cache, statistics.frames)
  }

  @Test func aStride() throws {
    let cache = try cache()
    let file = try cache.open(store: patternStore(48 << 20))
    var wanted = 0
    for offset in stride(from: 0, to: 48 << 20, by: 64 << 10) {
      #expect(try file.read(fromAbsoluteOffset: Int64(offset), count: 16384) == patternBytes(offset..<offset + 16384))
      wanted += 16384
    }
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
    let statistics = try cache.statistics()
    #expect(statistics.filledBytes <= UInt64(wanted * 105 / 100))
    #expect(statistics.slowReads < 768 / 2)
  }

  @Test func randomReadsBringNothingElse() throws {
    let cache = try cache()
    let file = try cache.open(store: LyingStore(size: 1 << 30))
    var random = RandomWords(seed: testSeed)
    let count = 4000
    for _ in 0..<count { _ = try file.read(fromAbsoluteOffset: Int64(random.next(below: 1 << 18)) * 4096, count: 4096) }
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
    #expect(try cache.statistics().filledBytes <= UInt64(count * 4096 * 105 / 100))
  }

  /// B7: what is there is not held. A page that goes while the store is asked for its holes, after it was written back, is none.
  @Test func aPageThatGoesWhileAHoleIsLearnt() throws {
    let (failures, next) = (Failures(), Word())
    let memory = MemoryStore(holeOf: 64 << 10)
    let cache = try cache(orders: 0...0)
    let opened = Opened()
    let store = FaultInjectingStore(
      memory,
      calls: { _, call in
        // The second question is where the hole begins; the answer to the first, how far it goes, is known by then.
        guard call == .extent, next.value > 0, let file = opened.file else { return nil }
        next.add(1)
        guard next.value == 3 else { return nil }
        do {
          try file.flush(5 * 4096..<6 * 4096)
          failures.check(file.evict(page: 5), "it does not go")
        } catch { failures.add("\(error)") }
        return nil
      })
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    opened.file = file
    defer { opened.file = nil }
    try file.write(toAbsoluteOffset: 5 * 4096, someBytes(4096))
    next.set(1)
    try file.advise(.willNeed, 2 * 4096..<64 << 10)
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
    #expect(next.value >= 3 && failures.all == [])
    #expect(try file.read(fromAbsoluteOffset: 5 * 4096, count: 4096) == someBytes(4096))
    try file.close()
  }

  /// What the store's calls find, once it is open.
  private final class Opened: @unchecked Sendable { var file: CachedFile? }

  /// Read-ahead beside everything that changes a file.
  @Test func besideChanges() throws {
    let cache = try cache(orders: 0...6)
    let size = 8 << 20
    let store = MemoryStore(bytes: [UInt8](repeating: 1, count: size))
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    let (failures, isOver) = (Failures(), Word())
    onThreads(3) { thread in
      var random = RandomWords(seed: testSeed &+ UInt64(thread))
      do {
        if thread == 0 {
          for _ in 0..<(isSanitized ? 60 : 300) {
            let page = Int64(random.next(below: 2000)) * 4096
            switch random.next(below: 5) {
            case 0: try file.resize(to: page)
            case 1: try file.punchHole(page..<page + 100_000)
            case 2: try file.invalidate(page..<page + 1_000_000)
            default: try file.write(toAbsoluteOffset: page, [UInt8](repeating: 1, count: 50_000))
            }
          }
          isOver.set(1)
          return
        }
        while isOver.value == 0 {
          var offset: Int64 = 0
          while true {
            let bytes = try file.read(fromAbsoluteOffset: offset, count: 16384)
            failures.check(bytes.allSatisfy { $0 <= 1 }, "what nobody wrote at \(offset)")
            if bytes.count < 16384 { break }
            offset += 16384
          }
        }
      } catch {
        failures.add("\(error)")
        isOver.set(1)
      }
    }
    #expect(failures.all == [])
    try file.sync()
    #expect(try contents(file) == store.bytes())
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
  }
}
