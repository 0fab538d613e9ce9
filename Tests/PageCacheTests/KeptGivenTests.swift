import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P7: what a call has given to the store before it returns is known from then on. A flush that fails meanwhile loses
/// it in the store, not here.
@Suite struct KeptGivenTests {
  /// A flush of a file that has begun at the store, of bytes that another handle has written. It ends when it is told
  /// to, fails, and loses what the store was given since the last one.
  struct DoomedFlush {
    let begun = Moment()
    let end = Moment()
    let thread: StagedThread<Void>

    /// - Parameter file: a handle of its own. Its first page is written.
    init(_ file: CachedFile, _ store: ScriptedStore) {
      let (begun, end, once) = (begun, end, Once())
      store.before { call in
        guard call == .flush, once.isFirst() else { return nil }
        begun.come()
        end.wait()
        return .lose
      }
      thread = StagedThread("doomed") {
        try file.write(toAbsoluteOffset: 0, [4])
        try file.sync()
      }
      begun.wait()
    }

    /// Lets it fail, and returns when it has.
    func fail() {
      end.come()
      #expect(thread.error() is CacheError)
    }
  }

  enum Way: String, CaseIterable {
    case inPlace, append, extending, uncachedPage, uncachedPart, lentPage, copy, punchedEdge, zeroedEdge, cutEdge

    var change: (CachedFile) throws -> Void {
      let offset: Int64 = 2 * 4096
      return switch self {
      case .append: { try $0.append(filled(7)) }
      case .extending: { try $0.write(toAbsoluteOffset: 4 * 4096 + 100, filled(7)) }
      case .inPlace, .uncachedPage: { try $0.write(toAbsoluteOffset: offset, filled(7)) }
      case .uncachedPart: { try $0.write(toAbsoluteOffset: offset + 50, filled(7, 10)) }
      case .lentPage:
        { file in
          try file.withBytes(atAbsoluteOffset: offset, count: 4096) { _ in
            _ = try file.write(toAbsoluteOffset: offset, filled(7))
          }
        }
      case .copy: { try $0.copy(1..<101, of: $0, to: offset) }
      case .punchedEdge: { try $0.punchHole(offset + 100..<offset + 200) }
      case .zeroedEdge: { try $0.zeroRange(offset + 100..<offset + 200) }
      case .cutEdge: { try $0.resize(to: offset + 100) }
      }
    }

    /// What a file of four pages of ones holds then, but for its first byte.
    var expected: [UInt8] {
      var model = BytesModel(bytes: filled(1, 4 * 4096))
      let start = 2 * 4096
      switch self {
      case .append: model.write(filled(7), at: 4 * 4096)
      case .extending: model.write(filled(7), at: 4 * 4096 + 100)
      case .inPlace, .uncachedPage, .lentPage: model.write(filled(7), at: start)
      case .uncachedPart: model.write(filled(7, 10), at: start + 50)
      case .copy: model.write(filled(1, 100), at: start)
      case .punchedEdge, .zeroedEdge: model.zero(start + 100..<start + 200)
      case .cutEdge: model.resize(start + 100)
      }
      return model.bytes
    }

    /// Whether this is when the store has been given what the way is about.
    func isItsCall(_ call: ScriptedStore.Call) -> Bool {
      switch (self, call) {
      case (.punchedEdge, .change), (.zeroedEdge, .change), (.cutEdge, .resize): true
      case (.punchedEdge, _), (.zeroedEdge, _), (.cutEdge, _): false
      case (_, .write(let range)): range.lowerBound > 0
      default: false
      }
    }
  }

  /// D2. The flush has begun before the call, and fails when the store has the call's bytes and the call has not
  /// returned.
  @Test(arguments: Way.allCases) func aFlushThatFailsMeanwhile(_ way: Way) throws {
    var initial = filled(1, 4 * 4096)
    // Something to copy that differs.
    if way == .copy { initial.replaceSubrange(1..<101, with: filled(7, 100)) }
    let store = ScriptedStore(initial)
    let cache = try smallCache()
    let file = try store.open(in: cache)
    let other = try store.openAgain(in: cache)
    try file.sync()
    if way == .inPlace { _ = try file.read(fromAbsoluteOffset: 2 * 4096, count: 4096) }
    // Storage is not shared here: a copy is written.
    store.before { call in if case .clone = call { .refuse(.unsupported) } else { nil } }

    let flush = DoomedFlush(other, store)
    let once = Once()
    store.after { call in if way.isItsCall(call), once.isFirst() { flush.fail() } }
    try way.change(file)
    #expect(!once.isFirst(), "the store was never given it")
    // So that the end of the page that was cut is in the file again, and in the store.
    if way == .cutEdge { try file.resize(to: 4 * 4096) }
    expectRefusal(.sync, "writeBackFailed") { try file.sync() }
    try file.sync()

    var expected = BytesModel(bytes: way.expected)
    if way == .copy { expected.write(filled(7, 100), at: 1); expected.write(filled(7, 100), at: 2 * 4096) }
    if way == .cutEdge { expected.resize(4 * 4096) }
    expected.write([4], at: 0)
    try expectBytes(contents(file), expected.bytes, "cached")
    expectBytes(store.durable, expected.bytes, "a sync has succeeded, and the store does not have it: \(way)")
    try other.close(discardingDirty: true)
    try file.close()
  }

  /// What is durable when the call returns, because there is no room to owe it, is so, or the call says that it is not.
  @Test func aFlushThatFailsBeforeTheOneOfAWriteWithoutRoom() throws {
    let store = ScriptedStore(filled(1, 2 << 20))
    // What may be owed is less than one piece.
    let cache = try PageCache(.init(memoryLimit: 2 << 20, folioOrders: 0...0, readAheadLength: 0))
    let file = try store.open(in: cache, .writeBack)
    try file.sync()
    let (begun, fails, once) = (Moment(), Moment(), Once())
    store.before { call in
      guard call == .flush, once.isFirst() else { return nil }
      begun.come()
      fails.wait()
      return .lose
    }
    // Something to flush that owes no page.
    try file.resize(to: 3 << 20)
    let syncing = StagedThread("syncing") { try file.sync() }
    begun.wait()
    let writing = StagedThread("writing") { try file.write(toAbsoluteOffset: 0, filled(7, 1 << 20)) }
    #expect(eventually { store.writes == [0..<1 << 20] }, "at once")
    // It waits for the flush that is under way, to begin its own.
    writing.waitUntilOverOrAsleep()
    fails.come()
    #expect(syncing.error() != nil)
    if writing.error() == nil {
      #expect(
        store.durable.prefix(1 << 20).allSatisfy { $0 == 7 }, "the call has succeeded, and nothing of it is durable")
    }
    try? file.close(discardingDirty: true)
  }
}
