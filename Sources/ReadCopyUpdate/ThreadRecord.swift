import CPrimitives
import Primitives

/// One thread's record in one read domain: whether it is inside a read section, and a few words that belong to the thread alone.
///
/// ```
///   byte 0     section    the grace-period number the thread entered under; 0 outside      own cache line pair:
///        8     next       the record registered before this one (never changes)            grace periods read it,
///       16     owned      1 while a living thread owns the record                          nobody else writes it
///      128     counters   160 words, written by the owner only, summed by anybody
///     1408     scratch    2,064 words, read and written by the owner only
///    17920     note       something that the owner has found in a read section and must see to after it; 0 for nothing
/// ```
///
/// Records are never freed, only handed to the next thread: so a grace period walks the list without a lock, and sums of
/// counters keep what finished threads have counted.
@safe @frozen
public struct ThreadRecord: @unchecked Sendable {
  @usableFromInline let base: UnsafeMutableRawPointer

  @inlinable @inline(__always)
  init(base: UnsafeMutableRawPointer) { unsafe self.base = base }

  /// Words that the record's user may count in.
  package static let counterCount = 160
  /// Words of scratch space.
  package static let scratchCount = 2064

  static let counterOffset = 128
  static let scratchOffset = counterOffset + counterCount * 8
  static let noteOffset = scratchOffset + scratchCount * 8
  static let byteCount = noteOffset + 8

  // Safe, here and below: the offsets are inside the allocation, aligned, and it is never freed.
  @inlinable @inline(__always)
  var section: SharedWord { unsafe SharedWord(at: base) }
  var next: SharedWord { unsafe SharedWord(at: base + 8) }
  var owned: SharedWord { unsafe SharedWord(at: base + 16) }

  /// A counter that only the owning thread writes.
  @inlinable @inline(__always)
  package func counter(_ number: Int) -> SharedWord {
    assert(number >= 0 && number < 160)
    return unsafe SharedWord(at: base + (128 + number &* 8))
  }

  /// Scratch words of the owning thread: contents are garbage on entry to whatever uses them.
  @inlinable @inline(__always)
  package var scratch: UnsafeMutablePointer<UInt64> {
    unsafe (base + (128 + 160 * 8)).assumingMemoryBound(to: UInt64.self)
  }

  /// Leaves a note for the owning thread, which calls this and has its scratch words at hand.
  @inlinable @inline(__always)
  package static func leaveNote(_ note: UInt64, behind scratch: UnsafeMutablePointer<UInt64>) {
    unsafe scratch[2064] = note
  }

  /// The note that the owning thread has left, once; 0 if none.
  package func takeNote() -> UInt64 {
    let note = unsafe scratch[2064]
    if note != 0 { unsafe scratch[2064] = 0 }
    return note
  }

  /// The calling thread's record in a domain, if it has one and its read sections need no fence.
  /// - Cost: two or three loads of the thread's own memory.
  @inlinable @inline(__always)
  package static func fast(slot: Int) -> ThreadRecord? {
    guard let base = unsafe pagecache_fast_record(slot) else { return nil }
    return unsafe ThreadRecord(base: base)
  }

  /// Enters a read section. Sections of one domain do not nest on this path: `ReadDomain.read` does.
  ///
  /// Pairs with the membarrier(2) of a grace period: either the grace period sees this store, or every load that follows it sees
  /// what was unlinked before the grace period began. The compiler is held back here; the processor is held back by the barrier that
  /// the grace period sends to it.
  /// - Cost: a load and a store of the thread's own memory; no locked instruction, no fence.
  @inlinable @inline(__always)
  package func enter(_ clock: SharedWord) {
    assert(section.loadRelaxed() == 0, "read sections do not nest here")
    // Acquire: no later load may be older than the clock. Else a reader could hold a pointer from before an unlinking and note a number from
    // after it, and the grace period would take it for a newcomer. Free on x86.
    // Release, for what the thread did in its last section: a grace period that looks only now acquires from this store and not from the one that
    // ended that section. C11 would let it acquire from both; C++20 has taken that out (P0982). Free on x86.
    section.storeRelease(clock.loadAcquire())
    compilerFence()
  }

  /// Leaves the read section. The release, like that of the next entry, pairs with the acquire load of a grace period: what the section read was read before
  /// the memory is given to somebody else.
  @inlinable @inline(__always)
  package func exit() {
    #if ThreadSanitizer
      _ = unsafe SharedWord(at: sanitizerWords).fetchAddRelease(1)
    #endif
    section.storeRelease(0)
  }

  /// Whether the thread is in a read section.
  @inlinable @inline(__always)
  package var isInside: Bool { section.loadRelaxed() != 0 }
}

#if ThreadSanitizer
  /// ThreadSanitizer does not understand membarrier or the wait for a plain word: this word carries the same edges as atomics it knows.
  @usableFromInline nonisolated(unsafe) let sanitizerWords: UnsafeMutableRawPointer = {
    let words = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    unsafe words.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
    return unsafe words
  }()
#endif
