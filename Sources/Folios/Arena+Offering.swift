import Glibc

// Which part of an arena is in use: the kernel may have the rest.
extension Arena {
  /// Says that a part is going to be used that has not been before, or not since it was withdrawn.
  package func offer(_ part: Range<Int>) throws(ArenaError) {
    let rounded = (byteCount + Arena.hugePageByteCount - 1) / Arena.hugePageByteCount * Arena.hugePageByteCount
    guard let failure = unsafe Arena.offer(base, part, of: rounded, populates: isPopulated, locks: isLocked) else {
      return
    }
    throw ArenaError(operation: failure, code: errno, byteCount: part.count)
  }

  /// - Returns: the system call that has failed.
  static func offer(
    _ base: UnsafeMutableRawPointer, _ part: Range<Int>, of byteCount: Int, populates: Bool, locks: Bool
  ) -> String? {
    // Huge pages for whole pieces of 2 MiB only: one that sticks out would be resident in full and pass the limit (P6). Advice: refusal costs speed,
    // not correctness, and `hugePageStatus()` tells.
    let huge = Arena.hugePageByteCount
    let first = (part.lowerBound + huge - 1) / huge * huge
    let whole = max(first, part.upperBound / huge * huge)
    if first < whole { unsafe madvise(base + first, whole - first, Int32(MADV_HUGEPAGE)) }
    if part.lowerBound == 0, whole < byteCount {
      unsafe madvise(base + whole, byteCount - whole, Int32(MADV_NOHUGEPAGE))
    }
    if locks {
      guard unsafe mlock(base + part.lowerBound, part.count) == 0 else { return "mlock" }
    } else if populates {
      for offset in stride(from: part.lowerBound, to: part.upperBound, by: 4096) {
        unsafe (base + offset).storeBytes(of: 0, as: UInt8.self)
      }
    }
    return nil
  }

  /// Gives the memory of a part back to the system. Nobody may read it, or write to it, until it is offered again.
  package func withdraw(_ part: Range<Int>) {
    if isLocked { unsafe munlock(base + part.lowerBound, part.count) }
    // Of private memory, dropping the pages is enough; those of a shared object stay until they are punched out of it.
    let advice = kind == .sharedMemory ? MADV_REMOVE : Int32(MADV_DONTNEED)
    unsafe madvise(base + part.lowerBound, part.count, Int32(advice))
  }

  /// Whether the kernel may back the 2 MiB around a part with a huge page: not while some of it is withdrawn, or touching the rest would bring all of it back.
  package func allowHugePage(around part: Range<Int>, _ isAllowed: Bool) {
    let huge = Arena.hugePageByteCount
    let start = part.lowerBound / huge * huge
    guard start + huge <= byteCount else { return }
    unsafe madvise(base + start, huge, Int32(isAllowed ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
  }

  /// Bytes that are in memory now. A system call for each 16 MiB.
  package var residentBytes: Int {
    var resident = 0
    let step = 16 << 20
    var pages = [UInt8](repeating: 0, count: step / 4096)
    for offset in stride(from: 0, to: byteCount, by: step) {
      let count = min(step, byteCount - offset)
      guard unsafe mincore(base + offset, count, &pages) == 0 else { continue }
      resident += pages[..<((count + 4095) / 4096)].count { $0 & 1 != 0 } * 4096
    }
    return resident
  }
}
