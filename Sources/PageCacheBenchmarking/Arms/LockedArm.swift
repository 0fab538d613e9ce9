import PageCache
import Primitives

/// The cache with a shared lock of the file around each read, as XFS has around buffered reads.
struct LockedArm: ReadArm {
  let file: CachedFile
  let lock = FileLock()

  final class FileLock: Sendable {
    let lock = ReadWriteLock()
  }

  @inline(__always)
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    lock.lock.lockShared()
    defer { lock.lock.unlock() }
    do { return try unsafe file.read(fromAbsoluteOffset: Int64(bitPattern: offset), into: buffer) } catch { return -1 }
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(self, count: count) }
}
