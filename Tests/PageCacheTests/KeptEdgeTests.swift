import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Pages that a call changes in part: all that it needs of them is in hand before the store is told, and what it has
/// made of them is kept like a write.
@Suite struct KeptEdgeTests {
  enum Way: String, CaseIterable {
    case punch, zero, cut, write

    /// Changes a part of page 1, and maybe more, of a file of four pages.
    func change(_ file: CachedFile) throws {
      switch self {
      case .punch: try file.punchHole(5000..<9000)
      case .zero: try file.zeroRange(5000..<9000)
      case .cut: try file.resize(to: 5000)
      case .write: try file.write(toAbsoluteOffset: 16_000, filled(7, 1000))
      }
    }

    var expected: [UInt8] {
      var model = BytesModel(bytes: filled(1, 16_384))
      switch self {
      case .punch, .zero: model.zero(5000..<9000)
      case .cut: model.resize(5000)
      case .write: model.write(filled(7, 1000), at: 16_000)
      }
      return model.bytes
    }

    func isItsCall(_ call: ScriptedStore.Call) -> Bool {
      switch (self, call) {
      case (.punch, .change), (.zero, .change), (.cut, .resize), (.write, .write): true
      default: false
      }
    }
  }

  /// X3. An edge page leaves the cache while the store does its part, and cannot be brought again.
  @Test(arguments: Way.allCases) func aPageThatIsEvictedMeanwhile(_ way: Way) throws {
    let store = ScriptedStore(filled(1, 16_384))
    let cache = try smallCache()
    let file = try store.open(in: cache)
    try file.sync()
    #expect(try contents(file) == filled(1, 16_384), "cached")
    let isTold = Moment()
    store.before { call in
      guard case .read = call, isTold.hasCome else { return nil }
      return .refuse(.system(.ioError))
    }
    store.after { call in
      guard way.isItsCall(call), !isTold.hasCome else { return }
      isTold.come()
      #expect(throws: Never.self) { try file.advise(.dontNeed) }
    }
    #expect(throws: Never.self, "the store was told before everything was in hand") { try way.change(file) }
    #expect(isTold.hasCome)
    expectBytes(store.present, way.expected, "given")
    // What is cached is as the store has it: nothing else can be read now.
    #expect(try file.size == way.expected.count)
    let edge = try? file.read(fromAbsoluteOffset: 4096, count: min(4096, way.expected.count - 4096))
    if let edge { #expect(edge == Array(way.expected[4096..<4096 + edge.count])) }
    try? file.sync()
    expectBytes(store.present, way.expected, "given after a sync")
    try? file.close(discardingDirty: true)
  }

  /// X3. A page that is changed in part is lent while the store does its part, and there is no frame for another one.
  ///
  /// Not while a file is cut: then hits are kept out, and a loan waits its turn.
  @Test(arguments: [Way.punch, .zero, .write]) func aPageThatIsLentMeanwhile(_ way: Way) throws {
    let store = ScriptedStore(filled(1, 16_384))
    let cache = try PageCache(
      .init(memoryLimit: 2 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, readAheadLength: 0))
    let file = try store.open(in: cache)
    let pool = try cache.open(store: ScriptedStore(filled(2, 4 << 20)))
    try file.sync()
    _ = try contents(file)
    let (isReady, isTold, isTight, ends, once) = (Moment(), Moment(), Moment(), Moment(), Once())
    // Lends the page, and every frame besides that there is.
    let borrower = StagedThread("borrower") {
      // A thread that is known can lend without a claim.
      _ = try file.read(fromAbsoluteOffset: 0, count: 1)
      isReady.come()
      isTold.wait()
      func borrow(_ page: Int) throws {
        do {
          try pool.withBytes(atAbsoluteOffset: Int64(page) << 12, count: 10) { _ in
            if page < 1000, !ends.hasCome { try borrow(page + 1) }
          }
        } catch let error as CacheError where error.cause.kind == "noFrames" {
          isTight.come()
          ends.wait()
        }
      }
      try file.withBytes(atAbsoluteOffset: way == .write ? 12_288 : 4096, count: 10) { _ in try borrow(0) }
    }
    store.after { call in
      guard way.isItsCall(call), once.isFirst() else { return }
      isTold.come()
      // It has lent all there is, or waits for the call.
      borrower.waitUntilOverOrAsleep()
    }
    isReady.wait()
    #expect(throws: Never.self, "the store was told before everything was in hand") { try way.change(file) }
    ends.come()
    try borrower.value()
    expectBytes(store.present, way.expected, "given")
    #expect(try store.present.count == Int(file.size), "the store is as long as the file")
    try expectBytes(contents(file), way.expected, "cached")
    try? file.close(discardingDirty: true)
  }

  /// X3. A store takes a part of a write and refuses the rest: what it has taken is shown without a second look at the
  /// page.
  @Test(arguments: [5000, 16_000]) func aWriteOfWhichAPartIsTaken(offset: Int64) throws {
    let store = ScriptedStore(filled(1, 16_384))
    let cache = try smallCache()
    let file = try store.open(in: cache)
    try file.sync()
    let isTold = Moment()
    store.before { call in
      switch call {
      case .write where isTold.hasCome: return .refuse(.system(.noSpace))
      case .read where isTold.hasCome: return .refuse(.system(.ioError))
      case .write:
        isTold.come()
        return .short(500)
      default: return nil
      }
    }
    let error = expectRefusal(.write, "partlyWritten") {
      try file.write(toAbsoluteOffset: offset, filled(7, 1000))
    }
    if case .partlyWritten(let count, _)? = error?.cause { #expect(count == 500) }
    var model = BytesModel(bytes: filled(1, 16_384))
    model.write(filled(7, 500), at: Int(offset))
    expectBytes(store.present, model.bytes, "given")
    let page = Int(offset) / 4096 * 4096
    let cached = try? file.read(fromAbsoluteOffset: Int64(page), count: 4096)
    #expect(cached == Array(model.bytes[page..<page + 4096]))
    try? file.close(discardingDirty: true)
  }

  /// D20. A page of which only the shadow is left in the index is zeroed in part: that part is given to the store again
  /// when it has lost it.
  @Test(arguments: [true, false]) func aPageThatHasGoneAShortWhileAgo(hasShadow: Bool) throws {
    let count = 1200
    let store = ScriptedStore(filled(1, count * 4096))
    let cache = try PageCache(
      .init(memoryLimit: 2 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, readAheadLength: 0))
    let file = try store.open(in: cache)
    try file.sync()
    for page in hasShadow ? 0..<count : 1..<count {
      _ = try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 10)
    }
    let range = hasShadow ? Self.pageOfAShadow(file, count) : 0..<4096
    // The store has zeroed it, and loses that.
    try file.punchHole(Int64(range.lowerBound) + 100..<Int64(range.lowerBound) + 200)
    let once = Once()
    store.before { call in call == .flush && once.isFirst() ? .lose : nil }
    expectRefusal(.sync, "writeBackFailed") { try file.sync() }
    try file.sync()
    #expect(store.durable[range.lowerBound + 100] == 0 && store.durable[range.lowerBound + 99] == 1)
    try file.close()
  }

  /// A page that was read a while before the last one, and is not cached any more.
  private static func pageOfAShadow(_ file: CachedFile, _ count: Int) -> Range<Int> {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 10, alignment: 8)
    defer { unsafe buffer.deallocate() }
    let gone = (0..<count).last { page in
      (try? unsafe file.tryRead(fromAbsoluteOffset: Int64(page) * 4096, into: buffer)) == .some(nil)
    }
    let page = gone ?? 0
    return page * 4096..<(page + 1) * 4096
  }
}
