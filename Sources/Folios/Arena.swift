import CPrimitives
import Glibc
import Primitives
import ReadCopyUpdate

/// What the memory of an arena is.
public enum ArenaKind: String, Sendable, CaseIterable, Codable {
  /// Private anonymous memory: huge pages wherever transparent huge pages are on or on request.
  case privateAnonymous
  /// A shared memory object (memfd): frames can be mapped a second time. Huge pages only where
  /// `/sys/kernel/mm/transparent_hugepage/shmem_enabled` allows them.
  case sharedMemory
}

/// Why an arena could not be made.
package struct ArenaError: Error, Sendable {
  /// The system call.
  package let operation: String
  /// errno.
  package let code: Int32
  package let byteCount: Int
}

/// One mapping, reserved at the start and never unmapped while it lives: frames do not move or vanish under a reader (L12).
///
/// Aligned to 2 MiB and offered to the kernel as huge pages. Not inherited by fork: a child has no business in it.
@safe
package final class Arena: @unchecked Sendable {
  package let base: UnsafeMutableRawPointer
  package let byteCount: Int
  package let kind: ArenaKind
  /// Of the shared memory object; -1 for private memory.
  package let descriptor: Int32

  let isPopulated: Bool
  let isLocked: Bool

  private let generation = forkGeneration()

  static let hugePageByteCount = 2 << 20

  /// - Parameters:
  ///   - byteCount: rounded up to 2 MiB in address space, not in memory.
  ///   - offered: bytes from the start that are to be used at once; the rest when `offer` says so.
  ///   - populate: touch every page now, so that the system's shortage cannot strike later.
  ///   - lock: keep it from being swapped out (mlock(2)); implies `populate`.
  package init(
    byteCount: Int, offered: Int? = nil, kind: ArenaKind, populate: Bool = false, lock: Bool = false
  ) throws(ArenaError) {
    precondition(byteCount > 0)
    isPopulated = populate
    isLocked = lock
    let huge = Arena.hugePageByteCount
    let rounded = (byteCount + huge - 1) / huge * huge
    self.byteCount = byteCount
    self.kind = kind
    func refuse(_ operation: String) -> ArenaError {
      ArenaError(operation: operation, code: errno, byteCount: byteCount)
    }

    if kind == .privateAnonymous, let kept = unsafe mappingKeptForReuse(rounded, zeroing: byteCount) {
      unsafe base = kept
      descriptor = -1
      return
    }
    // Reserve with room to align, then map what is wanted over it.
    let reserved = unsafe mmap(nil, rounded + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let reserved = unsafe reserved, unsafe reserved != MAP_FAILED else { throw refuse("mmap") }
    let aligned = unsafe UnsafeMutableRawPointer(
      bitPattern: (UInt(bitPattern: reserved) + UInt(huge) - 1) & ~UInt(huge - 1)
    ).unsafelyUnwrapped
    let before = unsafe aligned - reserved
    if before > 0 { unsafe munmap(reserved, before) }
    if huge - before > 0 { unsafe munmap(aligned + rounded, huge - before) }

    var file: Int32 = -1
    var flags = MAP_FIXED
    if kind == .sharedMemory {
      file = unsafe pagecache_memfd("page-cache")
      flags |= MAP_SHARED
    } else {
      flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    }
    func giveBack(_ operation: String) -> ArenaError {
      let error = refuse(operation)
      unsafe munmap(aligned, rounded)
      if file >= 0 { Glibc.close(file) }
      return error
    }
    if kind == .sharedMemory {
      guard file >= 0 else {
        unsafe munmap(aligned, rounded)
        throw ArenaError(operation: "memfd_create", code: -file, byteCount: byteCount)
      }
      guard ftruncate(file, rounded) == 0 else { throw giveBack("ftruncate") }
    }
    guard unsafe mmap(aligned, rounded, PROT_READ | PROT_WRITE, flags, file, 0) != MAP_FAILED else {
      throw giveBack("mmap")
    }

    guard unsafe madvise(aligned, rounded, Int32(MADV_DONTFORK)) == 0 else { throw giveBack("madvise(MADV_DONTFORK)") }
    if let failure = unsafe Arena.offer(
      aligned, 0..<(offered ?? byteCount), of: rounded, populates: populate, locks: lock)
    {
      throw giveBack(failure)
    }
    // Last: until then the failures above give back what they have, and `deinit` does not run.
    unsafe base = aligned
    descriptor = file
  }

  deinit {
    // A forked child never had the mapping: another may lie there by now.
    if forkGeneration() == generation {
      let huge = Arena.hugePageByteCount
      let rounded = (byteCount + huge - 1) / huge * huge
      if kind == .privateAnonymous, unsafe keepsMappingForReuse(base, rounded) { return }
      unsafe munmap(base, rounded)
    }
    if descriptor >= 0 { Glibc.close(descriptor) }
  }
}
