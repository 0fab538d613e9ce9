import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// `write(notBefore:)`: the bytes are in no store before the point is durable.
@Suite struct OrderedHoldBackTests {
  /// D4. A page is dirty, is chosen for write-back, and is written with a point before its bytes are taken for the
  /// store.
  ///
  /// Nothing at the store comes between the two, so this tries: a run of 256 pages, of which the last one is written at
  /// another time in each round.
  @Test func aPageThatIsWrittenWhileItIsOnItsWay() throws {
    let (store, logStore) = (ScriptedStore(filled(1, 1 << 20)), ScriptedStore())
    let cache = try PageCache(
      .init(memoryLimit: 16 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 20, readAheadLength: 0))
    let (data, log) = try (store.open(in: cache, .writeBack), logStore.open(in: cache, .writeBack))
    for file in [data, log] { try file.sync() }
    let target = 255 * 4096
    let failures = Failures()
    store.after { call in
      guard case .write = call, let number = store.present(at: target), number >= 2 else { return }
      let durable = logStore.durable.count
      failures.check(Int(number) - 1 <= durable, "record \(number) is in the store, and the log has \(durable - 1)")
    }
    let start = monotonicNanoseconds()
    var random = RandomWords(seed: testSeed)
    var number: UInt8 = 1
    // At most two seconds, or as many records as a byte has numbers for.
    while failures.all.isEmpty, number < 250, monotonicNanoseconds() - start < 2_000_000_000 {
      number += 1
      try data.write(toAbsoluteOffset: 0, filled(1, 1 << 20))
      let (isReady, delay) = (Word(), random.next(below: 1 << 20))
      let flushing = StagedThread("flushing") {
        isReady.set(1)
        try data.flush(0..<1 << 20)
      }
      while isReady.value == 0 { spinHint() }
      let from = monotonicNanoseconds()
      while monotonicNanoseconds() - from < delay { spinHint() }
      try log.append([number])
      try data.write(toAbsoluteOffset: Int64(target), [number], notBefore: log.durabilityPoint())
      try flushing.value()
      try data.sync()
    }
    #expect(failures.all == [])
    for file in [data, log] { try file.close() }
  }

  enum Copy: String, CaseIterable { case copy, clone }

  /// A copy takes bytes that are held back to another store. It looks at what is held back before it claims the source;
  /// a write that is before it in the line for the same pages comes in between.
  @Test(arguments: Copy.allCases, PageCache.Durability.allCases)
  func aCopyOfWhatIsHeldBack(_ copy: Copy, _ durability: PageCache.Durability) throws {
    let (store, logStore) = (ScriptedStore(filled(1)), ScriptedStore(filled(0)))
    let target = ScriptedStore(filled(2))
    let cache = try smallCache()
    let (source, log) = try (store.open(in: cache, .writeBack), logStore.open(in: cache, .writeBack))
    let through = try store.openAgain(in: cache)
    let file = try target.open(in: cache, durability)
    for file in [source, log, file] { try file.sync() }
    let failures = Failures()
    target.after { call in
      failures.check(
        target.present(at: 10) != 7 || logStore.durable(at: 0) == 5, "the copy is in its store before the log")
    }
    // The first in the line for the page: at the store until it is told to go on.
    let (begun, goesOn, once) = (Moment(), Moment(), Once())
    store.before { call in
      guard case .write = call, once.isFirst() else { return nil }
      begun.come()
      goesOn.wait()
      return nil
    }
    let first = StagedThread("first") { try through.write(toAbsoluteOffset: 0, filled(3, 10)) }
    begun.wait()
    try log.write(toAbsoluteOffset: 0, filled(5))
    let point = try log.durabilityPoint()
    let second = StagedThread("second") { try source.write(toAbsoluteOffset: 10, filled(7, 100), notBefore: point) }
    second.waitUntilOverOrAsleep()
    // Not in whole blocks: so no store is asked to share.
    let third = StagedThread("third") {
      if copy == .copy {
        try file.copy(1..<101, of: source, to: 1)
      } else {
        try file.clone(1..<101, of: source, to: 1)
      }
    }
    third.waitUntilOverOrAsleep()
    goesOn.come()
    for thread in [first, second] { _ = try thread.value() }
    try third.value()
    try file.sync()
    #expect(failures.all == [])
    for file in [source, through, log, file] { try file.close() }
  }
}
