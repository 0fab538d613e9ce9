import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What is asked of a store, and what its answers are taken for.
@Suite struct KeptStoreTests {
  /// X5. A read that has been let in before the last close, and waits for frames, does not ask the store where its
  /// holes are after it was closed.
  @Test func aReadThatWaitsWhileTheFileIsClosed() throws {
    let (store, busy) = (ScriptedStore(filled(0, 65_536)), ScriptedStore(filled(1, 65_536)))
    // One call takes all the frames that calls may hold.
    let cache = try PageCache(.init(memoryLimit: 2 << 20, folioOrders: 0...0, readAheadLength: 0))
    let (file, other) = try (cache.open(store: store), busy.open(in: cache))
    let (begun, goesOn) = (Moment(), Moment())
    busy.after { call in
      guard case .change = call else { return }
      begun.come()
      goesOn.wait()
    }
    let punching = StagedThread("punching") { try other.punchHole(0..<4096) }
    begun.wait()
    let reading = StagedThread("reading") { try file.read(fromAbsoluteOffset: 8192, count: 10) }
    reading.waitUntilOverOrAsleep()
    #expect(!reading.isOver, "it waits for frames")
    try file.close()
    goesOn.come()
    try punching.value()
    let error = reading.error() as? CacheError
    #expect(error?.cause.kind == "closed", "\(String(describing: error))")
    #expect(store.callsWhenClosed == [])
    try other.close()
  }

  /// X5. The same for a question that waits for its turn behind a write.
  @Test(arguments: ["data", "hole"]) func aQuestionThatWaitsWhileTheFileIsClosed(question: String) throws {
    let store = ScriptedStore(filled(1, 8192))
    let file = try store.open(in: smallCache())
    try file.sync()
    let (begun, goesOn) = (Moment(), Moment())
    store.before { call in
      guard case .write = call else { return nil }
      begun.come()
      goesOn.wait()
      return nil
    }
    let writing = StagedThread("writing") { try file.write(toAbsoluteOffset: 0, filled(7)) }
    begun.wait()
    let asking = StagedThread("asking") {
      question == "data" ? try file.seekData(from: 0) : try file.seekHole(from: 0)
    }
    asking.waitUntilOverOrAsleep()
    let closing = StagedThread("closing") { try file.close() }
    closing.waitUntilOverOrAsleep()
    goesOn.come()
    _ = try writing.value()
    try closing.value()
    do {
      #expect(try asking.value() == (question == "data" ? 0 : 8192))
    } catch {
      #expect((error as? CacheError)?.cause.kind == "closed", "\(error)")
    }
    #expect(store.callsWhenClosed == [])
  }

  enum Reading: String, CaseIterable { case read, partOfAPage, async }

  /// A store may answer with a part of what was asked for, in the middle of the object: it is asked for the rest.
  @Test(arguments: Reading.allCases) func aShortAnswer(_ reading: Reading) async throws {
    let bytes = someBytes(65_536)
    let store = ScriptedStore(bytes)
    let cache = try smallCache()
    let file = try store.open(in: cache)
    let once = Once()
    store.before { call in
      guard case .read = call, once.isFirst() else { return nil }
      return .short(1000)
    }
    var expected = BytesModel(bytes: bytes)
    switch reading {
    case .read: #expect(try { try file.read(fromAbsoluteOffset: 4096, count: 8192) }() == Array(bytes[4096..<12_288]))
    case .partOfAPage:
      try file.write(toAbsoluteOffset: 5000, [1])
      expected.write([1], at: 5000)
    case .async: #expect(try await file.read(fromAbsoluteOffset: 4096, count: 8192) == Array(bytes[4096..<12_288]))
    }
    #expect(!once.isFirst())
    try expectBytes(contents(file), expected.bytes, "cached")
    try file.close()
  }

  /// Nothing at all where there should be something is the end of the object: that is told.
  @Test func anAnswerOfNothing() throws {
    let store = ScriptedStore(filled(1, 65_536))
    let file = try store.open(in: smallCache())
    store.before { call in if case .read = call { .short(0) } else { nil } }
    let error = expectRefusal(.read, "store") { _ = try file.read(fromAbsoluteOffset: 4096, count: 8192) }
    guard case .shrank? = error?.cause.storeCause else { return #expect(Bool(false), "\(error as Any)") }
    try file.close()
  }

  /// A store that does a part of a call before it refuses it: what is cached is what it has, in folios of any order,
  /// and also of what it may lose.
  @Test(arguments: [0...0, 0...4] as [ClosedRange<Int>], [true, false])
  func aCallOfWhichAPartIsDone(orders: ClosedRange<Int>, isOwed: Bool) throws {
    let store = ScriptedStore(filled(1, 65_536))
    let cache = try smallCache(limit: 16 << 20, orders: orders)
    let file = try store.open(in: cache)
    try file.sync()
    if isOwed {
      try file.write(toAbsoluteOffset: 0, filled(1, 65_536))
    } else {
      try file.advise(.willNeed)
      for page in 0..<16 { _ = try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096) }
    }
    let once = Once()
    store.before { [weak store] call in
      guard case .change(.zero, _) = call, once.isFirst() else { return nil }
      #expect(throws: Never.self) { try store?.change(.punchHole, 16_384..<32_768) }
      return .refuse(.system(.noSpace))
    }
    expectRefusal(.zeroRange, "store") { try file.zeroRange(4096..<40_960) }
    try? file.sync()
    try expectBytes(contents(file), store.present, "cached, and what the store has")
    try file.close()
  }
}
