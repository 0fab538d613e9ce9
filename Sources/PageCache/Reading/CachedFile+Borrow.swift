import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

extension CachedFile {
  /// Lends bytes of the file to a closure, without copying them if they lie in one folio.
  ///
  /// The bytes are a snapshot: they are those of one instant and never change while they are lent (P1, P9), and their memory is not reused
  /// (P5), however long the closure takes. A range that crosses folios is copied first. Frames that are lent cannot be evicted: lend briefly.
  /// - Parameters:
  ///   - offset: bytes from the start of the file.
  ///   - count: bytes wanted; the span is shorter at the end of the file. At most the atomic length for a snapshot of one instant.
  ///   - body: must not keep the span.
  /// - Throws: `CacheError` as `read(fromAbsoluteOffset:into:)`, or what the body throws.
  /// - Cost: hit in one folio: two locked instructions on the folio's count, no copy, no lock, no system call. Else an allocation
  ///   and a read.
  public func withBytes<Result: ~Copyable>(
    atAbsoluteOffset offset: Int64, count: Int, _ body: (_ bytes: RawSpan) throws -> Result
  ) throws -> Result {
    if let loan = borrow(offset: offset, count: count) { return try loan.withBytes(body) }
    let range = try checked(.borrow, offset: offset, count: count)
    let file = try file(.borrow, range)
    let size = file.words.size.loadAcquire()
    guard UInt64(offset) < size, count > 0 else { return try body(RawSpan()) }
    let available = Int(min(UInt64(count), size - UInt64(offset)))
    if available <= maximumAtomicLength {
      let slow = SlowRead(file, offset: UInt64(offset), count: UInt64(available), operation: .borrow)
      countSlowRead(available)
      try slow.holdAll()
      if let loan = borrow(offset: offset, count: count) { return try loan.withBytes(body) }
    }
    engine.domain.record().counter(Counter.borrowCopies).addAsOnlyWriter(1)
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: available, alignment: 16)
    defer { unsafe copy.deallocate() }
    let done = try unsafe read(fromAbsoluteOffset: offset, into: copy)
    // Safe: the memory outlives the call, and a span cannot outlive it.
    return try body(unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: copy[..<done])))
  }

  /// Bytes in one folio, with a reference that keeps them.
  @safe
  struct Loan: ~Copyable {
    let reference: FolioReference
    let start: UnsafeRawPointer
    let count: Int

    func withBytes<Result: ~Copyable>(_ body: (RawSpan) throws -> Result) throws -> Result {
      // Safe: the reference keeps the bytes for as long as the loan, and a span cannot outlive the call.
      try body(unsafe RawSpan(_unsafeStart: start, byteCount: count))
    }
  }

  /// Borrows what is cached in one folio: nil if it is not, or lies in several.
  func borrow(offset: Int64, count wanted: Int) -> Loan? {
    guard wanted > 0, let record = ThreadRecord.fast(slot: slotNumber) else { return nil }
    record.enter(clock)
    defer { record.exit() }
    let words = FileWords(word: active.loadAcquire())
    let offset = UInt64(bitPattern: offset)
    let size = words.size.loadAcquire()
    guard offset < size else { return nil }
    let count = min(UInt64(wanted), size - offset)
    guard let location = PageIndex.locateCovered(root: words.root, slotMask: words.slotMask, key: offset),
      location.entry.isStable
    else { return nil }
    let entry = location.entry
    let slotByteCount = (1 as UInt64) &<< location.shift
    let within = offset & (slotByteCount - 1)
    // What is left of the slot; of a folio that has several, only what a hit of one slot can confirm.
    guard count <= slotByteCount - within else { return nil }
    if !entry.isAccessed { PageIndex.setAccessed(location.slot, entry) }
    // Count, then look at the entry again: a writer marks the entry, then looks at the count. Both are sequentially consistent, so one of
    // them sees the other. (On x86 any locked instruction is; on ARM the fence makes it so.)
    let head = entry.headFrame(shift: Int(truncatingIfNeeded: words.frameShift))
    guard let speculative = unsafe SpeculativeReference(pool, head: head) else { return nil }
    sequentialFence()
    guard let reference = speculative.confirm(location), words.size.loadRelaxed() == size else { return nil }
    record.counter(Counter.borrows).addAsOnlyWriter(1)
    let start = unsafe UnsafeRawPointer(
      bitPattern: words.arena + UInt(truncatingIfNeeded: entry.arenaOffset + within)
    ).unsafelyUnwrapped
    return unsafe Loan(reference: reference, start: start, count: Int(count))
  }
}
