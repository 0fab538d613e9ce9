import BackingStores
import CTestSupport
import PageCache
import PageCacheBenchmarking
import TestSupport
import Testing

/// A forked child has not inherited the arena: whatever touches the cache there gets an error, and the parent goes on.
@Suite struct ForkTests {
  private final class Subject {
    let cache: PageCache
    let file: CachedFile
    init(_ cache: PageCache, _ file: CachedFile) {
      self.cache = cache
      self.file = file
    }
  }

  /// In a process of its own, where no other test's threads hold locks of the runtime at the moment of the fork. Not under a sanitizer: its own locks are
  /// not made for it.
  @Test(.enabled(if: !isSanitized))
  func aForkedChildGetsErrorsAndCanMakeItsOwnCache() async {
    await #expect(processExitsWith: .success) { try ForkTests.forkAndLook() }
  }

  private static func forkAndLook() throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(100_000))
    _ = try file.read(fromAbsoluteOffset: 0, count: 50_000)
    let subject = Subject(cache, file)
    // Runs in the child; says which step was not as it should be.
    let result = unsafe pagecache_run_in_fork(
      { context in
        let subject = unsafe Unmanaged<Subject>.fromOpaque(context!).takeUnretainedValue()
        func isRefused(_ body: () throws -> Void) -> Bool {
          do {
            try body()
            return false
          } catch {
            guard case .forkedChild? = (error as? CacheError)?.cause else { return false }
            return true
          }
        }
        let (cache, file) = (subject.cache, subject.file)
        guard isRefused({ _ = try file.read(fromAbsoluteOffset: 0, count: 10) }) else { return 1 }
        var byte: UInt8 = 0
        guard
          isRefused({
            try unsafe withUnsafeMutableBytes(of: &byte) { _ = try unsafe file.read(fromAbsoluteOffset: 0, into: $0) }
          })
        else { return 2 }
        guard isRefused({ try file.withBytes(atAbsoluteOffset: 0, count: 10) { _ in } }) else { return 3 }
        guard isRefused({ _ = try file.size }), isRefused({ _ = try file.residency() }) else { return 4 }
        guard isRefused({ _ = try cache.statistics() }) else { return 5 }
        guard isRefused({ _ = try cache.open(store: patternStore(10)) }) else { return 6 }
        guard isRefused({ try file.close() }) else { return 7 }
        // A cache of the child's own works.
        guard let own = try? smallCache(limit: 2 << 20, atomic: 4096),
          let read = try? own.open(store: patternStore(5000)).read(fromAbsoluteOffset: 4000, count: 2000),
          read == patternBytes(4000..<5000)
        else { return 8 }
        return 0
      }, Unmanaged.passUnretained(subject).toOpaque(), 20)
    try #require(result == 0)
    try #require(file.read(fromAbsoluteOffset: 0, count: 60_000) == patternBytes(0..<60_000))
  }
}
