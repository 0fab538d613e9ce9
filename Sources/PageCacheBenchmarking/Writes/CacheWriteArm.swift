import Glibc
import PageCache
import SystemPackage

/// Writes through a cache.
struct CacheWriteArm: WriteArm {
  let file: CachedFile

  @inline(__always)
  func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    do { return try unsafe file.write(toAbsoluteOffset: offset, bytes) == bytes.count } catch { return false }
  }

  func sync() -> Bool {
    do {
      try file.sync(dataOnly: true)
      return true
    } catch { return false }
  }

  func writeBatch(_ loop: inout WriteLoop, count: Int) { loop.run(self, count: count) }
}

extension WriteEntry {
  /// A cache, with a file of its own that has a name only until it is open.
  package static func cache(
    _ durability: PageCache.Durability, directory: String, memoryLimit: Int
  ) throws -> WriteEntry {
    let path = FilePath("\(directory)/pagecache-writes-\(getpid())-\(durability.rawValue)")
    let cache = try PageCache(.init(memoryLimit: memoryLimit))
    // Without a name it would be taken for one that others have replaced.
    let file = try cache.open(
      path, .readWrite(creation: .exclusively, durability: durability, ownership: .external))
    unsafe _ = path.withPlatformString { unsafe unlink($0) }
    return WriteEntry(
      name: durability == .writeBack ? "cache-write-back" : "cache-write-through", arm: CacheWriteArm(file: file))
  }
}
