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
    let (claim, range, frames, room) = try claimForWriting(
      offset, count: bytes.count, durability: durability, point: point, operation: operation)
    defer {
      letGo(claim)
      budget.giveBack(frames)
    }
    return try unsafe write(
      bytes, range, durability: room.isSynchronous ? .writeThrough : durability, room: room, point: point,
      operation: operation)
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
      let room = try takeRoom(for: pages, operation: operation, range: range)
      if room.isSynchronous, let point, !point.isReached {
        // What goes to the store at once cannot be held back.
        do throws(CacheError) { try point.file.makeDurable(dataOnly: true) } catch {
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
    _ bytes: UnsafeRawBufferPointer, _ wanted: Range<Int64>, durability: PageCache.Durability, room: DirtyRoom,
    point: DurabilityPoint?, operation: CacheError.Operation
  ) throws(CacheError) -> Int64 {
    let isThrough = durability == .writeThrough
    var refusal: StoreError?
    var accepted = 0
    var owed = 0
    defer { engine.dirtyBudget.giveBack(room.pages - owed) }
    let marked: (slots: [MarkedSlot], replaced: [UInt64], range: Range<Int64>)
    do throws(CacheError) {
      marked = try unsafe markBytes(wanted, bytes: bytes, operation: operation) { () throws(CacheError) in
        guard isThrough else { return bytes.count }
        let (written, failure) = unsafe writeAll(bytes, at: wanted.lowerBound)
        index.withLock { noteWritten(through: wanted.lowerBound + Int64(written), count: written) }
        refusal = failure
        accepted = written
        if let failure, written == 0 { throw error(operation, wanted, .store(failure)) }
        return written
      }
    } catch {
      // The store has it, and there was no frame to show it in: then it is read again when it is wanted.
      if accepted > 0 { forgetUnlessOwed(self.pages(offset: UInt64(wanted.lowerBound), count: UInt64(accepted))) }
      throw error
    }
    // The lock is held.
    let range = marked.range
    index.unlock()
    unsafe copyBytes(bytes, of: range, into: marked.slots)
    index.lock()
    let waits = point.map { !isThrough && !$0.isReached } ?? false
    // What was owed for these pages before waits as well from now on.
    let wasOwed = waits && marked.slots.contains { isOwed($0.location, page: $0.page) }
    owed = publish(marked.slots, debt: isThrough ? .written : .dirty)
    noteChangeLocked()
    if !keeps(.lengthWithinMarks), range.upperBound > length { publishLocked(length: range.upperBound) }
    if let point, waits {
      unsafe holdBack(marked.slots, until: point, since: wasOwed ? debt.durableChanges : debt.changes - 1)
    }
    index.unlock()
    release(heads: marked.replaced)
    domain.record().counter(Counter.writtenBytes).addAsOnlyWriter(UInt64(range.count))
    domain.record().counter(Counter.writes).addAsOnlyWriter(1)
    if let refusal { throw error(operation, wanted, .partlyWritten(range.count, refusal)) }
    if room.isSynchronous {
      do throws(StoreError) { try flush(dataOnly: true) } catch {
        throw self.error(operation, wanted, .store(error))
      }
    }
    return wanted.lowerBound
  }

  /// Takes what owes nothing of some claimed pages out of the cache, as far as it is single pages: it is read again when it is wanted.
  func forgetUnlessOwed(_ pages: ClosedRange<UInt64>) {
    var heads: [UInt64] = []
    index.withLock {
      var page = pages.lowerBound
      while page <= pages.upperBound, let found = index.next(from: page, through: pages.upperBound) {
        page = found.lastPage + 1
        guard found.entry.isFolio, found.entry.order == 0, !isOwed(found.location, page: found.page) else { continue }
        forgetMarks(found)
        heads.append(found.entry.headFrame(shift: pool.frameShift))
        index.eraseSlot(of: found)
      }
    }
    release(heads: heads)
  }

  private func holdBack(_ slots: [MarkedSlot], until point: DurabilityPoint, since: UInt64) {
    for slot in slots {
      let first = slot.page & ~(1 << slot.location.shift - 1)
      for page in first..<first + 1 << slot.location.shift {
        if unsafe holdBacks[page] == nil {
          unsafe holdBacks[page] = HoldBack(point, since: since)
        } else {
          unsafe holdBacks[page]?.add(point)
        }
      }
    }
  }

  /// Takes room in the dirty budget for a write, waiting for the background to make some.
  func takeRoom(
    for pages: ClosedRange<UInt64>, operation: CacheError.Operation, range: Range<Int64>
  ) throws(CacheError) -> DirtyRoom {
    // Slots of large folios owe all of their pages: those at both ends may reach beyond the range.
    let slot = pagesOfLargestSlot
    let count = pages.count + (slot > 1 ? 2 * slot : 0)
    let budget = engine.dirtyBudget
    let (owned, failedBefore) = index.withLock { unsafe (debt.pages, debt.failedJobs) }
    if budget.take(count, owned: owned) {
      if budget.used > budget.backgroundLimit { engine.writeback.start(self) }
      return DirtyRoom(pages: count, isSynchronous: false)
    }
    while true {
      engine.writeback.start(self)
      index.lock()
      if unsafe debt.failedJobs != failedBefore, let failure = unsafe debt.lastJobError {
        index.unlock()
        throw error(operation, range, .dirtyLimit(limit: budget.capacity << pool.frameShift, failure.refusal))
      }
      let owned = unsafe debt.pages
      if owned > 0 { index.wait(nanoseconds: 10_000_000) }
      let left = unsafe debt.pages
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
