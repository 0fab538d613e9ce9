import Glibc

/// Memory that a call needs for a moment.
///
/// From 64 KiB on it is mapped, and unmapped when it is given back: the C library keeps what is freed in heaps of each thread, and that would stay on top of a cache's
/// limit for good (P6).
package enum TemporaryMemory {
  private static let leastMapping = 64 << 10

  /// - Parameter byteCount: at least 0.
  /// - Returns: memory with garbage in it; from a page on aligned to 4,096 bytes, as direct I/O wants it.
  package static func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer {
    if byteCount >= leastMapping {
      let start = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      // As an allocation that fails does: there is nothing to go on with.
      precondition(unsafe start != MAP_FAILED, "the system has no \(byteCount) bytes of memory")
      return unsafe UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    }
    // The C library keeps small pieces of each size for each thread. Were they aligned to pages, each of them would keep a page.
    return UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: byteCount < 4096 ? 16 : 4096)
  }

  /// - Parameter byteCount: as it was allocated.
  package static func deallocate(_ start: UnsafeMutableRawPointer?, byteCount: Int) {
    if byteCount >= leastMapping {
      unsafe munmap(start, byteCount)
    } else {
      unsafe start?.deallocate()
    }
  }

  package static func deallocate(_ memory: UnsafeMutableRawBufferPointer) {
    unsafe deallocate(memory.baseAddress, byteCount: memory.count)
  }
}
