import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P1 and R6: a write-through write is one write of the store, at the place in the order that readers see.
@Suite struct WholeWriteTests {
  /// X9. The store has the bytes of a write in place when its page is borrowed; another write of the same bytes waits
  /// for its turn.
  @Test func aPageThatIsLentWhileTheStoreWorks() throws {
    let store = ScriptedStore(filled(1))
    let cache = try smallCache()
    let file = try store.open(in: cache)
    try file.sync()
    _ = try file.read(fromAbsoluteOffset: 0, count: 4096)
    let (isReady, isGiven, ends, once) = (Moment(), Moment(), Moment(), Once())
    let borrower = StagedThread("borrower") {
      // A thread that is known can lend without a claim.
      _ = try file.read(fromAbsoluteOffset: 0, count: 1)
      isReady.come()
      isGiven.wait()
      try file.withBytes(atAbsoluteOffset: 0, count: 10) { _ in ends.wait() }
    }
    isReady.wait()
    let second = Handover<StagedThread<Int>>()
    store.after { call in
      guard case .write = call, once.isFirst() else { return }
      isGiven.come()
      // It has the loan, or waits for the write.
      borrower.waitUntilOverOrAsleep()
      let thread = StagedThread("second") { try file.write(toAbsoluteOffset: 0, filled(8, 10)) }
      thread.waitUntilOverOrAsleep()
      second.put(thread)
    }
    try file.write(toAbsoluteOffset: 0, filled(7, 20))
    ends.come()
    try borrower.value()
    _ = try second.take()?.value()
    #expect(store.writes.map(\.count) == [20, 10], "each is written once, and in the order in which they came")
    #expect(try file.read(fromAbsoluteOffset: 0, count: 20) == filled(8, 10) + filled(7, 10))
    expectBytes(Array(store.present.prefix(20)), filled(8, 10) + filled(7, 10), "the store")
    try file.close()
  }
}
