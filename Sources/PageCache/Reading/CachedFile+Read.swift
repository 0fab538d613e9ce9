import PageIndex
import Primitives
import ReadCopyUpdate

extension CachedFile {
  /// Reads into memory of the caller's.
  ///
  /// A read of up to the configuration's `maximumAtomicLength` returns the bytes of one instant (P1); a longer one is a sequence of such
  /// pieces. Offset and length need no alignment. Memory past the returned count is not changed (P3); if the call throws, it may be.
  /// - Parameters:
  ///   - offset: bytes from the start of the file.
  ///   - buffer: where the bytes go. Its length is how many are wanted.
  /// - Returns: bytes read: fewer than wanted only at the end of the file, 0 at or past it.
  /// - Throws: `CacheError` with cause `.closed`, `.negativeOffset`, `.rangeOverflow`, `.store`, `.noFrames` or `.forkedChild`.
  /// - Cost: hit: no lock, no system call, no allocation, no store to shared memory (P2). Miss: one read of the store for each run of missing
  ///   folios, done by the calling thread; a few locks and allocations.
  /// - Note: What the kernel's thread "fast short reads" (October 2025) set out to do, at any length. The page on reading argues why it is right.
  @discardableResult
  public func read(fromAbsoluteOffset offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(CacheError)
    -> Int
  {
    let count = unsafe hit(offset: offset, to: buffer)
    if count != notServed { return count }
    return try unsafe readSlowly(offset: offset, into: buffer)
  }

  /// Reads if it can be done without blocking: everything is cached.
  /// - Returns: bytes read, or nil if the store would have to be asked. Nothing is started.
  /// - Throws: as `read(fromAbsoluteOffset:into:)`, but for `.store` and `.noFrames`.
  /// - Cost: that of a hit, also when it returns nil; a read longer than the atomic length may have copied part of it by then.
  public func tryRead(
    fromAbsoluteOffset offset: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(CacheError) -> Int? {
    let count = unsafe hit(offset: offset, to: buffer)
    if count != notServed { return count }
    return try readPieces(offset: offset, count: buffer.count) { (offset, count, done) throws(CacheError) in
      var sink = unsafe ContiguousSink(buffer.baseAddress.unsafelyUnwrapped + done)
      let copied = generalHit(offset: offset, count: count, into: &sink)
      if copied != notServed { return copied }
      // At the end of the file there is nothing to wait for.
      return offset < (try file(.read).words.size.loadAcquire()) ? notServed : 0
    }
  }

  /// The hit path: one slot, everything in place. `notServed` sends the caller to the slow path, which finds out why.
  ///
  /// Inlined into its callers, so that a hit is one call deep. scripts/check-hit-path disassembles it.
  @inline(__always)
  func hit(offset: Int64, to buffer: UnsafeMutableRawBufferPointer) -> Int {
    // No record: a thread that is new here, a system without membarrier, or a forked child.
    let count = buffer.count
    guard count > 0, let record = ThreadRecord.fast(slot: slotNumber) else { return notServed }
    record.enter(clock)
    // Safe: a buffer with bytes has an address.
    let destination = unsafe buffer.baseAddress.unsafelyUnwrapped
    let done = unsafe Hit.plain(active, offset: UInt64(bitPattern: offset), to: destination, count: count)
    record.exit()
    if done != notServed {
      record.counter(Counter.hitSizes &+ Counter.sizeClass(UInt64(truncatingIfNeeded: done))).addAsOnlyWriter(1)
    }
    return done
  }

  /// A hit of any shape: many slots, holes, first accesses. Like `hit` it takes no lock and, on a registered thread, retains nothing.
  /// - Parameters:
  ///   - count: at most the atomic length.
  ///   - isCounted: false after a miss, which has been counted as a slow read.
  @inline(__always)
  func generalHit<S: Sink>(offset: UInt64, count: Int, into sink: inout S, isCounted: Bool = true) -> Int {
    let record: ThreadRecord
    if let fast = ThreadRecord.fast(slot: slotNumber) {
      record = fast
      record.enter(clock)
    } else {
      guard let slow = enterSlowly() else { return notServed }
      record = slow
    }
    let words = FileWords(word: active.loadAcquire())
    let done = Hit.general(words, record: record, offset: offset, count: count, into: &sink)
    record.exit()
    if isCounted, done != notServed {
      record.counter(Counter.hitSizes &+ Counter.sizeClass(UInt64(truncatingIfNeeded: done))).addAsOnlyWriter(1)
    }
    return done
  }

  /// Enters a read section on a thread that is new here, or that needs a fence; nil in a forked child, which has no memory to read.
  @inline(never)
  private func enterSlowly() -> ThreadRecord? {
    guard !engine.isInForkedChild else { return nil }
    let record = engine.domain.record()
    engine.domain.enter(record)
    return record
  }

  /// Everything that is not a plain hit, in atomic pieces.
  @inline(never)
  func readSlowly(offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(CacheError) -> Int {
    // First what needs nothing but a copy: many slots, but no lock (P2).
    if offset >= 0, buffer.count > 0, buffer.count <= maximumAtomicLength {
      var sink = unsafe ContiguousSink(buffer.baseAddress.unsafelyUnwrapped)
      let copied = generalHit(offset: UInt64(offset), count: buffer.count, into: &sink)
      if copied != notServed { return copied }
    }
    let read = try readPieces(offset: offset, count: buffer.count) { (offset, count, done) throws(CacheError) in
      var sink = unsafe ContiguousSink(buffer.baseAddress.unsafelyUnwrapped + done)
      let copied = generalHit(offset: offset, count: count, into: &sink)
      return copied != notServed ? copied : try readMissing(offset: offset, count: count, into: &sink)
    }
    // Only a piece that declines ends early, and none does here.
    return read ?? 0
  }

  /// Checks a call and cuts it into atomic pieces. Takes no lock itself, but for an empty call.
  /// - Parameter piece: reads one; 0 at the end of the file, `notServed` to decline.
  /// - Returns: bytes read, or nil if a piece declined.
  func readPieces(
    offset: Int64, count: Int,
    _ piece: (_ offset: UInt64, _ count: Int, _ done: Int) throws(CacheError) -> Int
  ) throws(CacheError) -> Int? {
    let range = try checked(.read, offset: offset, count: count)
    if count == 0 { _ = try file(.read, range) }
    var done = 0
    while done < count {
      let wanted = min(count - done, maximumAtomicLength)
      let copied = try piece(UInt64(offset) + UInt64(done), wanted, done)
      guard copied != notServed else { return nil }
      done += copied
      if copied < wanted { break }
    }
    return done
  }

  /// Reads a piece that was not all there: fills what is missing, on this thread, and copies while holding it.
  /// - Returns: bytes read; 0 at or past the end of the file.
  func readMissing<S: Sink>(offset: UInt64, count: Int, into sink: inout S) throws(CacheError) -> Int {
    let range = Int64(offset)..<Int64(offset) + Int64(count)
    while true {
      let file = try file(.read, range)
      let size = file.words.size.loadAcquire()
      guard offset < size else { return 0 }
      countSlowRead(count)
      let slow = SlowRead(file, offset: offset, count: min(UInt64(count), size - offset), operation: .read)
      try slow.holdAll()
      let copied = generalHit(offset: offset, count: count, into: &sink, isCounted: false)
      slow.release()
      if copied != notServed { return copied }
      // Closed, or changed all the while: look again.
    }
  }

  func countSlowRead(_ count: Int) {
    engine.domain.record().counter(Counter.slowSizes + Counter.sizeClass(UInt64(max(1, count)))).addAsOnlyWriter(1)
  }
}
