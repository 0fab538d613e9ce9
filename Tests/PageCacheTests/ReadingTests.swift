import BackingStores
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

@Suite struct ReadingTests {
  @Test(arguments: [0, 1, 4095, 4096, 4097, 65536, (1 << 20) + 3], [0...0, 2...2, 0...5, 9...9])
  func everyByteOfAFileIsRead(byteCount: Int, orders: ClosedRange<Int>) throws {
    try withTemporaryDirectory { directory in
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: byteCount)
      let cache = try smallCache(limit: 16 << 20, orders: orders)
      let file = try cache.open(pattern.path)
      #expect(try file.size == Int64(byteCount))
      for _ in 0..<2 {
        #expect(try file.read(fromAbsoluteOffset: 0, count: byteCount + 10) == patternBytes(0..<byteCount))
      }
      try file.close()
    }
  }

  @Test(arguments: [true, false]) func randomRangesAgreeWithTheFile(usesMembarrier: Bool) throws {
    try withTemporaryDirectory { directory in
      let byteCount = 3_000_001
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: byteCount)
      let cache = try smallCache(usesMembarrier: usesMembarrier)
      let file = try cache.open(pattern.path)
      var random = RandomWords(seed: testSeed)
      for round in 0..<3000 {
        let offset = Int(random.next(below: UInt64(byteCount) + 5000))
        let count = Int(random.next(below: round % 10 == 0 ? 600_000 : 9000))
        let room = count + 32
        var buffer = [UInt8](repeating: 0xEE, count: room)
        let done = try unsafe buffer.withUnsafeMutableBytes {
          try unsafe file.read(
            fromAbsoluteOffset: Int64(offset), into: UnsafeMutableRawBufferPointer(rebasing: $0[..<count]))
        }
        #expect(done == max(0, min(count, byteCount - offset)), "seed \(testSeed) round \(round)")
        let mismatch = unsafe buffer[..<done].withUnsafeBytes {
          unsafe PatternFile.firstMismatch($0, at: UInt64(offset))
        }
        #expect(mismatch == nil, "seed \(testSeed) round \(round): \(count) bytes at \(offset)")
        // P3: behind what was read, nothing changed.
        #expect(buffer[done...].allSatisfy { $0 == 0xEE }, "seed \(testSeed) round \(round)")
      }
    }
  }

  @Test func spansVectorsAndArrays() throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(1_000_000))
    var bytes = [UInt8](repeating: 0, count: 5000)
    do {
      var span = bytes.mutableSpan
      #expect(try file.read(fromAbsoluteOffset: 4000, into: &span) == 5000)
    }
    #expect(bytes == patternBytes(4000..<9000))
    do {
      var span = bytes.mutableSpan
      var raw = unsafe span.mutableBytes
      #expect(try file.read(fromAbsoluteOffset: 997_000, into: &raw) == 3000)
    }
    #expect(bytes[..<3000] == patternBytes(997_000..<1_000_000)[...])

    let first = UnsafeMutableRawBufferPointer.allocate(byteCount: 10_000, alignment: 1)
    let second = UnsafeMutableRawBufferPointer.allocate(byteCount: 700, alignment: 1)
    let none = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
    defer {
      unsafe first.deallocate()
      unsafe second.deallocate()
    }
    for _ in 0..<2 {
      let done = try unsafe file.read(fromAbsoluteOffset: 123, into: [first, none, second])
      #expect(done == 10_700)
      #expect(unsafe [UInt8](first) == patternBytes(123..<10_123))
      #expect(unsafe [UInt8](second) == patternBytes(10_123..<10_823))
    }
    #expect(try unsafe file.read(fromAbsoluteOffset: 0, into: [UnsafeMutableRawBufferPointer]()) == 0)
    // A read longer than the atomic length is cut into pieces.
    #expect(try file.read(fromAbsoluteOffset: 1, count: 900_000) == patternBytes(1..<900_001))
  }

  @Test func tryReadDoesNotFill() throws {
    let store = patternStore(100_000)
    let cache = try smallCache()
    let file = try cache.open(store: store)
    var buffer = [UInt8](repeating: 0, count: 10_000)
    func tryRead(_ offset: Int64) throws -> Int? {
      try unsafe buffer.withUnsafeMutableBytes { try unsafe file.tryRead(fromAbsoluteOffset: offset, into: $0) }
    }
    #expect(try tryRead(5000) == nil)
    #expect(store.readCount == 0)
    _ = try file.read(fromAbsoluteOffset: 5000, count: 10_000)
    #expect(try tryRead(5000) == 10_000)
    #expect(buffer == patternBytes(5000..<15_000))
    #expect(try tryRead(100_000) == 0)
    #expect(try tryRead(1 << 40) == 0)
  }

  @Test func loansAreSnapshotsOfOneFolio() throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(100_000))
    for _ in 0..<2 {
      let copied = try file.withBytes(atAbsoluteOffset: 5000, count: 2000) { span in
        unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
      }
      #expect(copied == patternBytes(5000..<7000))
    }
    // Across folios, at the end, behind it, and nothing.
    let across = try file.withBytes(atAbsoluteOffset: 4000, count: 50_000) { span in
      unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
    }
    #expect(across == patternBytes(4000..<54_000))
    #expect(try file.withBytes(atAbsoluteOffset: 99_990, count: 50) { $0.byteCount } == 10)
    #expect(try file.withBytes(atAbsoluteOffset: 100_000, count: 50) { $0.byteCount } == 0)
    #expect(try file.withBytes(atAbsoluteOffset: 0, count: 0) { $0.byteCount } == 0)
    let statistics = try cache.statistics()
    #expect(statistics.borrows >= 2)
    #expect(statistics.borrowCopies == 1)
    struct Mine: Error {}
    #expect(throws: Mine.self) { try file.withBytes(atAbsoluteOffset: 0, count: 10) { _ in throw Mine() } }
  }

  @Test(arguments: [0...0, 9...9]) func batches(orders: ClosedRange<Int>) throws {
    let byteCount = 5_000_000
    let cache = try smallCache(limit: 16 << 20, orders: orders)
    let file = try cache.open(store: patternStore(byteCount))
    var random = RandomWords(seed: testSeed)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 100 * 9000, alignment: 16)
    defer { unsafe memory.deallocate() }
    for round in 0..<20 {
      var requests: [CachedFile.ReadRequest] = []
      for index in 0..<100 {
        let count = Int(random.next(below: index % 7 == 0 ? 9000 : 400))
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[index * 9000..<index * 9000 + count])
        requests.append(
          unsafe CachedFile.ReadRequest(offset: Int64(random.next(below: UInt64(byteCount + 500))), buffer: part))
      }
      try file.readMany(&requests)
      for request in requests {
        let expected = unsafe max(0, min(request.buffer.count, byteCount - Int(request.offset)))
        #expect(request.bytesRead == expected, "seed \(testSeed) round \(round)")
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: request.buffer[..<request.bytesRead])
        let mismatch = unsafe PatternFile.firstMismatch(bytes, at: UInt64(request.offset))
        #expect(mismatch == nil, "seed \(testSeed) round \(round)")
      }
    }
    var none: [CachedFile.ReadRequest] = []
    try file.readMany(&none)
  }

  @Test func residencyTellsWhatIsCached() throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(100_000))
    #expect(try file.residency() == [])
    _ = try file.read(fromAbsoluteOffset: 5000, count: 10)
    _ = try file.read(fromAbsoluteOffset: 8192, count: 10)
    _ = try file.read(fromAbsoluteOffset: 99_999, count: 10)
    #expect(try file.residency() == [4096..<12_288, 98_304..<100_000])
  }

  @Test func zeroesLieBehindTheEndInTheLastFrame() throws {
    // The store has more than it said at first: nothing of it may show.
    let store = patternStore(5000)
    let cache = try smallCache()
    // Of a file that is its own, it would say that somebody else has changed it.
    let file = try cache.open(store: store, .init(ownership: .external))
    store.size = 8192
    #expect(try file.read(fromAbsoluteOffset: 0, count: 8192) == patternBytes(0..<5000))
    #expect(try file.withBytes(atAbsoluteOffset: 4096, count: 4096) { $0.byteCount } == 904)
  }

  @Test func sequentialMissesMakeLargerFolios() throws {
    let cache = try smallCache(limit: 32 << 20, orders: 0...6)
    let file = try cache.open(store: patternStore(4 << 20))
    var offset: Int64 = 0
    while offset < 4 << 20 {
      #expect(try file.read(fromAbsoluteOffset: offset, count: 4096) == patternBytes(Int(offset)..<Int(offset) + 4096))
      offset += 4096
    }
    let orders = try cache.statistics().cachedFramesByOrder
    #expect(orders.reduce(0, +) == 1024)
    #expect(orders[6] > 512, "\(orders)")
    // Random misses stay small.
    let other = try cache.open(store: patternStore(4 << 20))
    for page in [700, 3, 512, 90, 641] { _ = try other.read(fromAbsoluteOffset: Int64(page) * 4096, count: 1) }
    #expect(try other.residency().count == 5)
  }
}
