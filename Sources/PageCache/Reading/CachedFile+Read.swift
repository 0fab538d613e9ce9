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
    if count >= 0 { return count }
    return try unsafe readSlowly(offset: offset, into: buffer, hasPass: count == overtaken)
  }

  /// Reads if it can be done without blocking: everything is cached.
  /// - Returns: bytes read, or nil if the store would have to be asked, or somebody is changing what is wanted. Nothing is started but read-ahead that is due. The buffer may
  ///   have been changed then.
  /// - Throws: as `read(fromAbsoluteOffset:into:)`, but for `.store` and `.noFrames`.
  /// - Cost: that of a hit, also when it returns nil. While somebody changes what is wanted, up to 64 tries, some microseconds; while the file is being
  ///   shortened, an allocation and a second copy.
  public func tryRead(
    fromAbsoluteOffset offset: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(CacheError) -> Int? {
    let count = unsafe hit(offset: offset, to: buffer)
    if count >= 0 { return count }
    return try readPieces(
      offset: offset, count: buffer.count, hasPass: count == overtaken
    ) { (offset, count, done, pass) throws(CacheError) in
      var sink = unsafe ContiguousSink(buffer.baseAddress.unsafelyUnwrapped + done)
      let copied = unclaimedHit(offset: offset, count: count, into: &sink, pass: &pass)
      takeReadAheadNote(offset: offset, count: count)
      if copied >= 0 { return copied }
      // At the end of the file there is nothing to wait for.
      return Int64(offset) < (try file(.read).length) ? notServed : 0
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
    if done >= 0 {
      record.exit()
      record.counter(Counter.hitSizes &+ Counter.sizeClass(UInt64(truncatingIfNeeded: done))).addAsOnlyWriter(1)
      return done
    }
    if done == overtaken { keepsWords.takePass() }
    record.exit()
    return done
  }

  /// A hit of any shape: many slots, holes, first accesses. Like `hit` it takes no lock and, on a registered thread, retains nothing.
  /// - Parameters:
  ///   - count: at most the atomic length.
  ///   - pass: taken if the sink was written to and must be written to again.
  ///   - isAccess: else it is the read that has brought what it reads.
  @inline(__always)
  func generalHit<S: Sink>(
    offset: UInt64, count: Int, into sink: inout S, pass: inout ReadPass, isAccess: Bool = true
  ) -> Int {
    let record: ThreadRecord
    if let fast = ThreadRecord.fast(slot: slotNumber) {
      record = fast
      record.enter(clock)
    } else {
      guard let slow = enterSlowly() else { return notServed }
      record = slow
    }
    let words = FileWords(word: active.loadRelaxed())
    let limit = pass.isTaken ? words.length : words.size
    // What others have in use, and what nobody has, stays so.
    var done =
      leavesNothing || !isAccess
      ? Hit.unnoted(words, limit: limit, record: record, offset: offset, count: count, into: &sink)
      : Hit.general(words, limit: limit, record: record, offset: offset, count: count, into: &sink)
    if done == overtaken {
      pass.take()
    } else if done >= 0, pass.isTaken, !words.hitsSeeLength {
      done = overtaken
    }
    record.exit()
    if done >= 0, isAccess {
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
  func readSlowly(
    offset: Int64, into buffer: UnsafeMutableRawBufferPointer, hasPass: Bool
  ) throws(CacheError) -> Int {
    let read = try readPieces(
      offset: offset, count: buffer.count, hasPass: hasPass
    ) { (offset, count, done, pass) throws(CacheError) in
      var sink = unsafe ContiguousSink(buffer.baseAddress.unsafelyUnwrapped + done)
      return try readPiece(offset: offset, count: count, into: &sink, pass: &pass)
    }
    // Only a piece that declines ends early, and none does here.
    return read ?? 0
  }

  /// Checks a call and cuts it into atomic pieces. Takes no lock itself, but for an empty call.
  /// - Parameters:
  ///   - hasPass: a hit was overtaken and has taken a pass for this call, which gives it back.
  ///   - piece: reads one; 0 at the end of the file, `notServed` to decline.
  /// - Returns: bytes read, or nil if a piece declined.
  func readPieces(
    offset: Int64, count: Int, hasPass: Bool,
    _ piece: (_ offset: UInt64, _ count: Int, _ done: Int, _ pass: inout ReadPass) throws(CacheError) -> Int
  ) throws(CacheError) -> Int? {
    var pass = ReadPass(keepsWords, isTaken: hasPass)
    let range = try checked(.read, offset: offset, count: count)
    if count == 0 { _ = try file(.read, range) }
    var done = 0
    while done < count {
      let wanted = min(count - done, maximumAtomicLength)
      let copied = try piece(UInt64(offset) + UInt64(done), wanted, done, &pass)
      guard copied != notServed else { return nil }
      done += copied
      if copied < wanted { break }
    }
    return done
  }

  /// Reads a piece: as a hit if it can be done, else with what is missing brought.
  /// - Returns: bytes read; 0 at or past the end of the file.
  func readPiece<S: Sink>(
    offset: UInt64, count: Int, into sink: inout S, pass: inout ReadPass
  ) throws(CacheError) -> Int {
    let copied = unclaimedHit(offset: offset, count: count, into: &sink, pass: &pass)
    takeReadAheadNote(offset: offset, count: count)
    let done = copied >= 0 ? copied : try readMissing(offset: offset, count: count, into: &sink, pass: &pass)
    if leavesNothing { dropBehind(offset: offset, count: done) }
    return done
  }

  /// Hits of any shape, with no claim: waits a little for changes that are under way, and reads past a closed gate.
  /// - Returns: bytes read, or what is in the way.
  func unclaimedHit<S: Sink>(offset: UInt64, count: Int, into sink: inout S, pass: inout ReadPass) -> Int {
    var result = generalHit(offset: offset, count: count, into: &sink, pass: &pass)
    var attempts = CachedFile.attempts
    while result != notServed, result < 0, attempts > 0 {
      attempts -= 1
      for _ in 0..<CachedFile.spinsPerAttempt { spinHint() }
      result = generalHit(offset: offset, count: count, into: &sink, pass: &pass)
    }
    if result >= 0 || pass.isTaken || !keepsWords.isGateClosed { return result }
    return hitBesideGate(offset: offset, count: count, into: &sink)
  }

  /// How often a read tries again before it takes its turn: about as long as a change of a few folios takes.
  private static var attempts: Int { patience(64) }
  private static var spinsPerAttempt: Int { patience(24, inLaboratory: 1) }

  /// A hit while somebody waits to make the file shorter: by way of memory of its own, so that the caller's is changed only when it is certain.
  @inline(never)
  private func hitBesideGate<S: Sink>(offset: UInt64, count: Int, into sink: inout S) -> Int {
    let words = keepsWords.words
    guard offset < words.length.loadRelaxed(), active.loadRelaxed() == words.word, !engine.isInForkedChild else {
      return notServed
    }
    let memory = unsafe TemporaryMemory.allocate(byteCount: count)
    defer { unsafe TemporaryMemory.deallocate(memory) }
    // Safe: it has at least one byte, and so an address.
    let start = unsafe memory.baseAddress.unsafelyUnwrapped
    var own = unsafe ContiguousSink(start)
    let record = engine.domain.record()
    for _ in 0..<patience(4) {
      engine.domain.enter(record)
      let result = Hit.general(words, limit: words.length, record: record, offset: offset, count: count, into: &own)
      record.exit()
      if result >= 0, words.hitsSeeLength {
        sink.rewind()
        unsafe sink.copy(from: start, count: result)
        record.counter(Counter.hitSizes &+ Counter.sizeClass(UInt64(result))).addAsOnlyWriter(1)
        return result
      }
      if result == notServed { break }
    }
    return notServed
  }

  /// Reads a piece of which something is missing, or changing. One missing page is brought, and read like any hit; what is more than that is read in turn: this thread
  /// fills what is missing, and copies while nobody may change it.
  /// - Returns: bytes read; 0 at or past the end of the file.
  private func readMissing<S: Sink>(
    offset: UInt64, count: Int, into sink: inout S, pass: inout ReadPass
  ) throws(CacheError) -> Int {
    let range = Int64(offset)..<Int64(offset) + Int64(count)
    let file = try file(.read, range)
    let length = file.length
    guard Int64(offset) < length else { return 0 }
    countSlowRead(count)
    let pages = file.pages(offset: offset, count: min(UInt64(count), UInt64(length) - offset))
    var hasBrought = false
    if pages.count == 1, try file.fillLone(pages.lowerBound, operation: .read, readAhead: readAhead) {
      hasBrought = true
      let copied = generalHit(offset: offset, count: count, into: &sink, pass: &pass, isAccess: false)
      if copied >= 0 { return copied }
    }
    let slow = SlowRead(
      file, offset: offset, count: UInt64(count), operation: .read, readAhead: readAhead, hasBrought: hasBrought)
    slow.begin()
    defer { slow.release() }
    while true {
      do throws(CacheError) { try slow.holdAll() } catch {
        guard keeps(.errorsThrown) else { return 0 }
        throw error
      }
      if let copied = slow.copy(offset: offset, count: count, into: &sink) { return copied }
    }
  }

  /// Has what was due been read ahead, if this thread's last read was the first to reach a mark (L16).
  func takeReadAheadNote(offset: UInt64, count: Int) {
    guard let readAhead else { return }
    if leavesNothing {
      // It has noted nothing.
      if let page = keepsWords.takeMarks(offset: offset, count: count) { readAhead.reached(page, in: keepsWords) }
      return
    }
    let note = engine.domain.record().takeNote()
    if note != 0 { readAhead.reached((note - 1) >> UInt64(engine.pool.frameShift), in: keepsWords) }
  }

  func countSlowRead(_ count: Int) {
    engine.domain.record().counter(Counter.slowSizes + Counter.sizeClass(UInt64(max(1, count)))).addAsOnlyWriter(1)
  }
}

extension SlowRead {
  /// Copies what is held and claimed: so the file does not become shorter than what is copied, and a retry is never shorter.
  /// - Returns: bytes copied, 0 past the end of the file; nil if folios are missing after all.
  func copy<S: Sink>(offset: UInt64, count: Int, into sink: inout S) -> Int? {
    let words = file.words
    let record = file.domain.record()
    while true {
      file.domain.enter(record)
      // By a length that hits may not see yet; who lets go of the claims has the lock once more, and both words are stored with it.
      // What was brought for this read is not accessed by it; the rest has been noted (`holdPresent`).
      let copied = Hit.unnoted(words, limit: words.length, record: record, offset: offset, count: count, into: &sink)
      record.exit()
      if copied >= 0 { return copied }
      if copied == notServed { return Int64(offset) < file.length ? nil : 0 }
      // Overtaken: the way to a slot has changed, not what it says. Somebody is in the middle of that.
      spinHint()
    }
  }
}
