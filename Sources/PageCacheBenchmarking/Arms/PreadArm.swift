import Glibc

/// The kernel's page cache through pread(2), on a plain buffered descriptor.
struct PreadArm: ReadArm {
  let descriptor: Int32

  @inline(__always)
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(truncatingIfNeeded: offset))
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(self, count: count) }
}
