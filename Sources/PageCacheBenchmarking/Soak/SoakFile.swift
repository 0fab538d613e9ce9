import PageCache
import Primitives
import SystemPackage

/// A file through a cache, which is closed and opened again now and then, between the calls.
package final class SoakFile: ExercisedFile {
  let path: FilePath
  private let durability: PageCache.Durability
  private let counts: SoakCounts
  private let lock = ReadWriteLock()
  // Guarded by `lock`: nil before it is first opened, and once it is closed for good.
  nonisolated(unsafe) private var current: (cache: PageCache, file: CacheFile)?

  package init(_ path: FilePath, durability: PageCache.Durability, counts: SoakCounts) {
    self.path = path
    self.durability = durability
    self.counts = counts
  }

  package func open(in cache: PageCache) throws {
    lock.lockExclusive()
    defer { lock.unlock() }
    try unsafe current = (cache, opened(in: cache))
  }

  private func opened(in cache: PageCache) throws -> CacheFile {
    CacheFile(try cache.open(path, .readWrite(creation: .ifMissing, durability: durability)))
  }

  /// Closes it, and opens it again; nothing if it is closed for good.
  func reopen() throws {
    lock.lockExclusive()
    defer { lock.unlock() }
    guard let (cache, file) = unsafe current else { return }
    counts.count(.reopen)
    do {
      try file.close()
      unsafe current = (cache, try opened(in: cache))
    } catch {
      counts.note(error)
      throw error
    }
  }

  package func close() throws {
    lock.lockExclusive()
    defer { lock.unlock() }
    guard let (_, file) = unsafe current else { return }
    unsafe current = nil
    try noting { try file.close() }
  }

  private func noting<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch {
      counts.note(error)
      throw error
    }
  }

  private func call<Result>(_ operation: SoakOperation?, _ body: (CacheFile) throws -> Result) throws -> Result {
    if let operation { counts.count(operation) }
    lock.lockShared()
    defer { lock.unlock() }
    guard let (_, file) = unsafe current else { throw ExerciseError("\(path) is not open") }
    return try noting { try body(file) }
  }

  /// The same with another file, which may be this one.
  private func call<Result>(
    _ operation: SoakOperation, with other: SoakFile, _ body: (CacheFile, CacheFile) throws -> Result
  ) throws -> Result {
    try call(operation) { file in
      if other === self { return try body(file, file) }
      // One thread at a time closes files, and has one of them: nobody waits in a circle.
      return try other.call(nil) { try body(file, $0) }
    }
  }

  package func size() throws -> Int64 { try call(nil) { try $0.size() } }
  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try call(.read) { try unsafe $0.read(at: offset, into: buffer) }
  }
  package func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    try call(.write) { try unsafe $0.write(at: offset, bytes) }
  }
  package func append(_ bytes: UnsafeRawBufferPointer) throws -> Int64 {
    try call(.append) { try unsafe $0.append(bytes) }
  }
  package func resize(to size: Int64) throws { try call(.resize) { try $0.resize(to: size) } }
  package func allocate(_ range: Range<Int64>, keepingSize: Bool) throws {
    try call(.allocate) { try $0.allocate(range, keepingSize: keepingSize) }
  }
  package func punchHole(_ range: Range<Int64>) throws { try call(.punchHole) { try $0.punchHole(range) } }
  package func zero(_ range: Range<Int64>, keepingSize: Bool) throws {
    try call(.zeroRange) { try $0.zero(range, keepingSize: keepingSize) }
  }
  package func collapse(_ range: Range<Int64>) throws { try call(.collapseRange) { try $0.collapse(range) } }
  package func insert(_ range: Range<Int64>) throws { try call(.insertRange) { try $0.insert(range) } }
  package func clone(_ range: Range<Int64>, of source: SoakFile, to offset: Int64) throws {
    try call(.clone, with: source) { try $0.clone(range, of: $1, to: offset) }
  }
  package func copy(_ range: Range<Int64>, of source: SoakFile, to offset: Int64) throws {
    try call(.copy, with: source) { try $0.copy(range, of: $1, to: offset) }
  }
  package func exchange(_ range: Range<Int64>, with other: SoakFile, at offset: Int64) throws {
    try call(.exchange, with: other) { try $0.exchange(range, with: $1, at: offset) }
  }
  package func dedupe(_ range: Range<Int64>, with other: SoakFile, at offset: Int64) throws -> Bool {
    try call(.clone, with: other) { try $0.dedupe(range, with: $1, at: offset) }
  }
  package func unshare(_ range: Range<Int64>) throws { try call(nil) { try $0.unshare(range) } }
  package func seekData(from offset: Int64) throws -> Int64? { try call(nil) { try $0.seekData(from: offset) } }
  package func seekHole(from offset: Int64) throws -> Int64? { try call(nil) { try $0.seekHole(from: offset) } }
  package func sync(dataOnly: Bool) throws { try call(.sync) { try $0.sync(dataOnly: dataOnly) } }
  package func flush(_ range: Range<Int64>) throws { try call(.flush) { try $0.flush(range) } }
  package func invalidate() throws { try call(.invalidate) { try $0.invalidate() } }

  /// Lends bytes without a copy of the soak's own.
  func lend(_ range: Range<Int64>, _ body: (UnsafeRawBufferPointer) -> Void) throws {
    try call(nil) { file in
      try file.file.withBytes(atAbsoluteOffset: range.lowerBound, count: range.count) { span in
        unsafe span.withUnsafeBytes { unsafe body($0) }
      }
    }
  }
}
