import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What a write-back has taken, and does not give to the store after all, is not lost for a sync beside it.
@Suite struct OrderedLeftOutTests {
  /// T1 takes pages for write-back. T2, a sync, finds them in transfer and not dirty. T3 writes one of them, held back
  /// until a point. T1 looks at what is held back, once it has copied the pages, and leaves that page out, and what
  /// lies behind it. T2 has waited for the transfer, and must not succeed before the store has what was written before
  /// it began.
  ///
  /// Nothing at the store comes between T1's two looks, so this tries: a run of 256 pages, of which one in the middle
  /// is written at another time in each round.
  @Test func aSyncBesideAWriteBackThatLeavesPagesOut() throws {
    let (store, logStore) = (ScriptedStore(filled(1, 1 << 20)), ScriptedStore())
    let cache = try PageCache(
      .init(memoryLimit: 16 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 20, readAheadLength: 0))
    let (data, log) = try (store.open(in: cache, .writeBack), logStore.open(in: cache, .writeBack))
    for file in [data, log] { try file.sync() }
    let (held, behind) = (128 * 4096, 255 * 4096)
    let failures = Failures()
    let start = monotonicNanoseconds()
    var random = RandomWords(seed: testSeed)
    var number: UInt8 = 1
    // At most two seconds, or as many records as a byte has numbers for.
    while failures.all.isEmpty, number < 250, monotonicNanoseconds() - start < 2_000_000_000 {
      number += 1
      let round = number
      try data.write(toAbsoluteOffset: 0, filled(round, 1 << 20))
      let (isReady, delay) = (Word(), random.next(below: 1 << 20))
      let first = StagedThread("first") {
        isReady.set(1)
        try data.flush(0..<1 << 20)
      }
      let second = StagedThread("second") {
        while isReady.value == 0 { spinHint() }
        try data.sync(dataOnly: true)
        for place in [held + 1, behind] {
          failures.check(store.durable(at: place) == round, "write \(round) is not durable after a sync")
        }
      }
      while isReady.value == 0 { spinHint() }
      let from = monotonicNanoseconds()
      while monotonicNanoseconds() - from < delay { spinHint() }
      try log.append([round])
      try data.write(toAbsoluteOffset: Int64(held), [round], notBefore: log.durabilityPoint())
      try first.value()
      try second.value()
      try data.sync()
    }
    #expect(failures.all == [])
    for file in [data, log] { try file.close() }
  }
}
