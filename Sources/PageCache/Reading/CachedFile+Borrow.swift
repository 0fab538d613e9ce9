import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

extension CachedFile {
  /// Lends bytes of the file to a closure, without copying them if they lie in one page, or in one large folio that has one slot of the index.
  ///
  /// The bytes are a snapshot: they are those of one instant and never change while they are lent (P1, P9), and their memory is not reused
  /// (P5), however long the closure takes. Any other range is copied first, and so is any range where membarrier(2) does not work. Frames that are lent cannot be evicted: lend briefly.
  /// - Parameters:
  ///   - offset: bytes from the start of the file.
  ///   - count: bytes wanted; the span is shorter at the end of the file. At most the atomic length for a snapshot of one instant.
  ///   - body: must not keep the span.
  /// - Throws: `CacheError` as `read(fromAbsoluteOffset:into:)`, or what the body throws.
  /// - Cost: hit in one slot: two locked instructions on the folio's count, no copy, no lock, no system call. Else an allocation
  ///   and a read.
  @inlinable
  public func withBytes<Result: ~Copyable>(
    atAbsoluteOffset offset: Int64, count: Int, _ body: (_ bytes: RawSpan) throws -> Result
  ) throws -> Result {
    let loan = try lend(offset: offset, count: count)
    defer { giveBack(loan) }
    // Safe: the loan keeps the bytes until it is given back, and a span cannot outlive the closure's call.
    return try body(unsafe RawSpan(_unsafeBytes: loan.bytes))
  }

  /// Bytes that stay as they are until they are given back.
  @safe @frozen @usableFromInline
  struct Loan {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    /// The head frame of the folio that lends them; of a copy, `copyBit` and how many bytes were allocated for it.
    @usableFromInline let head: UInt64

    @usableFromInline
    init(bytes: UnsafeRawBufferPointer, head: UInt64) {
      unsafe self.bytes = bytes
      self.head = head
    }

    static var copyBit: UInt64 { 1 << 63 }
  }

  @usableFromInline
  func lend(offset: Int64, count: Int) throws(CacheError) -> Loan {
    if let loan = borrow(offset: offset, count: count) { return loan }
    return try lendSlowly(offset: offset, count: count)
  }

  @usableFromInline
  func giveBack(_ loan: Loan) {
    guard loan.head & Loan.copyBit == 0 else {
      return unsafe TemporaryMemory.deallocate(
        UnsafeMutableRawPointer(mutating: loan.bytes.baseAddress), byteCount: Int(loan.head & ~Loan.copyBit))
    }
    // In a read section: between the two steps of giving back the folio must not be handed on (L33).
    guard let record = ThreadRecord.fast(slot: slotNumber), !record.isInside else {
      // A closure that forks ends twice: in the child there is nothing to give back.
      return engine.isInForkedChild ? () : engine.pool.giveBackReference(loan.head)
    }
    record.enter(clock)
    let wasLast = frames[loan.head].giveBackReference()
    record.exit()
    if wasLast { engine.pool.retire(loan.head) }
  }

  /// Borrows what is cached in one slot: nil if it is not, or lies in several.
  ///
  /// Counts first, then looks at the entry again; a writer marks the entry, then looks at the count. Both are sequentially consistent, so one of
  /// them sees the other. The reference is speculative until the entry confirms it (L14): who removes an entry freezes the count first, so an
  /// unchanged word means that the reference was taken in time.
  private func borrow(offset: Int64, count wanted: Int) -> Loan? {
    guard wanted > 0, let record = ThreadRecord.fast(slot: slotNumber), !record.isInside else { return nil }
    record.enter(clock)
    var isMarked = false
    let loan = borrow(
      FileWords(word: active.loadRelaxed()), offset: UInt64(bitPattern: offset), count: wanted, &isMarked)
    record.exit()
    // Who takes a mark off has more brought (L16).
    if isMarked { readAhead?.reached(UInt64(bitPattern: offset) >> UInt64(engine.pool.frameShift), in: keepsWords) }
    if loan != nil { record.counter(Counter.borrows).addAsOnlyWriter(1) }
    return loan
  }

