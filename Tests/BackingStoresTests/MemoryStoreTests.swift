import BackingStores
import Glibc
import Primitives
import SystemPackage
import Testing

@Suite("Writing to memory", .timeLimit(.minutes(30)))
struct MemoryStoreTests {
  private func prepared(_ store: MemoryStore) throws(StoreError) -> MemoryStore {
    try store.prepareToWrite()
    return store
  }

  @Test func aTerabyteOfHoleCostsNothing() throws {
    let store = try prepared(MemoryStore(holeOf: 1 << 40))
    #expect(try store.status().allocatedBytes == 0)
    #expect(try store.extent(at: 12_345) == StoreExtent(isHole: true, end: .max))
    try store.write([1, 2, 3], at: (1 << 39) + 5)
    #expect(try store.status().allocatedBytes == 4096)
    #expect(try store.extent(at: 0) == StoreExtent(isHole: true, end: 1 << 39))
    #expect(try store.extent(at: 1 << 39) == StoreExtent(isHole: false, end: (1 << 39) + 4096))
    #expect(try store.extent(at: (1 << 39) + 4096) == StoreExtent(isHole: true, end: .max))
    #expect(store.bytes(in: (1 << 39)..<(1 << 39) + 10) == [0, 0, 0, 0, 0, 1, 2, 3, 0, 0])
    try store.change(.zero(keepingSize: false), 0..<1 << 40)
    #expect(try store.status().allocatedBytes == 1 << 40)
    #expect(try store.extent(at: 0) == StoreExtent(isHole: false, end: .max))
    try store.change(.punchHole, 0..<1 << 40)
    #expect(try store.status().allocatedBytes == 0)
    try store.change(.insert, 4096..<1 << 40)
    try store.resize(to: 1 << 60)
    try store.flush(dataOnly: true)
    #expect(try store.status().size == 1 << 60)
  }

  @Test func computedContentsUnderWhatIsWritten() throws {
    let store = try prepared(MemoryStore(size: 1 << 40) { patternByte(at: $0) })
    #expect(try store.status().allocatedBytes == 1 << 40)
    try store.write([1, 2, 3], at: 5000)
    #expect(store.bytes(in: 4999..<5004) == [patternByte(at: 4999), 1, 2, 3, patternByte(at: 5003)])
    try store.change(.collapse, 4096..<1 << 30)
    #expect(store.bytes(in: 4095..<4097) == [patternByte(at: 4095), patternByte(at: 1 << 30)])
    try store.resize(to: 100)
    try store.resize(to: 5000)
    #expect(store.bytes() == pattern(0..<100) + zeroes(4900))
  }

  @Test func whatItWasMadeWithDoesNotComeUpBehindTheEnd() throws {
    let store = try prepared(MemoryStore(size: 100) { _ in 7 })
    try store.write([1], at: 5000)
    #expect(store.bytes() == [UInt8](repeating: 7, count: 100) + zeroes(4900) + [1])
    store.size = 10
    store.size = 200
    #expect(store.bytes(in: 90..<200) == [UInt8](repeating: 0, count: 110))
    let untouched = MemoryStore(size: 100) { _ in 7 }
    untouched.size = 10
    untouched.size = 200
    #expect(untouched.bytes() == [UInt8](repeating: 7, count: 200))
  }

