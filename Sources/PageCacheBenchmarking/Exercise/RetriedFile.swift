import BackingStores
import PageCache
import Primitives
import SystemPackage

/// A file through a cache, over a store that refuses now and then. A call that fails because of that is made again,
/// until it succeeds: it must not have done anything.
package final class RetriedFile: ExercisedFile {
  private let file: CacheFile
  private let failures: SharedCounter

  init(_ file: CacheFile, failures: SharedCounter) {
    self.file = file
    self.failures = failures
  }

  /// A store that refuses one call in fifty does not do so for ever.
  private static let most = 1000

  private func untilItSucceeds<Result>(_ call: () throws -> Result) throws -> Result {
    for _ in 1..<Self.most {
      do { return try call() } catch let error as CacheError where error.isOfRefusal { failures.add(1) }
    }
    return try call()
  }

  package func size() throws -> Int64 { try file.size() }
  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try untilItSucceeds { try unsafe file.read(at: offset, into: buffer) }
  }
  package func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    try untilItSucceeds { try unsafe file.write(at: offset, bytes) }
  }
  package func append(_ bytes: UnsafeRawBufferPointer) throws -> Int64 {
    try untilItSucceeds { try unsafe file.append(bytes) }
  }
  package func resize(to size: Int64) throws { try untilItSucceeds { try file.resize(to: size) } }
  package func allocate(_ range: Range<Int64>, keepingSize: Bool) throws {
    try untilItSucceeds { try file.allocate(range, keepingSize: keepingSize) }
  }
  package func punchHole(_ range: Range<Int64>) throws { try untilItSucceeds { try file.punchHole(range) } }
  package func zero(_ range: Range<Int64>, keepingSize: Bool) throws {
    try untilItSucceeds { try file.zero(range, keepingSize: keepingSize) }
  }
  package func collapse(_ range: Range<Int64>) throws { try untilItSucceeds { try file.collapse(range) } }
  package func insert(_ range: Range<Int64>) throws { try untilItSucceeds { try file.insert(range) } }
  package func clone(_ range: Range<Int64>, of source: RetriedFile, to offset: Int64) throws {
    try untilItSucceeds { try file.clone(range, of: source.file, to: offset) }
  }
  package func copy(_ range: Range<Int64>, of source: RetriedFile, to offset: Int64) throws {
    try untilItSucceeds { try file.copy(range, of: source.file, to: offset) }
  }
  package func exchange(_ range: Range<Int64>, with other: RetriedFile, at offset: Int64) throws {
    try untilItSucceeds { try file.exchange(range, with: other.file, at: offset) }
  }
  package func dedupe(_ range: Range<Int64>, with other: RetriedFile, at offset: Int64) throws -> Bool {
    try untilItSucceeds { try file.dedupe(range, with: other.file, at: offset) }
  }
  package func unshare(_ range: Range<Int64>) throws { try untilItSucceeds { try file.unshare(range) } }
  package func seekData(from offset: Int64) throws -> Int64? { try untilItSucceeds { try file.seekData(from: offset) } }
  package func seekHole(from offset: Int64) throws -> Int64? { try untilItSucceeds { try file.seekHole(from: offset) } }
  package func sync(dataOnly: Bool) throws { try untilItSucceeds { try file.sync(dataOnly: dataOnly) } }
  package func flush(_ range: Range<Int64>) throws { try untilItSucceeds { try file.flush(range) } }
  package func invalidate() throws { try untilItSucceeds { try file.invalidate() } }
  package func close() throws {
    try untilItSucceeds {
      // It may be closed, and tell of a failure that no call has told of.
      if !file.file.isClosed { try file.close() }
    }
  }
}

extension CacheError {
  /// Whether the store has refused something, in this call or before.
  fileprivate var isOfRefusal: Bool {
    switch cause {
    case .store(let refusal): refusal.isOfExercise
    case .writeBackFailed(let failures, _): failures.allSatisfy(\.isOfExercise)
    case .dirtyLimit(_, let refusal): refusal.isOfExercise
    default: false
    }
  }
}

extension StoreError {
  fileprivate var isOfExercise: Bool {
    if case .other(let text) = cause, case .other(text) = RefusingStore.cause { true } else { false }
  }
}

/// A cache over stores that refuse one call in fifty: reads, writes, flushes, changes of the layout.
package final class RetriedTarget: ExerciseTarget {
  private let target: CacheTarget
  private let seed: UInt64
  private let threads = IOThreads(count: 4)
  private let refused = SharedCounter()
  private let stores = SharedCounter()
  private let failures = SharedCounter()

  package init(_ target: CacheTarget, seed: UInt64) {
    self.target = target
    self.seed = seed
  }

  package var name: String { "\(target.name), over stores that refuse" }
  package var maximumAtomicLength: Int { target.maximumAtomicLength }
  // An exchange that a store refuses in the middle is undone while readers look.
  package var atomicChanges: Set<ExerciseChange> { target.atomicChanges.subtracting([.exchange]) }

  /// Calls of stores that were refused.
  package var refusals: Int { refused.value }

  /// What the stores have done.
  package var account: String {
    "the stores refused \(refused.value) calls; \(failures.value) calls of files failed and were made again"
  }

  package func open(_ path: FilePath) throws -> RetriedFile {
    let number = UInt64(stores.addReturningNew(1))
    let store = RefusingStore(
      try LocalFileStore(path: path, creating: .ifMissing, threads: threads),
      seed: (seed &+ number << 32) &* 1_000_003, refused: refused)
    let file = try target.cache.open(store: store, .readWrite(durability: target.durability))
    return RetriedFile(CacheFile(file), failures: failures)
  }
}
