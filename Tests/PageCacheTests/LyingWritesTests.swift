import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Stores that say about writes, holes and sizes what cannot be.
@Suite struct LyingWritesTests {
  /// A good store, but for what it says.
  private final class Store: BackingStore {
    let memory: MemoryStore
    let written: @Sendable (Int) -> Int
    let found: @Sendable (Int64, StoreExtent) -> StoreExtent
    let isHonest = Word()
    let claimedSize = Word()

    init(
      _ memory: MemoryStore, written: @escaping @Sendable (Int) -> Int = { $0 },
      found: @escaping @Sendable (Int64, StoreExtent) -> StoreExtent = { $1 }
    ) {
      self.memory = memory
      self.written = written
      self.found = found
    }

    var name: String { "liar" }
    var identity: StoreIdentity { memory.identity }
    var maximumSize: Int64 { memory.maximumSize }
    func status() throws(StoreError) -> StoreStatus {
      var status = try memory.status()
      if claimedSize.value != 0 { status.size = Int64(bitPattern: claimedSize.value) }
      return status
    }
    func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
      memory.read(request, completion: completion)
    }
    func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
      let count = isHonest.value == 0 ? written(request.count) : request.count
      return count == request.count ? try memory.write(request) : count
    }
    func flush(dataOnly: Bool) throws(StoreError) { try memory.flush(dataOnly: dataOnly) }
    func resize(to size: Int64) throws(StoreError) { try memory.resize(to: size) }
    func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
      try memory.change(change, range)
    }
    func extent(at offset: Int64) throws(StoreError) -> StoreExtent { found(offset, try memory.extent(at: offset)) }
    func prepareToWrite() throws(StoreError) { try memory.prepareToWrite() }
    func close() { memory.close() }
  }

  private static let counts: [@Sendable (Int) -> Int] = [
    { _ in 0 }, { _ in -1 }, { _ in .min }, { $0 + 1 }, { _ in .max },
  ]

  @Test(arguments: 0..<5) func countsOfWrites(_ way: Int) throws {
    for durability in PageCache.Durability.allCases {
      let memory = MemoryStore(bytes: someBytes(20_000))
      let store = Store(memory, written: Self.counts[way])
      let cache = try smallCache(limit: 2 << 20)
      let before = try cache.statistics().freeFrames
      let file = try cache.open(store: store, .readWrite(durability: durability))
      var model = BytesModel(bytes: someBytes(20_000))
      func isExpected(_ error: CacheError?) -> Bool {
        guard case .other(let text)? = error?.cause.storeCause else { return false }
        return text.contains("says that it has written")
      }
      // Cached and not, inside and at the end.
      _ = try file.read(fromAbsoluteOffset: 0, count: 5000)
      for (offset, count) in [(100, 10), (16_000, 3000), (19_990, 100)] {
        if durability == .writeThrough {
          let error = expectRefusal(.write, "store") {
            try file.write(toAbsoluteOffset: Int64(offset), someBytes(count, 2))
          }
          #expect(isExpected(error), "\(error as Any)")
        } else {
          try file.write(toAbsoluteOffset: Int64(offset), someBytes(count, 2))
          model.write(someBytes(count, 2), at: offset)
        }
        #expect(try contents(file) == model.bytes)
      }
      if durability == .writeBack {
        #expect(isExpected(expectRefusal(.sync, "writeBackFailed") { try file.sync() }))
        #expect(try contents(file) == model.bytes, "still in the cache")
        expectRefusal(.close, "writeBackFailed") { try file.close() }
        #expect(!file.isClosed)
      }
      store.isHonest.set(1)
      try file.sync()
      #expect(memory.crashed() == model.bytes)
      #expect(try cache.statistics().owedFrames == 0)
      try file.close()
      try expectAllFramesBack(cache, before)
    }
  }

  private static let extents: [@Sendable (Int64, StoreExtent) -> StoreExtent] = [
    { offset, extent in StoreExtent(isHole: extent.isHole, end: offset) },
    { offset, extent in StoreExtent(isHole: extent.isHole, end: offset - 1) },
    { _, extent in StoreExtent(isHole: extent.isHole, end: -1) },
    { _, extent in StoreExtent(isHole: extent.isHole, end: .min) },
    { _, extent in StoreExtent(isHole: extent.isHole, end: 0) },
    // Less of a hole than there is, unaligned.
    { offset, extent in StoreExtent(isHole: extent.isHole, end: offset + 1) },
    // Never a hole, and as far as one can count.
    { _, _ in StoreExtent(isHole: false, end: .max) }, { _, _ in StoreExtent(isHole: false, end: .max - 1) },
  ]

  /// What is said of the ends of extents that does not make data a hole changes nothing that is read.
  @Test(arguments: 0..<8) func endsOfExtents(_ way: Int) throws {
    let memory = MemoryStore(holeOf: 200_000)
    try memory.prepareToWrite()
    let store = Store(memory, found: Self.extents[way])
    let cache = try smallCache(limit: 2 << 20)
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: store, .readWrite())
    var model = BytesModel(bytes: [UInt8](repeating: 0, count: 200_000))
    for offset in [50_000, 130_000] {
      try file.write(toAbsoluteOffset: Int64(offset), someBytes(5000))
      model.write(someBytes(5000), at: offset)
    }
    try file.invalidate()
    // From the middle as well: there it looks for the hole's beginning.
    #expect(try file.read(fromAbsoluteOffset: 100_000, count: 10) == Array(model.bytes[100_000..<100_010]))
    #expect(try contents(file) == model.bytes)
    // They end.
    _ = try file.seekData(from: 0)
    _ = try file.seekHole(from: 50_000)
    try file.punchHole(40_000..<60_000)
    model.zero(40_000..<60_000)
    #expect(try contents(file) == model.bytes)
    try file.sync()
    #expect(memory.crashed() == model.bytes)
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  /// A store that says hole for ever, where it has data, is believed; but neither past the end of the file nor for what is written here.
  @Test(arguments: [Int64.max, Int64.max - 1, Int64(1) << 40]) func aHoleForEver(_ end: Int64) throws {
    let memory = MemoryStore(holeOf: 100_000)
    let store = Store(memory, found: { _, _ in StoreExtent(isHole: true, end: end) })
    let cache = try smallCache(limit: 2 << 20)
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    var model = BytesModel(bytes: [UInt8](repeating: 0, count: 100_000))
    #expect(try contents(file) == model.bytes)
    for offset in [5, 70_000, 120_000] {
      try file.write(toAbsoluteOffset: Int64(offset), someBytes(10_000, offset))
      model.write(someBytes(10_000, offset), at: offset)
      #expect(try contents(file) == model.bytes)
    }
    #expect(try file.seekData(from: 0) == nil)
    #expect(try file.seekHole(from: 7) == 7)
    try file.sync()
    #expect(memory.crashed() == model.bytes)
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  @Test func sizes() throws {
    for size in [Int64.min, -1, .max] {
      let memory = MemoryStore(bytes: someBytes(20_000))
      let store = Store(memory)
      let cache = try smallCache(limit: 2 << 20)
      let before = try cache.statistics().freeFrames
      let file = try cache.open(store: store, .readWrite())
      #expect(try contents(file) == someBytes(20_000))
      store.claimedSize.set(UInt64(bitPattern: size))
      expectRefusal(.invalidate, "impossibleSize") { try file.invalidate() }
      #expect(try file.size == 20_000)
      #expect(try file.read(fromAbsoluteOffset: 0, count: 20_000) == someBytes(20_000))
      // The sync notices that somebody has changed the file, and writes all the same.
      try file.write(toAbsoluteOffset: 0, [1])
      store.claimedSize.set(0)
      try? file.sync()
      try file.sync()
      #expect(memory.crashed() == [1] + someBytes(20_000).dropFirst())
      try file.close()
      try expectAllFramesBack(cache, before)
    }
  }

  /// No liar: it takes what there is room for. What it took is changed, in the cache as in the store, and the rest is not.
  @Test(arguments: WritingTests.ways) func aStoreThatTakesAPart(_ way: WritingTests.Way) throws {
    for isCached in [true, false] {
      let memory = MemoryStore(bytes: someBytes(20_000))
      // Five blocks are there, and two more.
      memory.capacity = 7 * 4096
      let cache = try smallCache(limit: 2 << 20, orders: way.orders, atomic: 1 << 16)
      let before = try cache.statistics().freeFrames
      let file = try cache.open(store: memory, .readWrite(durability: way.durability))
      if isCached { _ = try contents(file) }
      var model = BytesModel(bytes: someBytes(20_000))
      if way.durability == .writeThrough {
        let error = expectRefusal(.write, "partlyWritten") {
          try file.write(toAbsoluteOffset: 18_000, someBytes(30_000, 2))
        }
        guard case .partlyWritten(let count, let refusal)? = error?.cause else { return }
        #expect(count == 7 * 4096 - 18_000 && refusal.cause == .system(.noSpace))
        #expect(error?.range == 18_000..<48_000)
        model.write(Array(someBytes(30_000, 2).prefix(count)), at: 18_000)
        #expect(memory.bytes() == model.bytes)
        // Nothing more.
        let none = expectRefusal(.append, "store") { try file.append([1]) }
        #expect(none?.cause.storeCause == .system(.noSpace))
      } else {
        try file.write(toAbsoluteOffset: 18_000, someBytes(30_000, 2))
        model.write(someBytes(30_000, 2), at: 18_000)
        let error = expectRefusal(.sync, "writeBackFailed") { try file.sync() }
        #expect(error?.cause.storeCause == .system(.noSpace))
      }
      #expect(try contents(file) == model.bytes)
      memory.capacity = .max
      try file.sync()
      #expect(try contents(file) == model.bytes)
      #expect(memory.crashed() == model.bytes)
      #expect(try cache.statistics().owedFrames == 0)
      try file.close()
      try expectAllFramesBack(cache, before)
    }
  }
}
