import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Writes one atomic piece.
  /// - Parameters:
  ///   - offset: where; nil for the end of the file.
  ///   - point: held back until then, if given.
  /// - Returns: where the piece went.
  func write(
    _ bytes: UnsafeRawBufferPointer, at offset: Int64?, durability: PageCache.Durability, point: DurabilityPoint?,
    operation: CacheError.Operation
  ) throws(CacheError) -> Int64 {
    guard unsafe !bytes.isEmpty else { return offset ?? length }
    // Nothing may fault while something is marked.
    unsafe makeResident(bytes)
    while true {
      let (claim, range, frames, room) = try claimForWriting(
        offset, count: bytes.count, durability: durability, point: point, operation: operation)
      let outcome: ChangeOutcome
      do {
        defer {
          letGo(claim)
          budget.giveBack(frames)
        }
        outcome = try unsafe write(
          bytes, range, durability: room.isSynchronous ? .writeThrough : durability, room: room, point: point,
          operation: operation)
      }
      if case .done = outcome { return range.lowerBound }
      try point?.makeDurable()
    }
  }

  /// Room taken from the dirty budget.
  struct DirtyRoom {
    var pages: Int
    /// There was none: what is written must be durable when the call returns.
    var isSynchronous: Bool
  }

  /// Claims where a piece goes, with frames for it and room for what it owes.
  private func claimForWriting(
    _ offset: Int64?, count: Int, durability: PageCache.Durability, point: DurabilityPoint?,
    operation: CacheError.Operation
  ) throws(CacheError) -> (claim: RangeClaim, range: Range<Int64>, frames: Int, room: DirtyRoom) {
    while true {
      let start = offset ?? length
      let (end, overflow) = start.addingReportingOverflow(Int64(count))
      let most = maximumSize
      guard !overflow, end <= most else {
        throw error(operation, nil, .sizeTooLarge(overflow ? .max : end, most: most))
      }
      let range = start..<end
      let pages = self.pages(offset: UInt64(start), count: UInt64(count))
      if point.map({ !$0.isReached }) ?? false { awaitRound(pages) }
      let room = try takeRoom(for: pages, operation: operation, range: range)
      if room.isSynchronous, let point {
        // What goes to the store at once cannot be held back.
        do throws(CacheError) { try point.makeDurable() } catch {
          engine.dirtyBudget.giveBack(room.pages)
          throw error
        }
      }
      let frames = framesNeeded(for: pages)
      budget.reserve(frames)
      let mode: RangeTable.Mode = durability == .writeThrough || room.isSynchronous ? .changingStore : .changingCache
      // Whoever appends claims all that follows, so that nobody else does.
      var claimed = foliosAround(pages)
      if offset == nil { claimed = claimed.lowerBound...index.geometry.maximumPage }
      let claim = self.claim(claimed, mode)
      if index.withLock({ unsafe isClosing }) {
        letGo(claim)
        budget.giveBack(frames)
        engine.dirtyBudget.giveBack(room.pages)
        throw error(operation, range, .closed)
      }
      if offset != nil || length == start { return (claim, range, frames, room) }
      letGo(claim)
      budget.giveBack(frames)
      engine.dirtyBudget.giveBack(room.pages)
    }
  }

  /// Largest size that the file can have.
  var maximumSize: Int64 { min(store.maximumSize, PageCache.maximumFileSize) }

  /// Writes a piece whose pages are claimed, with frames reserved and room taken, which is given back or kept as the pages owe it.
  func write(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int64>, durability: PageCache.Durability, room: DirtyRoom,
    point: DurabilityPoint?, operation: CacheError.Operation
  ) throws(CacheError) -> ChangeOutcome {
    var owed = 0
    defer { engine.dirtyBudget.giveBack(room.pages - owed) }
    var change = unsafe FileChange(
      operation: operation, range: range, content: .bytes(bytes), length: .atLeast(range.upperBound))
    guard durability == .writeThrough else {
      change.heldUntil = point
      let outcome: ChangeOutcome
      (outcome, owed) = try carryOut(change)
      if case .done(let count) = outcome { countWrite(of: count) }
      return outcome
    }
    let watch = index.withLock { unsafe self.durability.watch }
    var refusal: StoreError?
    let outcome: ChangeOutcome
    (outcome, owed) = try carryOut(change) { [self] () throws(CacheError) in
      let (written, failure) = unsafe writeAll(bytes, at: range.lowerBound)
      index.withLock { noteWritten(through: range.lowerBound + Int64(written), count: written) }
      refusal = failure
      if let failure, written == 0 { throw error(operation, range, .store(failure)) }
      return written
    }
    guard case .done(let count) = outcome else { return outcome }
    countWrite(of: count)
    if let refusal { throw error(operation, range, .partlyWritten(count, refusal)) }
    if room.isSynchronous, let failure = settleWithoutRoom(change.range, since: watch) {
      // The bytes are in the cache, dirty: they are written all the same.
      throw error(operation, range, .partlyWritten(count, failure))
    }
    return outcome
  }

  /// Makes claimed bytes durable for which there was no room. If a flush has lost them, also one of another call, they are given to the store once more.
  /// - Returns: why they are not durable.
  private func settleWithoutRoom(_ range: Range<Int64>, since watch: Durability.Watch) -> StoreError? {
    var watch = watch
    var failure: StoreError?
    for _ in 0..<2 {
      do throws(StoreError) {
        try flush(dataOnly: true)
        failure = index.withLock { unsafe durability.loss(since: watch) }
      } catch { failure = error }
      if failure == nil { return nil }
      watch = index.withLock { unsafe durability.watch }
      let pages = slotsAround(self.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count)))
      if let refusal = writeBack(pages, holding: .changingStore).refusal { return refusal }
    }
    return failure
  }

  private func countWrite(of count: Int) {
    domain.record().counter(Counter.writtenBytes).addAsOnlyWriter(UInt64(count))
    domain.record().counter(Counter.writes).addAsOnlyWriter(1)
  }

  /// Takes room in the dirty budget for a write, waiting for the background to make some.
  func takeRoom(
    for pages: ClosedRange<UInt64>, operation: CacheError.Operation, range: Range<Int64>
  ) throws(CacheError) -> DirtyRoom {
    // Slots of large folios owe all of their pages: those at both ends may reach beyond the range.
    let slot = pagesOfLargestSlot
    let count = pages.count + (slot > 1 ? 2 * slot : 0)
    let budget = engine.dirtyBudget
    let (owned, failedBefore) = index.withLock { unsafe (durability.pages, background.failedJobs) }
    if budget.take(count, owned: owned) {
      if budget.used > budget.backgroundLimit { engine.writeback.start(self) }
      return DirtyRoom(pages: count, isSynchronous: false)
    }
    while true {
      engine.writeback.start(self)
      index.lock()
      if unsafe background.failedJobs != failedBefore, let failure = unsafe background.lastError {
        index.unlock()
        throw error(operation, range, .dirtyLimit(limit: budget.capacity << pool.frameShift, failure.refusal))
      }
      let owned = unsafe durability.pages
      if owned > 0 { index.wait(nanoseconds: 10_000_000) }
      let left = unsafe durability.pages
      index.unlock()
      if budget.take(count, owned: left) { return DirtyRoom(pages: count, isSynchronous: false) }
      // Nothing of this file is in the way: others hold what there is, or there is too little for such a piece.
      if owned == 0 {
        budget.giveBack(-count)
        return DirtyRoom(pages: count, isSynchronous: true)
      }
    }
  }
}
