import BackingStores
import Foundation
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Runs a body with a directory of its own.
func withTemporaryDirectory<Result>(_ body: (FilePath) throws -> Result) throws -> Result {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("pagecache-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  return try body(FilePath(url.path))
}

func withTemporaryDirectory<Result>(_ body: (FilePath) async throws -> Result) async throws -> Result {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("pagecache-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  return try await body(FilePath(url.path))
}

/// Bytes of a pattern file.
func patternBytes(_ range: Range<Int>) -> [UInt8] { range.map { PatternFile.byte(at: UInt64($0)) } }

/// A store over the pattern, in memory.
func patternStore(_ byteCount: Int) -> MemoryStore {
  MemoryStore(size: Int64(byteCount)) { PatternFile.byte(at: UInt64($0)) }
}

func smallCache(
  limit: Int = 8 << 20, orders: ClosedRange<Int> = 0...0, atomic: Int = 1 << 18, usesMembarrier: Bool = true
) throws -> PageCache {
  var configuration = PageCache.Configuration(
    memoryLimit: limit, folioOrders: orders, maximumAtomicLength: atomic, readAheadLength: 0)
  configuration.usesMembarrier = usesMembarrier
  return try PageCache(configuration)
}

/// Expects a `CacheError` and hands it over.
func cacheError(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) -> CacheError? {
  do {
    try body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    return nil
  } catch let error as CacheError {
    return error
  } catch {
    Issue.record("an error of another type was thrown: \(error)", sourceLocation: sourceLocation)
    return nil
  }
}
