import PageCache
import SystemPackage

/// A file through a cache.
package final class CacheFile: ExercisedFile {
  package let file: CachedFile

  package init(_ file: CachedFile) { self.file = file }

  package func size() throws -> Int64 { try file.size }
  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try unsafe file.read(fromAbsoluteOffset: offset, into: buffer)
  }
  package func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    _ = try unsafe file.write(toAbsoluteOffset: offset, bytes)
  }
  package func append(_ bytes: UnsafeRawBufferPointer) throws -> Int64 { try unsafe file.append(bytes) }
  package func resize(to size: Int64) throws { try file.resize(to: size) }
  package func allocate(_ range: Range<Int64>, keepingSize: Bool) throws {
    try file.allocate(range, keepingSize: keepingSize)
  }
  package func punchHole(_ range: Range<Int64>) throws { try file.punchHole(range) }
  package func zero(_ range: Range<Int64>, keepingSize: Bool) throws {
    try file.zeroRange(range, keepingSize: keepingSize)
  }
  package func collapse(_ range: Range<Int64>) throws { try file.collapseRange(range) }
  package func insert(_ range: Range<Int64>) throws { try file.insertRange(range) }
  package func clone(_ range: Range<Int64>, of source: CacheFile, to offset: Int64) throws {
    try file.clone(range, of: source.file, to: offset)
  }
  package func copy(_ range: Range<Int64>, of source: CacheFile, to offset: Int64) throws {
    _ = try file.copy(range, of: source.file, to: offset)
  }
  package func exchange(_ range: Range<Int64>, with other: CacheFile, at offset: Int64) throws {
    try file.exchange(range, with: other.file, at: offset)
  }
  package func dedupe(_ range: Range<Int64>, with other: CacheFile, at offset: Int64) throws -> Bool {
    do { return try file.dedupe(range, with: other.file, at: offset) } catch  where error.isUnsupported {
      // Whether they could share is all that can be asked.
      return try file.read(fromAbsoluteOffset: range.lowerBound, count: range.count)
        == other.file.read(fromAbsoluteOffset: offset, count: range.count)
    }
  }
  package func unshare(_ range: Range<Int64>) throws {
    do { try file.unshare(range) } catch  where error.isUnsupported {}
  }
  package func seekData(from offset: Int64) throws -> Int64? { try file.seekData(from: offset) }
  package func seekHole(from offset: Int64) throws -> Int64? { try file.seekHole(from: offset) }
  package func sync(dataOnly: Bool) throws { try file.sync(dataOnly: dataOnly) }
  package func flush(_ range: Range<Int64>) throws { try file.flush(range) }
  package func invalidate() throws { try file.invalidate() }
  package func close() throws { try file.close() }
}

extension CacheError {
  /// Whether the file system has no such call: the cache says so, and a file that is the same on all of them does without.
  fileprivate var isUnsupported: Bool {
    if case .store(let refusal) = cause { refusal.cause == .unsupported } else { false }
  }
}

/// A cache, for an exercise.
package final class CacheTarget: ExerciseTarget {
  package let cache: PageCache
  package let durability: PageCache.Durability
  package let name: String

  package init(_ configuration: PageCache.Configuration, durability: PageCache.Durability) throws {
    cache = try PageCache(configuration)
    self.durability = durability
    name =
      "cache, \(durability.rawValue), \(configuration.memoryLimit >> 10) KiB, orders \(configuration.folioOrders), "
      + "atomic \(configuration.maximumAtomicLength >> 10) KiB"
  }

  /// A cache of which everything that matters is drawn from a seed.
  package convenience init(
    seed: UInt64, durability: PageCache.Durability? = nil, memoryLimit: Int? = nil, maximumAtomicLength: Int? = nil
  ) throws {
    let orders = [0...0, 0...0, 0...2, 0...4, 3...3][Int(seed % 5)]
    var configuration = PageCache.Configuration(
      memoryLimit: memoryLimit ?? [3 << 20, 4 << 20, 8 << 20][Int(seed / 5 % 3)], folioOrders: orders,
      maximumAtomicLength: maximumAtomicLength ?? [1 << 16, 1 << 18, 1 << 20][Int(seed / 3 % 3)],
      writeBackAge: .milliseconds(20))
    // Few bits of version wrap often; small nodes make tall trees.
    if seed % 4 == 1 { configuration.versionBits = 3 }
    if seed % 7 == 2 { configuration.fanOutShift = 6 }
    while case .memoryLimitTooSmall(_, let needed)? = configuration.problems.first {
      configuration.memoryLimit = needed
    }
    try self.init(configuration, durability: durability ?? (seed / 2 % 2 == 0 ? .writeBack : .writeThrough))
  }

  /// A cache for a process that will be killed, the same for whoever looks what is left.
  package convenience init(crashing seed: UInt64, durability: CrashDurability) throws {
    try self.init(
      seed: seed, durability: durability == .writeBack ? .writeBack : .writeThrough, memoryLimit: 16 << 20,
      maximumAtomicLength: 1 << 20)
  }

  package var maximumAtomicLength: Int { cache.configuration.maximumAtomicLength }
  package var atomicChanges: Set<ExerciseChange> { Set(ExerciseChange.allCases) }

  package func open(_ path: FilePath) throws -> CacheFile {
    CacheFile(try cache.open(path, .readWrite(creation: .ifMissing, durability: durability)))
  }
}