  @Test func whatCannotBeDone() throws {
    let store = MemoryStore(bytes: zeroes(100))
    let calls: [() throws -> Void] = [
      { try store.write([1], at: 0) }, { try store.resize(to: 1) }, { try store.change(.punchHole, 0..<1) },
      { try store.clone(0..<100, of: store, to: 4096) },
    ]
    for call in calls { #expect(cause(call) == .system(.badFileDescriptor), "not prepared") }
    try store.prepareToWrite()
    #expect(cause { try store.write([1], at: -1) } == .system(.invalidArgument))
    #expect(cause { try store.write([1, 2], at: .max - 1) } == .system(.overflow))
    #expect(cause { try store.resize(to: -1) } == .system(.invalidArgument))
    #expect(cause { try store.clone(1..<10, of: store, to: 0) } == .unsupported)
    #expect(cause { try store.change(.collapse, 0..<4096) } == .system(.invalidArgument))
    store.maximumSize = 1000
    #expect(try store.write(zeroes(1000), at: 900) == 100)
    #expect(cause { try store.write([1], at: 1000) } == .system(.fileTooLarge))
    #expect(cause { try store.resize(to: 1001) } == .system(.fileTooLarge))
    #expect(cause { try store.change(.insert, 0..<4096) } == .system(.fileTooLarge))
    store.close()
    for call in calls { #expect(cause(call) == .system(.badFileDescriptor)) }
    #expect(cause { try store.flush(dataOnly: true) } == .system(.badFileDescriptor))
    #expect(cause { _ = try store.extent(at: 0) } == .system(.badFileDescriptor))
  }

  @Test func storageThatRunsOut() throws {
    let store = try prepared(MemoryStore(holeOf: 1 << 30))
    store.capacity = 3 * 4096
    #expect(try store.write(zeroes(4096), at: 100) == 4096)
    #expect(try store.write(zeroes(20_000), at: 4096) == 8192)
    #expect(cause { try store.write([1], at: 1 << 20) } == .system(.noSpace))
    #expect(cause { try store.change(.allocate(keepingSize: true), 0..<1 << 20) } == .system(.noSpace))
    #expect(try store.write([1, 2, 3], at: 0) == 3, "what has storage can be written again")
    try store.change(.punchHole, 0..<4096)
    #expect(try store.write([1], at: 1 << 20) == 1)
  }

  @Test func cloning() throws {
    let source = try prepared(MemoryStore(size: 20_000) { patternByte(at: $0) })
    try source.change(.punchHole, 4096..<8192)
    let target = try prepared(MemoryStore(bytes: pattern(0..<9000, seed: 1)))
    try target.clone(0..<12_288, of: source, to: 4096)
    #expect(target.bytes() == pattern(0..<4096, seed: 1) + source.bytes(in: 0..<12_288))
    #expect(try target.extent(at: 8192) == StoreExtent(isHole: true, end: 12_288))
    try target.clone(8192..<20_000, of: source, to: 8192)
    #expect(try target.status().size == 20_000)
    #expect(try target.dedupe(8192..<20_000, with: source, at: 8192))
    #expect(try !target.dedupe(0..<4096, with: source, at: 0))
    #expect(cause { _ = try target.dedupe(0..<4096, with: source, at: 1) } == .unsupported)
    try target.write([1], at: 8192)
    #expect(source.bytes(in: 8192..<8193) == pattern(8192..<8193))
    #expect(cause { try target.clone(8192..<20_000, of: source, to: 0) } == .unsupported, "ends in the middle")
  }

  @Test func claims() throws {
    let store = MemoryStore(bytes: [1])
    try store.claim(forWriting: false)
    #expect(store.claim == .reading)
    store.claimForOthers(.reading, byProcess: 77)
    #expect(cause { try store.claim(forWriting: true) } == .claimed(byProcess: 77))
    try store.claim(forWriting: false)
    store.claimForOthers(.writing)
    #expect(cause { try store.claim(forWriting: false) } == .claimed(byProcess: nil))
    store.claimForOthers(.none)
    try store.claim(forWriting: true)
    #expect(store.claim == .writing)
    #expect(try !store.status().isReplaced)
    store.isReplaced = true
    #expect(try store.status().isReplaced)
    store.close()
    #expect(store.claim == .none)
  }

  // MARK: Durability

  @Test func onlyAFlushMakesDurable() throws {
    let store = try prepared(MemoryStore(bytes: zeroes(10_000)))
    try store.write([1], at: 0)
    #expect(store.crashed() == zeroes(10_000))
    try store.flush(dataOnly: true)
    try store.write([2], at: 1)
    try store.write([3], at: 20_000)
    #expect(store.unflushedBlocks == [0, 4])
    #expect(store.crashed() == [1] + zeroes(9999))
    #expect(store.crashed { $0 == 0 } == [1, 2] + zeroes(9998))
    #expect(store.crashed { $0 == 4 } == [1] + zeroes(19_999) + [3])
    #expect(store.crashed { _ in true } == store.bytes())
    try store.resize(to: 5)
    #expect(store.crashed() == [1] + zeroes(9999), "neither is a size")
    store.crash()
    #expect(store.bytes() == [1] + zeroes(9999))
    #expect(cause { try store.write([1], at: 0) } == .system(.badFileDescriptor))
  }

  @Test func lostWrites() throws {
    let store = try prepared(MemoryStore(bytes: pattern(0..<10_000)))
    try store.write([1], at: 0)
    try store.flush(dataOnly: true)
    try store.write([2], at: 1)
    try store.write(zeroes(10), at: 9995)
    try store.change(.punchHole, 4096..<8192)
    store.loseUnflushedWrites()
    var expected = [1] + pattern(1..<10_000) + zeroes(5)
    expected.replaceSubrange(4096..<8192, with: zeroes(4096))
    #expect(store.bytes() == expected, "the size stays, and what was changed otherwise")
    #expect(store.unflushedBlocks == [])
    try store.write([5], at: 3)
    try store.flush(dataOnly: true)
    expected[3] = 5
    #expect(store.crashed() == expected)
  }

  /// A failing flush loses bytes, and no structure: what was punched, cut or moved is metadata, which a journal has.
  @Test func lostWritesAndStructure() throws {
    // A block that was written and then punched does not come back.
    let punched = try prepared(MemoryStore(bytes: pattern(0..<12_288)))
    try punched.write([1, 2, 3], at: 5000)
    try punched.change(.punchHole, 4096..<8192)
    punched.loseUnflushedWrites()
    #expect(punched.bytes() == pattern(0..<4096) + zeroes(4096) + pattern(8192..<12_288))
    #expect(try punched.extent(at: 4096) == StoreExtent(isHole: true, end: 8192))
    // Neither does one that was zeroed, or what was behind a smaller size.
    let zeroed = try prepared(MemoryStore(bytes: pattern(0..<12_288)))
    try zeroed.write([1, 2, 3], at: 5000)
    try zeroed.change(.zero(keepingSize: true), 4096..<8192)
    try zeroed.write([1], at: 8192)
    try zeroed.resize(to: 8300)
    try zeroed.resize(to: 12_288)
    zeroed.loseUnflushedWrites()
    #expect(zeroed.bytes() == pattern(0..<4096) + zeroes(4096) + pattern(8192..<8300) + zeroes(12_288 - 8300))
    // The bytes of a block that was moved are those of the place that it came from.
    let moved = try prepared(MemoryStore(bytes: pattern(0..<20_480)))
    try moved.write([1], at: 0)
    try moved.change(.collapse, 4096..<8192)
    try moved.write([2], at: 4096)
    try moved.change(.insert, 8192..<12_288)
    moved.loseUnflushedWrites()
    #expect(
      moved.bytes() == pattern(0..<4096) + pattern(8192..<12_288) + zeroes(4096) + pattern(12_288..<20_480))
    // Storage that is shared has been written first.
    let clone = try prepared(MemoryStore(bytes: pattern(0..<8192)))
    try clone.write([9], at: 4096)
    try clone.clone(0..<4096, of: clone, to: 4096)
    clone.loseUnflushedWrites()
    #expect(clone.bytes() == pattern(0..<4096) + pattern(0..<4096))
  }

  /// A part of a block is zeroed in memory and written back like any other bytes, so it can be lost as well.
  @Test func lostEdges() throws {
    for change in [StoreRangeChange.punchHole, .zero(keepingSize: true)] {
      let store = try prepared(MemoryStore(bytes: pattern(0..<16_384)))
      try store.change(change, 100..<10_000)
      #expect(store.unflushedBlocks == [0, 2])
      #expect(store.bytes() == pattern(0..<100) + zeroes(9900) + pattern(10_000..<16_384))
      store.loseUnflushedWrites()
      #expect(store.bytes() == pattern(0..<4096) + zeroes(4096) + pattern(8192..<16_384))
      try store.change(change, 100..<10_000)
      try store.flush(dataOnly: true)
      store.loseUnflushedWrites()
      #expect(store.crashed() == pattern(0..<100) + zeroes(9900) + pattern(10_000..<16_384))
    }
  }

  /// Reads see all of a write or nothing of it, and what others write costs them nothing.
  @Test func readersBesideWriters() throws {
    let store = try prepared(MemoryStore(holeOf: 1 << 20))
    let wrong = Promise<String>()
    onThreads(4) { thread in
      do {
        for round in 0..<200 {
          let byte = UInt8(truncatingIfNeeded: round)
          let offset = Int64(thread) * 8192
          try store.write([UInt8](repeating: byte, count: 8192), at: offset)
          let frames = Frames(8192)
          if store.readAndWait(frames, at: offset) != .success(8192) || !frames.bytes.allSatisfy({ $0 == byte }) {
            wrong.fulfil("thread \(thread), round \(round)")
          }
          if round % 50 == 0 { try store.flush(dataOnly: true) }
        }
      } catch { wrong.fulfil("\(error)") }
    }
    #expect(wrong.all == [])
  }
}
