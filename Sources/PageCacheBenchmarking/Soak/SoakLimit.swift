import PageCache

/// The one place where a soak changes the memory limit of a cache that is in use.
enum SoakLimit {
  /// - Returns: the limit that the cache has from now on: as before, where too much was held.
  static func change(_ cache: PageCache, to bytes: Int) throws -> Int {
    do throws(CacheError) { try cache.setMemoryLimit(bytes) } catch {
      guard case .limitNotReached = error.cause else { throw error }
    }
    return cache.memoryLimit
  }
}
