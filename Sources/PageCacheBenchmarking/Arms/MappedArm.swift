import Glibc
import Primitives

/// The kernel's page cache through a populated shared mapping: a memcpy a read and nothing else. The floor.
struct MappedArm: ReadArm {
  // Safe: the file set keeps the mapping while its arms are in use.
  let bytes: SharedMapping

  @inline(__always)
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    unsafe _ = memcpy(
      buffer.baseAddress.unsafelyUnwrapped, bytes.base + Int(truncatingIfNeeded: offset), buffer.count)
    return buffer.count
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(self, count: count) }
}

/// Address of a whole mapped file, every page of it present.
@safe
struct SharedMapping: @unchecked Sendable {
  let base: UnsafeRawPointer
  let byteCount: Int

  /// Maps a file. Huge pages are asked for before the pages are made present, because a page that is present stays as it is: so this is
  /// MAP_POPULATE in two steps.
  init?(descriptor: Int32, byteCount: Int) {
    let mapped = unsafe mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else { return nil }
    // Refused where the file system has no huge pages.
    unsafe madvise(mapped, byteCount, Int32(MADV_HUGEPAGE))
    unsafe base = UnsafeRawPointer(mapped)
    self.byteCount = byteCount
    var sum: UInt64 = 0
    for offset in stride(from: 0, to: byteCount, by: 4096) {
      sum &+= unsafe UInt64(base.load(fromByteOffset: offset, as: UInt8.self))
    }
    keep(sum)
  }

  /// Maps a file of which pages come in one at a time, when they are first touched.
  init?(random descriptor: Int32, byteCount: Int) {
    let mapped = unsafe mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else { return nil }
    // Neither read-ahead nor pages mapped around the one that is touched.
    unsafe madvise(mapped, byteCount, Int32(MADV_RANDOM))
    unsafe base = UnsafeRawPointer(mapped)
    self.byteCount = byteCount
  }

  func unmap() { unsafe munmap(UnsafeMutableRawPointer(mutating: base), byteCount) }
}
