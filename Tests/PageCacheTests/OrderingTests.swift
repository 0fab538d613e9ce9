import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Bytes that are not to be in their store before others are durable: a database's log goes first.
@Suite struct OrderingTests {
  /// A log and data, with a look at the log's durable bytes whenever the data's store is written to.
  private final class Database {
    let cache: PageCache
    let memory = (log: MemoryStore(holeOf: 0), data: MemoryStore(bytes: someBytes(50_000)))
    let log: CachedFile
    let data: CachedFile
    /// How long the log must be, durably, before the data is written to.
    let needed = Word()
    let failures = Failures()
    let writes = SharedCounter()

    init(
      age: Duration = .seconds(3600), log logDurability: PageCache.Durability, data dataDurability: PageCache.Durability
    ) throws {
      cache = try DurabilityTests.cache(age: age)
      let (needed, failures, writes, logMemory) = (needed, failures, writes, memory.log)
      let store = FaultInjectingStore(
        memory.data,
        calls: { _, call in
          if call == .write {
            writes.add(1)
            let length = logMemory.crashed().count
            failures.check(length >= Int(needed.value), "data is written when \(length) bytes of the log are durable")
          }
          return nil
        })
      log = try cache.open(store: memory.log, .readWrite(durability: logDurability))
      data = try cache.open(store: store, .readWrite(durability: dataDurability))
    }

    /// Logs, and changes what was logged.
    func transact(_ number: Int, at offset: Int64) throws {
      try log.append(someBytes(1000, number))
      let point = try log.durabilityPoint()
      needed.set(UInt64(try log.size))
      try data.write(toAbsoluteOffset: offset, someBytes(100, number), notBefore: point)
    }

    func close() throws {
      try data.close()
      try log.close()
      #expect(try cache.statistics().owedFrames == 0)
      #expect(failures.all == [] && writes.value > 0)
    }
  }

  struct Way: Sendable, CustomTestStringConvertible {
    let log: PageCache.Durability
    let data: PageCache.Durability
    var testDescription: String { "log \(log), data \(data)" }
  }

  static let ways = PageCache.Durability.allCases.flatMap { log in
    PageCache.Durability.allCases.map { Way(log: log, data: $0) }
  }

  enum End: CaseIterable { case sync, flush, closeFirst, resize, punch, collapse, clone, exchange, invalidate }

  @Test(arguments: ways, End.allCases) func theLogGoesFirst(_ way: Way, _ end: End) throws {
    let database = try Database(log: way.log, data: way.data)
    var model = BytesModel(bytes: someBytes(50_000))
    for number in 1...5 {
      try database.transact(number, at: Int64(number) * 5000)
      model.write(someBytes(100, number), at: number * 5000)
    }
    let (log, data) = (database.log, database.data)
    #expect(try contents(data) == model.bytes)
    if way.data == .writeBack {
      #expect(database.writes.value == 0, "held back")
      #expect(database.memory.log.crashed() == [])
    }
    switch end {
    case .sync: try data.sync()
    case .flush: try data.flush(5000..<5001)
    case .closeFirst: break
    case .resize:
      try data.resize(to: 22_000)
      model.resize(22_000)
    case .punch:
      try data.punchHole(5050..<12_000)
      model.zero(5050..<12_000)
    case .collapse:
      try data.collapseRange(4096..<8192)
      model.bytes.removeSubrange(4096..<8192)
    case .clone:
      try data.clone(0..<8192, of: data, to: 40_960)
      model.write(Array(model.bytes[0..<8192]), at: 40_960)
    case .exchange:
      try data.exchange(0..<8192, with: data, at: 20_000)
      let mine = Array(model.bytes[0..<8192])
      model.write(Array(model.bytes[20_000..<28_192]), at: 0)
      model.write(mine, at: 20_000)
    case .invalidate: try data.invalidate()
    }
    #expect(try contents(data) == model.bytes)
    try data.sync()
    #expect(database.memory.data.crashed() == model.bytes)
    #expect(database.memory.log.crashed().count == 5000)
    #expect(try contents(log) == (1...5).flatMap { someBytes(1000, $0) })
    try database.close()
  }

