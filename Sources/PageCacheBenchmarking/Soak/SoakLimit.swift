import PageCache

/// The one place where a soak changes the memory limit of a cache that is in use.
enum SoakLimit {
  /// - Returns: the limit that the cache has from now on; nil where caches keep the one that they were made with.
  static func change(_ cache: PageCache, to bytes: Int) throws -> Int? { nil }
}
