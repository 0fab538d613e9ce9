import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P7: what is dirty reaches the store as far as the store takes it, and stays here as far as it does not.
@Suite struct KeptWriteBackTests {
  enum Call: String, CaseIterable { case sync, flush, close, background }

  /// X4. What lies behind a page that the store refuses is written all the same, and the failure is told at the end.
  @Test(arguments: Call.allCases) func whatLiesBehindARefusal(_ call: Call) throws {
    let store = ScriptedStore(filled(1, 10 * 4096))
    let cache = try DurabilityTests.cache(age: call == .background ? .milliseconds(10) : .seconds(3600))
    let file = try store.open(in: cache, .writeBack)
    try file.sync()
    let (refuses, refusals) = (Word(1), Word())
    store.before { call in
      guard case .write(let range) = call, refuses.value == 1, range.contains(2 * 4096) else { return nil }
      refusals.add(1)
      return .refuse(.system(.ioError))
    }
    for page in [2, 5, 8] {
      try file.write(toAbsoluteOffset: Int64(page) * 4096, filled(7))
    }
    switch call {
    case .sync: expectRefusal(.sync, "writeBackFailed") { try file.sync() }
    case .flush: expectRefusal(.flush, "writeBackFailed") { try file.flush(0..<40_960) }
    case .close:
      expectRefusal(.close, "writeBackFailed") { try file.close() }
      #expect(!file.isClosed)
    case .background: #expect(eventually { refusals.value >= 2 }, "it tries again, so it has been everywhere")
    }
    #expect([5, 8].map { store.present[$0 * 4096] } == [7, 7], "nothing is wrong with these")
    #expect(store.present[2 * 4096] == 1)
    refuses.set(0)
    if call == .background { try? file.sync() }
    try file.sync()
    #expect([2, 5, 8].map { store.durable[$0 * 4096] } == [7, 7, 7])
    try file.close()
  }

  /// X4. The same for neighbours, which are given to the store in one call: it takes a part, and then refuses a page.
  @Test func whatLiesBehindARefusalInOneRun() throws {
    let store = ScriptedStore(filled(1, 10 * 4096))
    let cache = try DurabilityTests.cache()
    let file = try store.open(in: cache, .writeBack)
    try file.sync()
    let refuses = Word(1)
    store.before { call in
      guard case .write(let range) = call, refuses.value == 1, range.contains(4 * 4096) else { return nil }
      let count = 4 * 4096 - range.lowerBound
      return count > 0 ? .short(Int(count)) : .refuse(.system(.ioError))
    }
    try file.write(toAbsoluteOffset: 2 * 4096, filled(7, 6 * 4096))
    expectRefusal(.sync, "writeBackFailed") { try file.sync() }
    #expect((2..<8).map { store.present[$0 * 4096] } == [7, 7, 1, 7, 7, 7])
    refuses.set(0)
    try file.sync()
    #expect((2..<8).map { store.durable[$0 * 4096] } == [7, 7, 7, 7, 7, 7])
    try file.close()
  }

  /// D9. The last close of a file for which others may wait flushes it. If that fails, what is written stays here and
  /// the handle stays open.
  @Test(arguments: PageCache.Durability.allCases) func aCloseOfWhichTheFlushFails(_ durability: PageCache.Durability)
    throws
  {
    let store = ScriptedStore(filled(1))
    let cache = try smallCache()
    let file = try store.open(in: cache, durability)
    try file.sync()
    try file.write(toAbsoluteOffset: 0, filled(7))
    let point = try file.durabilityPoint()
    let once = Once()
    store.before { call in call == .flush && once.isFirst() ? .lose : nil }
    expectRefusal(.close, "writeBackFailed") { try file.close() }
    #expect(!file.isClosed && !point.isReached)
    if !file.isClosed { try file.close() }
    expectBytes(store.durable, filled(7), "closed without an error")
    #expect(point.isReached)
    #expect(try cache.statistics().owedFrames == 0)
  }

  /// D9. A write that is under way when the last handle is closed, and has succeeded: the store has it then, or the
  /// handle stays open.
  @Test(arguments: [true, false]) func aWriteThatIsUnderWayWhenTheFileIsClosed(isRefused: Bool) throws {
    let store = ScriptedStore(filled(1))
    let cache = try smallCache()
    let file = try store.open(in: cache, .writeBack)
    try file.sync()
    let (begun, goesOn, isWell) = (Moment(), Moment(), Moment())
    store.before { call in
      switch call {
      case .read:
        begun.come()
        goesOn.wait()
        return nil
      case .write: return isRefused && !isWell.hasCome ? .refuse(.system(.ioError)) : nil
      default: return nil
      }
    }
    // The rest of the page is read for it.
    let writing = StagedThread("writing") { try file.write(toAbsoluteOffset: 0, [7]) }
    begun.wait()
    let closing = StagedThread("closing") { try file.close() }
    closing.waitUntilOverOrAsleep()
    goesOn.come()
    let errors = [writing.error(), closing.error()]
    #expect(errors.allSatisfy { $0 is CacheError? })
    isWell.come()
    if !file.isClosed { try file.close() }
    if errors[0] == nil { #expect(store.present(at: 0) == 7, "the write has succeeded: \(errors)") }
    #expect(try cache.statistics().owedFrames == 0)
  }
}
