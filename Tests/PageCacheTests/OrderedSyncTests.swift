import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// A sync makes durable what was written before it began, and no more: writers that go on do not keep it.
@Suite struct OrderedSyncTests {
  private struct Database {
    let store = ScriptedStore(filled(1, 64 * 4096))
    let logStore = ScriptedStore()
    let cache: PageCache
    let data: CachedFile
    let log: CachedFile

    init(log durability: PageCache.Durability) throws {
      cache = try smallCache()
      data = try store.open(in: cache, .writeBack)
      log = try logStore.open(in: cache, durability)
      for file in [data, log] { try file.sync() }
    }

    func transact(_ page: Int) throws {
      try log.append([7])
      try data.write(toAbsoluteOffset: Int64(page) * 4096, [7], notBefore: log.durabilityPoint())
    }

    func close() throws { for file in [data, log] { try file.close() } }
  }

  /// D21. At every flush of the data, or of the log, another record is logged and another page waits for it.
  @Test(arguments: PageCache.Durability.allCases, [true, false])
  func writersThatGoOn(log: PageCache.Durability, toOnePage: Bool) throws {
    let database = try Database(log: log)
    let (failures, count) = (Failures(), SharedCounter())
    try database.transact(0)
    for store in [database.store, database.logStore] {
      store.before { call in
        guard call == .flush else { return nil }
        let number = count.addReturningNew(1)
        // There would be no end of it.
        guard number <= 20 else { return nil }
        let writer = StagedThread("writer") {
          do { try database.transact(toOnePage ? 0 : number) } catch { failures.add("\(error)") }
        }
        // It may have to wait for the sync.
        writer.waitUntilOverOrAsleep()
        return nil
      }
    }
    let before = (database.store.flushes, database.logStore.flushes)
    try database.data.sync()
    let flushes = (data: database.store.flushes - before.0, log: database.logStore.flushes - before.1)
    #expect(flushes.data <= 3 && flushes.log <= 3, "one call of sync: \(flushes)")
    #expect(database.store.durable(at: 0) == 7, "what was written before it")
    #expect(failures.all == [])
    count.add(100)
    try database.close()
  }

  /// D21. The sync has given a page to the store; what is held back of it after that is not its business.
  @Test(arguments: PageCache.Durability.allCases) func heldBackAfterItWasGiven(log: PageCache.Durability) throws {
    let database = try Database(log: log)
    try database.transact(0)
    try database.data.write(toAbsoluteOffset: 4096, [5])
    let (failures, isFirst) = (Failures(), SharedCounter())
    database.logStore.before { call in
      guard call == .flush, isFirst.addReturningNew(1) == 1 else { return nil }
      // Dirty, and not because of the sync that has begun; then held back with what is dirty in it.
      let writer = StagedThread("writer") {
        do {
          try database.data.write(toAbsoluteOffset: 4097, [6])
          try database.log.append([8])
          try database.data.write(toAbsoluteOffset: 4098, [7], notBefore: database.log.durabilityPoint())
        } catch {
          failures.add("\(error)")
        }
      }
      writer.waitUntilOverOrAsleep()
      return nil
    }
    let before = database.logStore.flushes
    try database.data.sync()
    #expect(database.logStore.flushes - before == 1)
    #expect(database.store.durable(at: 0) == 7 && database.store.durable(at: 4096) == 5)
    #expect(database.store.present(at: 4097) == 1 && database.store.present(at: 4098) == 1, "held back")
    #expect(failures.all == [])
    try database.close()
  }

  /// D21. A flush reaches all points of what it has covered, not only the one that it was made for.
  @Test(arguments: PageCache.Durability.allCases) func pointsThatAFlushHasCovered(log: PageCache.Durability) throws {
    let database = try Database(log: log)
    try database.transact(0)
    try database.log.append([8])
    let second = try database.log.durabilityPoint()
    let before = database.logStore.flushes
    try database.data.sync()
    #expect(second.isReached)
    try database.data.write(toAbsoluteOffset: 4096, [9], notBefore: second)
    try database.data.sync()
    #expect(database.logStore.flushes - before == 1)
    #expect(database.store.durable(at: 4096) == 9 && database.logStore.durable == [7, 8])
    try database.close()
  }

  /// D21. What is changed is settled, not what waits elsewhere in the file.
  @Test(arguments: ["punch", "zero", "allocate", "write", "grow"]) func somethingElseIsHeldBack(call: String) throws {
    let database = try Database(log: .writeBack)
    try database.transact(0)
    let before = (database.store.flushes, database.logStore.flushes)
    let data = database.data
    switch call {
    case "punch": try data.punchHole(16 * 4096..<32 * 4096)
    case "zero": try data.zeroRange(16 * 4096..<32 * 4096)
    case "allocate": try data.allocate(16 * 4096..<32 * 4096)
    case "write": try data.write(toAbsoluteOffset: 16 * 4096, filled(5))
    default: try data.resize(to: 128 * 4096)
    }
    #expect(database.store.flushes == before.0 && database.logStore.flushes == before.1)
    #expect(database.store.present(at: 0) == 1, "still held back")
    try data.sync()
    #expect(database.store.durable(at: 0) == 7 && database.logStore.durable == [7])
    try database.close()
  }
}
