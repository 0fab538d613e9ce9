import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P8: holes cost nothing.
@Suite struct HoleTests {
  @Test func aTerabyteOfNothing() throws {
    try withTemporaryDirectory { directory in
      let cache = try smallCache(limit: 16 << 20, atomic: 1 << 20)
      let file = try cache.open(directory.appending("sparse"), .readWrite(creation: .exclusively))
      try file.resize(to: 1 << 40)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      defer { unsafe buffer.deallocate() }
      var random = RandomWords(seed: testSeed)
      for _ in 0..<20_000 {
        unsafe buffer.storeBytes(of: 0xFFFF, toByteOffset: 104, as: UInt64.self)
        let offset = Int64(random.next(below: 1 << 40 - 4096))
        #expect(try unsafe file.read(fromAbsoluteOffset: offset, into: .init(rebasing: buffer[..<4096])) == 4096)
        let word = unsafe buffer.load(fromByteOffset: 104, as: UInt64.self)
        #expect(word == 0)
      }
      for piece in 0..<(isSanitized ? 64 : 1024) {
        #expect(try unsafe file.read(fromAbsoluteOffset: Int64(piece) << 20, into: buffer) == 1 << 20)
      }
      let statistics = try cache.statistics()
      #expect(statistics.cachedFramesByOrder.reduce(0, +) == 0)
      #expect(statistics.nodeFrames * statistics.frameByteCount <= 65536)
      #expect(statistics.filledBytes == 0)
      // A byte in the middle takes a frame, and the rest stays what it was.
      try file.write(toAbsoluteOffset: 1 << 39, [7])
      #expect(try file.read(fromAbsoluteOffset: 1 << 39 - 2, count: 5) == [0, 0, 7, 0, 0])
      #expect(try cache.statistics().cachedFramesByOrder.reduce(0, +) == 1)
      try file.punchHole(1 << 39..<1 << 39 + 4096)
      #expect(try file.read(fromAbsoluteOffset: 1 << 39 - 2, count: 5) == [0, 0, 0, 0, 0])
      cache.reclaimDeferred()
      #expect(try cache.statistics().cachedFramesByOrder.reduce(0, +) == 0)
      try file.close()
    }
  }

  /// Holes are learnt from the store, data between them is read, and what lies in a hole takes no frame.
  @Test(arguments: [0...0, 0...4]) func holesAreLearntFromTheStore(orders: ClosedRange<Int>) throws {
    try withTemporaryDirectory { directory in
      let path = directory.appending("holes")
      let descriptor = try FileDescriptor.open(
        path, .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
      // Sixteen pages of data in each of sixty-four runs of sixty-four.
      for run in 0..<64 {
        _ = try descriptor.writeAll(
          toAbsoluteOffset: Int64(run * 64 * 4096), patternBytes(run * 64 * 4096..<(run * 64 + 16) * 4096))
      }
      try descriptor.resize(to: 64 * 64 * 4096)
      try descriptor.close()
      let cache = try smallCache(limit: 32 << 20, orders: orders)
      let file = try cache.open(path)
      for run in 0..<64 {
        let start = run * 64 * 4096
        let bytes = try file.read(fromAbsoluteOffset: Int64(start), count: 64 * 4096)
        #expect(bytes[..<(16 * 4096)].elementsEqual(patternBytes(start..<start + 16 * 4096)))
        #expect(bytes[(16 * 4096)...].allSatisfy { $0 == 0 })
      }
      #expect(try cache.statistics().cachedFramesByOrder.reduce(0, +) == 64 * 16)
      // Again, as hits.
      let before = try cache.statistics().slowReads
      for run in 0..<64 {
        let start = run * 64 * 4096
        let bytes = try file.read(fromAbsoluteOffset: Int64(start + 15 * 4096), count: 2 * 4096)
        #expect(bytes.prefix(4096).elementsEqual(patternBytes(start + 15 * 4096..<start + 16 * 4096)))
        #expect(bytes.suffix(4096).allSatisfy { $0 == 0 })
      }
      #expect(try cache.statistics().slowReads == before)
      #expect(try file.seekHole(from: 0) == 16 * 4096)
      #expect(try file.seekData(from: 16 * 4096) == 64 * 4096)
      #expect(try file.seekHole(from: 64 * 64 * 4096) == nil)
      #expect(try file.seekData(from: 63 * 64 * 4096 + 16 * 4096) == nil)
    }
  }

  /// What the index says of holes is given up when nodes run out: it can be learnt again.
  @Test func manyHolesInASmallCache() throws {
    let store = MemoryStore(holeOf: 4 << 30)
    let cache = try smallCache(limit: 2 << 20, atomic: 4096)
    let file = try cache.open(store: store, .readWrite())
    // A byte in every other group of 64 pages: holes and nodes between them, many more than fit.
    var random = RandomWords(seed: testSeed)
    let count = isSanitized ? 1_000 : 3_000
    for index in 0..<count {
      try file.write(toAbsoluteOffset: Int64(index) * 300_000, [UInt8(truncatingIfNeeded: index)])
    }
    for _ in 0..<count {
      let index = Int(random.next(below: UInt64(count)))
      #expect(
        try file.read(fromAbsoluteOffset: Int64(index) * 300_000, count: 3) == [UInt8(truncatingIfNeeded: index), 0, 0])
      _ = try file.read(fromAbsoluteOffset: Int64(index) * 300_000 + 150_000, count: 100)
    }
    #expect(try cache.statistics().evictions > 0)
    try file.close()
  }
}
