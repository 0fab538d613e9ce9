import Glibc
import PageCache
import SystemPackage

/// The cache's arms of `bench atomicity`: as it is, with a lock around it as XFS has one, and read a page at a time as ext4 does.
package enum CacheAtomicity {
  package static func entries(directory: String, memoryLimit: Int) throws -> [AtomicityEntry] {
    func file(_ name: String) throws -> CacheFile {
      let path = FilePath("\(directory)/pagecache-atomicity-\(getpid())-\(name)")
      let cache = try PageCache(.init(memoryLimit: memoryLimit))
      // Without a name it would be taken for one that others have replaced.
      let file = try cache.open(
        path, .readWrite(creation: .exclusively, durability: .writeBack, ownership: .external))
      unsafe _ = path.withPlatformString { unsafe unlink($0) }
      return CacheFile(file)
    }
    func entry(_ name: String, _ arm: (CacheFile) -> any AtomicityArm) throws -> AtomicityEntry {
      let file = try file(name)
      return AtomicityEntry(name: name, arm: arm(file)) { try file.sync(dataOnly: false) }
    }
    return try [
      entry("cache") { DirectArm($0) }, entry("cache-rwlock") { ReadWriteLockedArm($0) },
      entry("cache-pagewise") { PagewiseArm($0) },
    ]
  }
}
