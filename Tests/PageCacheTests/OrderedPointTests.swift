import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// A durability point is reached when all that it names is durable, and not before.
@Suite struct OrderedPointTests {
  private static func cache() throws -> PageCache { try smallCache() }

  /// D5. A page that waits for a log is given to the store by one call while another call makes the file durable: a point of the file is not reached before the page is durable.
  @Test func aPageThatIsGivenByAnotherCall() throws {
    let (store, logStore) = (ScriptedStore(filled(0, 8192)), ScriptedStore(filled(0)))
    let cache = try Self.cache()
    let (data, log) = try (store.open(in: cache, .writeBack), logStore.open(in: cache, .writeBack))
    for file in [data, log] { try file.sync() }
    try log.write(toAbsoluteOffset: 0, filled(5))
    try data.write(toAbsoluteOffset: 0, filled(6), notBefore: log.durabilityPoint())
    try data.write(toAbsoluteOffset: 4096, filled(3))
    let point = try data.durabilityPoint()
    let (begun, ends, once, failures) = (Moment(), Moment(), Once(), Failures())
    logStore.before { call in
      guard call == .flush, once.isFirst() else { return nil }
      begun.come()
      ends.wait()
      return nil
    }
    store.after { [weak store] _ in
      if store?.present(at: 0) == 6, logStore.durable(at: 0) != 5 { failures.add("given before the log is durable") }
    }
    store.before { call in
      if call == .flush, point.isReached { failures.add("the point is reached before the flush") }
      return nil
    }
    let syncing = StagedThread("syncing") { try data.sync(dataOnly: true) }
    begun.wait()
    let flushing = StagedThread("flushing") { try data.flush(0..<4096) }
    // Both wait for the log.
    flushing.waitUntilOverOrAsleep()
    #expect(!point.isReached)
    ends.come()
    try syncing.value()
    try flushing.value()
    #expect(point.isReached && store.durable(at: 0) == 6 && failures.all == [])
    for file in [data, log] { try file.close() }
  }

  /// D7. What was written before a file was closed and opened again is durable when a point of the file is reached.
  @Test(arguments: PageCache.Durability.allCases) func aPointAfterAReopen(_ durability: PageCache.Durability) throws {
    let (store, logStore) = (ScriptedStore(filled(0)), ScriptedStore())
    let cache = try Self.cache()
    let data = try store.open(in: cache, .writeBack)
    try data.sync()
    var log = try logStore.open(in: cache, durability)
    try log.append(filled(5, 100))
    try log.close()
    log = try logStore.open(in: cache, durability)
    let point = try log.durabilityPoint()
    #expect(!point.isReached || logStore.durable.count == 100)
    try data.write(toAbsoluteOffset: 0, filled(6), notBefore: point)
    let isEarly = Word()
    store.before { call in
      if case .write = call, logStore.durable.count < 100 { isEarly.set(1) }
      return nil
    }
    try data.sync()
    #expect(isEarly.value == 0, "the store is given the data before the log is durable")
    #expect(store.durable(at: 0) == 6 && logStore.durable.count == 100)
    for file in [data, log] { try file.close() }
  }

  /// D8. Three writes that wait for one another in a row, the first and the last in one page: that is no circle.
  @Test(arguments: ["sync", "flush", "close"]) func aRowThatComesBackToItsFirstPage(call: String) throws {
    let (one, two) = (ScriptedStore(filled(0)), ScriptedStore(filled(0)))
    let cache = try Self.cache()
    let (first, second) = try (one.open(in: cache, .writeBack), two.open(in: cache, .writeBack))
    for file in [first, second] { try file.sync() }
    let failures = Failures()
    two.after { call in
      failures.check(
        two.present(at: 0) != 2 || one.durable(at: 0) == 1, "the second is in its store before the first is durable")
    }
    one.after { call in
      failures.check(
        one.present(at: 200) != 3 || two.durable(at: 0) == 2, "the third is in its store before the second is durable")
    }
    try first.write(toAbsoluteOffset: 0, [1])
    try second.write(toAbsoluteOffset: 0, [2], notBefore: first.durabilityPoint())
    try first.write(toAbsoluteOffset: 200, [3], notBefore: second.durabilityPoint())
    for file in [first, second] {
      #expect(throws: Never.self) {
        switch call {
        case "sync": try file.sync()
        case "flush": try file.flush(0..<4096)
        default: try file.close()
        }
      }
    }
    #expect([one.present(at: 0), two.present(at: 0), one.present(at: 200)] == [1, 2, 3])
    if call == "sync" { #expect([one.durable(at: 0), two.durable(at: 0), one.durable(at: 200)] == [1, 2, 3]) }
    #expect(failures.all == [])
    for file in [first, second] where !file.isClosed { try? file.close(discardingDirty: true) }
  }

  /// A file that ends in a hole which its store does not have yet: that end is a part of what a point names, also while
  /// something else is held back.
  @Test func aPointOfTheEndOfAFile() throws {
    let (store, logStore) = (ScriptedStore(), ScriptedStore(filled(0)))
    let cache = try Self.cache()
    let (data, log) = try (store.open(in: cache, .writeBack), logStore.open(in: cache, .writeBack))
    for file in [data, log] { try file.sync() }
    try data.write(toAbsoluteOffset: 8192, filled(7))
    try data.punchHole(8192..<12_288)
    let point = try data.durabilityPoint()
    try log.write(toAbsoluteOffset: 0, filled(5))
    try data.write(toAbsoluteOffset: 0, filled(6), notBefore: log.durabilityPoint())
    let isEarly = Word()
    logStore.before { call in
      if call == .flush, point.isReached, store.durable.count < 12_288 { isEarly.set(1) }
      return nil
    }
    try data.sync()
    #expect(isEarly.value == 0, "the point is reached, and after a crash the file is shorter")
    #expect(point.isReached && store.durable.count == 12_288)
    for file in [data, log] { try file.close() }
  }

  /// A point is reached by the last close, or the close has come too far for there to be one.
  @Test(arguments: PageCache.Durability.allCases) func aPointBesideTheLastClose(_ durability: PageCache.Durability)
    throws
  {
    let store = ScriptedStore(filled(1))
    let file = try store.open(in: Self.cache(), durability)
    try file.sync()
    try file.write(toAbsoluteOffset: 0, [2])
    let (first, later) = (try file.durabilityPoint(), Handover<[DurabilityPoint]>())
    let failures = Failures()
    later.put([])
    store.after { _ in
      let asking = StagedThread("asks") { try file.durabilityPoint() }
      do {
        later.put((later.take() ?? []) + [try asking.value()])
      } catch let error as CacheError {
        if case .closed = error.cause { return }
        failures.add("\(error)")
      } catch { failures.add("\(error)") }
    }
    try file.close()
    let points = [first] + (later.take() ?? [])
    for point in points { #expect(point.isReached) }
    #expect(throws: CacheError.self) { try file.durabilityPoint() }
    #expect(failures.all == [])
  }
}
