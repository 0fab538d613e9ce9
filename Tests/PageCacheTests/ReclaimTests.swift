import Foundation
import PageCache
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

/// Which folios go.
@Suite struct ReclaimTests {
  private func read(_ file: CachedFile, _ pages: some Sequence<Int>) throws {
    for page in pages {
      #expect(
        try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 1) == patternBytes(page * 4096..<page * 4096 + 1))
    }
  }

  private func cached(_ file: CachedFile, _ pages: Range<Int>) throws -> Int {
    let wanted = Int64(pages.lowerBound) * 4096..<Int64(pages.upperBound) * 4096
    return try file.residency().reduce(0) { $0 + Int($1.clamped(to: wanted).count) } / 4096
  }

  /// What is read again and again outlives what is read once, however much of that there is.
  @Test func aScanLeavesWhatIsInUse() throws {
    for (policy, keepsIt) in [(PageCache.Configuration.Reclaim.s3FIFO, true), (.secondChance, false)] {
      let cache = try PageCache(
        .init(
          memoryLimit: 4 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, reclaim: policy, readAheadLength: 0))
      let file = try cache.open(store: patternStore(64 << 20))
      var next = 1000
      // First what it is to learn, then the long scan.
      for count in [800, 800, 800, 800, 3000] {
        for _ in 0..<3 { try read(file, 0..<300) }
        try read(file, next..<next + count)
        next += count
      }
      let left = try cached(file, 0..<300)
      #expect(keepsIt ? left > 270 : left < 30, "\(policy): \(left) of 300 are left")
      try file.close()
      cache.reclaimDeferred()
      #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
    }
  }

  @Test func whatComesBackSoonIsKnown() throws {
    let cache = try PageCache(
      .init(memoryLimit: 4 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, readAheadLength: 0))
    let file = try cache.open(store: patternStore(64 << 20))
    try read(file, 0..<1500)
    #expect(try cache.statistics().refaults == 0)
    // Of those that went last.
    let resident = try cached(file, 0..<1500)
    let gone = try (0..<1500).filter { try cached(file, $0..<$0 + 1) == 0 }.suffix(resident / 2)
    try read(file, gone)
    #expect(try cache.statistics().refaults > UInt64(gone.count / 2))
    try file.close()
  }

  /// What has gone takes little room, however far apart it was, and is forgotten in the end.
  @Test func whatIsRememberedIsBounded() throws {
    let cache = try PageCache(
      .init(memoryLimit: 8 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, readAheadLength: 0))
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: LyingStore(size: 1 << 40))
    var random = RandomWords(seed: testSeed)
    var most = 0
    for number in 0..<20_000 {
      _ = try file.read(fromAbsoluteOffset: Int64(random.next(below: 1 << 28)) << 12, count: 1)
      if number % 100 == 0 { most = max(most, try cache.statistics().nodeFrames) }
    }
    // A page at random takes a few nodes of 64 slots to itself, as long as it is cached.
    let frames = try cache.statistics().frames
    #expect(most < frames * 6 / 10, "\(most) frames for nodes")
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
    try expectAllFramesBack(cache, before)
  }

  /// A file that is cut and grows again is not taken for what it was.
  @Test(arguments: PageCache.Durability.allCases) func shadowsGoWithTheirPages(_ durability: PageCache.Durability)
    throws
  {
    try withTemporaryDirectory { directory in
      let cache = try PageCache(
        .init(memoryLimit: 4 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, readAheadLength: 0))
      let file = try cache.open(directory.appending("file"), .readWrite(creation: .exclusively, durability: durability))
      for page in 0..<1500 { try file.write(toAbsoluteOffset: Int64(page) * 4096, [UInt8(page % 251 + 1)]) }
      try file.sync()
      for page in 0..<1500 {
        #expect(try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 1) == [UInt8(page % 251 + 1)])
      }
      try file.punchHole(0..<500 * 4096)
      try file.collapseRange(500 * 4096..<600 * 4096)
      try file.resize(to: 900 * 4096)
      try file.resize(to: 1200 * 4096)
      #expect(try file.read(fromAbsoluteOffset: 0, count: 500 * 4096).allSatisfy { $0 == 0 })
      for page in 500..<900 {
        #expect(try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 1) == [UInt8((page + 100) % 251 + 1)])
      }
      #expect(try file.read(fromAbsoluteOffset: 900 * 4096, count: 300 * 4096).allSatisfy { $0 == 0 })
      try file.close()
      cache.reclaimDeferred()
      #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
    }
  }

  @Test func tracesAreRead() throws {
    try withTemporaryDirectory { directory in
      let path = directory.appending("trace").string
      #expect(throws: TraceError.self) { try AccessTrace(path: path) }
      var bytes: [UInt8] = []
      for block in [7, 900, 7, 8] as [UInt64] {
        bytes +=
          [0, 0, 0, 0] + (0..<8).map { UInt8(truncatingIfNeeded: block >> UInt64($0 * 8)) }
          + Array(repeating: 9, count: 12)
      }
      #expect(FileManager.default.createFile(atPath: path, contents: Data(bytes)))
      let trace = try AccessTrace(path: path)
      #expect(trace.pages == [0, 2, 0, 1] && trace.uniquePages == 3 && trace.name == "trace")
      #expect(trace.missesOfLeastRecentlyUsed(capacity: 1) == 4)
      #expect(trace.missesOfLeastRecentlyUsed(capacity: 2) == 3)
      #expect(FileManager.default.createFile(atPath: path, contents: Data(bytes.dropLast())))
      #expect(throws: TraceError.self) { try AccessTrace(path: path) }
    }
  }

  /// Both policies, on a short trace; and reads that are checked.
  @Test func tracesAreReplayed() throws {
    var benchmark = EvictionBenchmark()
    benchmark.traces = [.zipf(pages: 2000, accesses: 20_000)]
    benchmark.shares = [0.4]
    let cells = try benchmark.run { _ in }
    #expect(cells.count == 2)
    for cell in cells {
      #expect(abs(cell.resident - Double(cell.frames)) < Double(cell.frames) * 0.05, "\(cell)")
      #expect(cell.missRatio < cell.missRatioOfLRU * (cell.policy == "s3-fifo" ? 1 : 1.1), "\(cell)")
    }
  }
}