  @Test(arguments: ways) func alsoInTheBackground(_ way: Way) throws {
    let database = try Database(age: .milliseconds(20), log: way.log, data: way.data)
    var model = BytesModel(bytes: someBytes(50_000))
    for number in 1...3 {
      try database.transact(number, at: Int64(number) * 5000)
      model.write(someBytes(100, number), at: number * 5000)
    }
    #expect(eventually { database.memory.data.crashed() == model.bytes })
    try database.close()
  }

  @Test func pointsAreReached() throws {
    let cache = try DurabilityTests.cache()
    let memory = MemoryStore(holeOf: 0)
    let log = try cache.open(store: memory, .readWrite(durability: .writeBack))
    let first = try log.durabilityPoint()
    try log.append([1])
    let second = try log.durabilityPoint()
    #expect(!second.isReached)
    try log.sync()
    #expect(first.isReached && second.isReached)
    try log.write(toAbsoluteOffset: 0, [2])
    let third = try log.durabilityPoint()
    #expect(second.isReached && !third.isReached)
    // A point of one's own file, and one that is reached, hold nothing back.
    try log.write(toAbsoluteOffset: 5000, [3], notBefore: third)
    #expect(third.isReached && memory.crashed().first == 2)
    try log.write(toAbsoluteOffset: 5001, [4], notBefore: second)
    let last = try log.durabilityPoint()
    try log.close()
    #expect(last.isReached, "nobody can sync it any more")
    #expect(try cache.statistics().owedFrames == 0)
  }

  /// A log whose store refuses keeps the data back; nothing is lost when it is well again.
  @Test func aLogThatFails() throws {
    let fragile = DurabilityTests.Fragile([], failing: .flush)
    let cache = try DurabilityTests.cache()
    let before = try cache.statistics().freeFrames
    let memory = MemoryStore(bytes: someBytes(10_000))
    let log = try cache.open(store: fragile.store, .readWrite(durability: .writeBack))
    let data = try cache.open(store: memory, .readWrite(durability: .writeBack))
    try log.append([1, 2, 3])
    try data.write(toAbsoluteOffset: 0, [9], notBefore: log.durabilityPoint())
    // Not held back, and so not hindered.
    try data.write(toAbsoluteOffset: 5000, [8])
    fragile.breakDown()
    #expect(cacheError { try data.sync() } != nil)
    #expect(memory.bytes(in: 0..<1) == someBytes(1) && memory.bytes(in: 5000..<5001) == [8])
    #expect(cacheError { try data.close() } != nil)
    #expect(!data.isClosed)
    #expect(try data.read(fromAbsoluteOffset: 0, count: 1) == [9])
    fragile.heal()
    try data.sync()
    #expect(memory.crashed().first == 9 && fragile.memory.crashed() == [1, 2, 3])
    expectRefusal(.sync, "writeBackFailed") { try log.sync() }
    try log.close()
    try data.close()
    try expectAllFramesBack(cache, before)
  }

  /// A page cannot come to wait for itself: what others may be waiting for is made durable before it is put off.
  @Test func aRowThatWouldBeACircle() throws {
    let cache = try DurabilityTests.cache()
    let before = try cache.statistics().freeFrames
    let memory = [MemoryStore(bytes: someBytes(10_000)), MemoryStore(bytes: someBytes(10_000))]
    let files = try memory.map { try cache.open(store: $0, .readWrite(durability: .writeBack)) }
    try files[1].write(toAbsoluteOffset: 0, [1])
    try files[0].write(toAbsoluteOffset: 0, [2], notBefore: files[1].durabilityPoint())
    // The same page, which the first waits for, is to wait for the first.
    try files[1].write(toAbsoluteOffset: 1, [3], notBefore: files[0].durabilityPoint())
    #expect(memory[1].crashed().first == 1 && memory[0].crashed().first == 2)
    #expect(try files[1].read(fromAbsoluteOffset: 0, count: 2) == [1, 3])
    for file in files { try file.sync() }
    #expect(memory[1].crashed()[..<2] == [1, 3])
    for file in files { try file.close() }
    #expect(try cache.statistics().owedFrames == 0)
    try expectAllFramesBack(cache, before)
  }
}
