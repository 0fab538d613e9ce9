import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Calls that ask the store about what a write-back under way is giving to it: if the store refuses that, they do not
/// answer from what it has instead.
@Suite struct KeptAnswersTests {
  /// A write-back that has come to the store, and is refused when it is told so.
  private struct DoomedWriteBack {
    let goesOn = Moment()
    let thread: StagedThread<Void>

    init(_ file: CachedFile, _ store: ScriptedStore) {
      let (begun, goesOn, once) = (Moment(), goesOn, Once())
      store.before { call in
        guard case .write = call, once.isFirst() else { return nil }
        begun.come()
        goesOn.wait()
        return .refuse(.system(.ioError))
      }
      thread = StagedThread("doomed") { try file.sync() }
      begun.wait()
    }

    /// Runs a call that waits for the write-back, which is refused then.
    func isRefusedBeside<Value: Sendable>(_ call: @escaping @Sendable () throws -> Value) throws -> Value? {
      let asking = StagedThread("asking") { try call() }
      asking.waitUntilOverOrAsleep()
      goesOn.come()
      #expect(thread.error() is CacheError)
      do { return try asking.value() } catch is CacheError { return nil }
    }
  }

  private let store = ScriptedStore(filled(1, 65_536))
  private let target = ScriptedStore(filled(2, 8192))

  /// D6. The source has been read as it is now since before the clone began.
  @Test func aCloneOfWhatTheStoreRefuses() throws {
    let cache = try smallCache()
    let source = try store.open(in: cache, .writeBack)
    let file = try target.open(in: cache)
    for file in [source, file] { try file.sync() }
    try source.write(toAbsoluteOffset: 0, filled(7))
    let writeBack = DoomedWriteBack(source, store)
    let isCloned = try writeBack.isRefusedBeside {
      try file.clone(0..<4096, of: source, to: 0)
      return true
    }
    let first = try file.read(fromAbsoluteOffset: 0, count: 1)
    #expect(first == (isCloned == true ? [7] : [2]), "\(isCloned == true ? "cloned" : "refused")")
    for file in [source, file] { try? file.close(discardingDirty: true) }
  }

  enum Question: String, CaseIterable { case data, hole }

  /// D6. The data that is asked for was written before.
  @Test(arguments: Question.allCases) func aSearchForWhatTheStoreRefuses(_ question: Question) throws {
    let store = ScriptedStore(filled(0, 65_536))
    let cache = try smallCache()
    let file = try store.open(in: cache, .writeBack)
    try file.sync()
    try file.write(toAbsoluteOffset: 32_768, filled(7))
    let writeBack = DoomedWriteBack(file, store)
    let found = try writeBack.isRefusedBeside { () -> Int64 in
      switch question {
      case .data: try file.seekData(from: 0) ?? -1
      case .hole: try file.seekHole(from: 32_768) ?? -1
      }
    }
    if let found { #expect(found == (question == .data ? 32_768 : 36_864)) }
    try? file.close(discardingDirty: true)
  }

  /// D6. The files are equal, or differ, as they are read; the store's bytes are older.
  @Test(arguments: [true, false]) func aDedupeOfWhatTheStoreRefuses(areEqual: Bool) throws {
    let cache = try smallCache()
    let file = try store.open(in: cache, .writeBack)
    let other = try target.open(in: cache)
    try other.write(toAbsoluteOffset: 0, filled(areEqual ? 7 : 1))
    for file in [file, other] { try file.sync() }
    try file.write(toAbsoluteOffset: 0, filled(7))
    let writeBack = DoomedWriteBack(file, store)
    let answer = try writeBack.isRefusedBeside { try file.dedupe(0..<4096, with: other, at: 0) }
    if let answer { #expect(answer == areEqual) }
    for file in [file, other] { try? file.close(discardingDirty: true) }
  }
}