  @inline(__always)
  private func borrow(_ words: FileWords, offset: UInt64, count wanted: Int, _ isMarked: inout Bool) -> Loan? {
    let size = words.size.loadAcquire()
    guard offset < size else { return nil }
    let count = min(UInt64(wanted), size - offset)
    guard let location = PageIndex.locateCovered(root: words.root, slotMask: words.slotMask, key: offset),
      location.entry.isStable
    else { return nil }
    let entry = location.entry
    let slotByteCount = (1 as UInt64) &<< location.shift
    let within = offset & (slotByteCount &- 1)
    guard count <= slotByteCount &- within else { return nil }
    if !entry.isAccessed { isMarked = location.noteAccess() }
    let head = entry.headFrame(shift: Int(truncatingIfNeeded: words.frameShift))
    let folio = frames[head]
    guard folio.tryTakeReference() else { return nil }
    // On x86 the fetch-and-add was a full fence already; on ARM it was not.
    sequentialFence()
    guard !keeps(.confirmation) || Entry(word: location.slot.loadRelaxed()).isSame(as: entry),
      words.size.loadRelaxed() == size
    else {
      if folio.giveBackReference() { engine.pool.retire(head) }
      return nil
    }
    let start = unsafe UnsafeRawPointer(
      bitPattern: words.arena &+ UInt(truncatingIfNeeded: entry.arenaOffset &+ within))
    return unsafe Loan(bytes: UnsafeRawBufferPointer(start: start, count: Int(truncatingIfNeeded: count)), head: head)
  }

  /// Fills what is missing and borrows; copies what does not lie in one folio.
  ///
  /// How long the file is, is decided by the read, and not by a look before it: a write that makes the file longer may come between them, and what was lent would be cut off at the
  /// old end with the new bytes in it (D17). So more is asked for than there seems to be, and if there is as much, the file has grown.
  @inline(never)
  private func lendSlowly(offset: Int64, count: Int) throws(CacheError) -> Loan {
    let range = try checked(.borrow, offset: offset, count: count)
    let file = try file(.borrow, range)
    while true {
      let available = max(0, min(range.upperBound, file.length) - offset)
      guard available > 0 else {
        return unsafe copied(UnsafeRawBufferPointer(start: nil, count: 0), capacity: 0)
      }
      let asked = Int(min(Int64(count), available + Int64(CachedFile.growth(of: Int(available)))))
      if let loan = try fillAndBorrow(file, offset: offset, count: asked) {
        if unsafe asked == count || loan.bytes.count < asked { return loan }
        giveBack(loan)
        continue
      }
      let most = CachedFile.largestAllocation
      guard available <= most else { throw error(.borrow, range, .countTooLarge(Int(available), most: most)) }
      engine.domain.record().counter(Counter.borrowCopies).addAsOnlyWriter(1)
      let copy = unsafe TemporaryMemory.allocate(byteCount: asked)
      do throws(CacheError) {
        let done = try unsafe read(fromAbsoluteOffset: offset, into: copy)
        if asked == count || done < asked {
          return unsafe copied(UnsafeRawBufferPointer(start: copy.baseAddress, count: done), capacity: asked)
        }
      } catch {
        unsafe TemporaryMemory.deallocate(copy)
        throw error
      }
      unsafe TemporaryMemory.deallocate(copy)
    }
  }

  private func copied(_ bytes: UnsafeRawBufferPointer, capacity: Int) -> Loan {
    unsafe Loan(bytes: bytes, head: Loan.copyBit | UInt64(capacity))
  }

  /// What the slow path reserved is given back before the caller's closure runs: it may take its time, and borrow more.
  private func fillAndBorrow(_ file: FileCore, offset: Int64, count: Int) throws(CacheError) -> Loan? {
    guard count <= maximumAtomicLength else { return nil }
    let slow = SlowRead(
      file, offset: UInt64(offset), count: UInt64(count), operation: .borrow, readAhead: readAhead)
    countSlowRead(count)
    slow.begin()
    defer { slow.release() }
    try slow.holdAll()
    return borrow(offset: offset, count: count)
  }
}
