import PageCache

/// The cache, through its public call.
struct CacheArm: ReadArm {
  let file: CachedFile

  @inline(__always)
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    do { return try unsafe file.read(fromAbsoluteOffset: Int64(bitPattern: offset), into: buffer) } catch { return -1 }
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(self, count: count) }
}
