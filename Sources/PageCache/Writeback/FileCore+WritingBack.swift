import BackingStores
import PageIndex
import Primitives
import ReadCopyUpdate

extension FileCore {
  /// Pages that are given to the store in one call, at most; more only for one slot that covers more.
  private static var batchPages: UInt64 { 256 }

  /// What came of giving dirty pages to the store.
  struct WriteBackOutcome {
    var passedOver: HoldBacks<DurabilityPoint>.PassedOver
    /// The first refusal.
    var refusal: StoreError?

    /// - Parameter target: changes after this one need not be given to the store.
    init(upTo target: UInt64 = .max) { passedOver = .init(upTo: target) }
  }

  /// Gives dirty pages to the store, in order, each once; neighbours together.
  ///
  /// Pages that are held back are passed over. What the store refuses stays dirty, and is noted for every handle; what lies behind it is given to the store all the same. A
  /// page that becomes dirty again behind the point that this has reached is left to the next.
  /// - Parameters:
  ///   - pages: which; whole slots around the dirty ones among them may be written.
  ///   - holding: the caller's claim on the pages: one for reading does not mind; one for changing the store is enough, and no other is made.
  func writeBack(_ pages: ClosedRange<UInt64>, holding mode: RangeTable.Mode? = nil) -> WriteBackOutcome {
    var outcome = WriteBackOutcome()
    writeBack(pages, holding: mode, into: &outcome)
    return outcome
  }

  /// The same; what came of it is added.
  func writeBack(
    _ pages: ClosedRange<UInt64>, holding mode: RangeTable.Mode? = nil, into outcome: inout WriteBackOutcome
  ) {
    var page = pages.lowerBound
    var staging = Staging()
    // A store that has refused a page is given few behind it at first: it may refuse these, too.
    var window = FileCore.batchPages
    while page <= pages.upperBound {
      index.lock()
      guard let (first, slotLast) = nextToWriteBack(from: page, through: pages.upperBound) else {
        index.unlock()
        break
      }
      let last = max(slotLast, min(pages.upperBound, first + window - 1))
      let claim = mode == .changingStore ? nil : claimLocked(first...last, .writingBack, isUrgent: mode == .reading)
      var batch = gather(from: first, through: last, &outcome.passedOver)
      index.unlock()
      window = min(2 * window, FileCore.batchPages)
      if let failure = write(&batch, &staging, &outcome.passedOver) {
        window = 1
        // One attempt, one failure to tell of.
        if outcome.refusal == nil { index.withLock { unsafe durability.failures.add(failure) } }
        outcome.refusal = outcome.refusal ?? failure
      }
      if let claim { letGo(claim) }
      page = batch.next
      // For as long as a copy takes.
      if batch.isBusy { sleepNanoseconds(20_000) }
    }
  }

  /// The first page that is dirty, or that another write-back is giving to the store: its claim is waited for.
  ///
  /// T1, a write-back, takes a dirty page. T2, a sync, looks for dirty pages. T3 writes to the page, held back until a
  /// point. T1 looks again at what is held back, and leaves the page out, and what lies behind it: all of that is dirty
  /// again. T2 would have passed by, and would succeed without it.
  private func nextToWriteBack(from page: UInt64, through last: UInt64) -> (first: UInt64, slotLast: UInt64)? {
    let found = index.next(from: page, through: last, marked: .dirty)
    let inTransfer = unsafe keeps(.takenAwaited) ? durability.firstInWriteBack(page...last) : nil
    if let inTransfer, inTransfer < found?.page ?? .max { return (inTransfer, inTransfer) }
    return found.map { ($0.page, $0.lastPage) }
  }

  private struct Batch {
    /// Neighbours: first page and pages of each slot.
    var slots: [(page: UInt64, count: UInt64)] = []
    var transfer: Durability.Transfer?
    /// Where to go on.
    var next: UInt64
    /// The first page is in the middle of being changed.
    var isBusy = false

    var end: UInt64 { slots.last.map { $0.page + $0.count } ?? 0 }
  }

  /// Takes a run of dirty slots over: they are in a transfer from here on. Expects the index lock held, and a claim for writing back.
  ///
  /// Clear first, read then (R5): a change from now on makes the page dirty again.
  private func gather(
    from first: UInt64, through last: UInt64, _ passedOver: inout HoldBacks<DurabilityPoint>.PassedOver
  ) -> Batch {
    var batch = Batch(next: first)
    while batch.next <= last, let found = index.next(from: batch.next, through: last, marked: .dirty) {
      if !batch.slots.isEmpty, batch.end != found.page { break }
      if found.entry.isChanging {
        batch.isBusy = batch.slots.isEmpty
        break
      }
      if unsafe holdBacks.isHeld(found.page...found.lastPage, into: &passedOver) {
        guard batch.slots.isEmpty else { break }
        batch.next = found.lastPage + 1
        continue
      }
      var change = unsafe Durability.marksWhenTaken(epoch: durability.epoch)
      if !keeps(.clearThenRead) { change.remove = 0 }
      changeMarks(found.location, page: found.page, change)
      noteWrittenTime()
      batch.slots.append((found.page, found.pageCount))
      batch.next = found.lastPage + 1
    }
    if let first = batch.slots.first {
      batch.transfer = unsafe durability.beginTransfer(first.page...batch.end - 1, isWriteBack: true)
    } else if !batch.isBusy {
      // Nothing more here: the caller is done with the window.
      batch.next = max(batch.next, last + 1)
    }
    return batch
  }

  /// Writes a batch. Where to go on is changed to behind a page that the store has refused.
  /// - Returns: what the store has refused.
  private func write(
    _ batch: inout Batch, _ staging: inout Staging, _ passedOver: inout HoldBacks<DurabilityPoint>.PassedOver
  ) -> StoreError? {
    guard let firstSlot = batch.slots.first, let transfer = batch.transfer else { return nil }
    let start = Int64(firstSlot.page << frameShift)
    let memory = unsafe staging.memory(of: Int((batch.end - firstSlot.page) << frameShift))
    let base = unsafe memory.baseAddress.unsafelyUnwrapped
    for (page, count) in batch.slots.dropLast() {
      unsafe snapshot(page, count, into: base + Int(Int64(page << frameShift) - start))
    }
    // The page in which the file ends, and how far it goes, of one instant: a write that makes the file longer may be changing both.
    let lastSlot = batch.slots[batch.slots.count - 1]
    let slotsEnd = Int64(batch.end << frameShift)
    var known: Int64
    repeat {
      known = length
      unsafe snapshot(lastSlot.page, lastSlot.count, into: base + Int(Int64(lastSlot.page << frameShift) - start))
    } while known < slotsEnd && length != known
    // T1 has taken a page. T2 writes to it, held back until a point. T1 copies it, with T2's bytes in it. So what is
    // held back is looked at again now: T2 has held the page back before its bytes were there. (D4)
    let taken = index.withLock { keepUnheld(&batch, &passedOver) }
    // The claim keeps the file from becoming shorter than what is dirty.
    let end = max(start, min(Int64(batch.end << frameShift), known))
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<Int(end - start)])
    let (written, failure) = batch.slots.isEmpty ? (0, nil) : unsafe writeAll(bytes, at: start)
    domain.record().counter(Counter.writtenBackBytes).addAsOnlyWriter(UInt64(written))
    index.withLock {
      noteWritten(through: start + Int64(written), count: written)
      // What a flush that failed meanwhile may have lost is dirty already.
      _ = unsafe durability.endTransfer(transfer)
      var refused: UInt64?
      for (page, count) in taken {
        // The whole slot, or it is dirty again.
        let isWritten = page < batch.end && min(Int64((page + count) << frameShift), end) <= start + Int64(written)
        restore(page, count, as: isWritten ? .written : .dirty)
        if !isWritten, refused == nil { refused = page + count }
      }
      if let failure {
        unsafe durability.noteLoss(failure)
        batch.next = refused ?? batch.next
      }
      if unsafe waitingForTransfers > 0 || holdBacks.waitingWriters > 0 { index.broadcast() }
    }
    return failure
  }

  /// Shortens a batch to what is not held back, and lets go of the hold-backs of that. Expects the index lock held.
  /// - Returns: all slots that were taken.
  private func keepUnheld(
    _ batch: inout Batch, _ passedOver: inout HoldBacks<DurabilityPoint>.PassedOver
  ) -> [(page: UInt64, count: UInt64)] {
    let taken = batch.slots
    guard unsafe !holdBacks.isEmpty, keeps(.holdBacksSeenAgain) else { return taken }
    if let held = taken.firstIndex(where: { unsafe holdBacks.isHeld($0.page...$0.page + $0.count - 1) }) {
      let (page, count) = taken[held]
      // It was not dirty when it was held back.
      waitForMore(page...page + count - 1)
      _ = unsafe holdBacks.isHeld(page...page + count - 1, into: &passedOver)
      batch.next = page + count
      // What lies behind it is dirty again, and gathered anew.
      batch.slots.removeSubrange(held...)
    }
    for (page, count) in batch.slots {
      for page in page..<page + count { unsafe holdBacks.remove(page) }
    }
    return taken
  }

  /// How what was taken stands now. What was given to the store while a flush began is not covered by it: so it is marked for the epoch that is now.
  private func restore(_ first: UInt64, _ count: UInt64, as standing: Durability.Standing) {
    var page = first
    let last = first + count - 1
    while page <= last, let found = index.next(from: page, through: last) {
      page = found.lastPage + 1
      guard found.entry.isFolio else { continue }
      let added = mark(found.location, page: found.page, as: standing)
      if standing == .dirty { waitForMore(found.page...found.lastPage) }
      if !keeps(.clearThenRead), standing == .written {
        changeMarks(found.location, page: found.page, .init(remove: Mark.dirty.bit))
      }
      // It was owed all the while; but for what a flush has cleared meanwhile.
      engine.dirtyBudget.giveBack(-added)
    }
  }

  /// Notes what the store has been given. Expects the index lock held.
  func noteWritten(through end: Int64, count: Int) {
    guard count > 0 else { return }
    unsafe storeState.size = max(storeState.size, end)
    noteStoreChange()
  }

  /// Gives bytes to the store, on this thread, until it has all of them or refuses.
  func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> (written: Int, failure: StoreError?) {
    var done = 0
    while done < bytes.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
      do throws(StoreError) {
        let count = try store.write(unsafe StoreWriteRequest(offset: offset + Int64(done), segments: [rest]))
        guard count > 0, count <= rest.count else {
          throw StoreError(
            operation: .write, store: name, range: offset..<offset + Int64(bytes.count),
            cause: .other("the store says that it has written \(count) of \(rest.count) bytes"))
        }
        done += count
      } catch {
        // A write that was refused may have left its time all the same.
        index.withLock { unsafe storeState.stamp = nil }
        return (done, error)
      }
    }
    return (done, nil)
  }

  /// Copies a slot's bytes as they are at one instant. The pages are claimed: they are there, and somebody may be changing them.
  private func snapshot(_ first: UInt64, _ count: UInt64, into destination: UnsafeMutableRawPointer) {
    let record = domain.record()
    var page = first
    var attempts = 0
    while page < first + count {
      let at = unsafe destination + Int((page - first) << frameShift)
      // A writer of small pieces is faster than a copy of a whole page. He holds the lock for each of them; who marks and copies without it
      // has marked.
      let isLocked = attempts >= patience(8)
      if isLocked { index.lock() }
      domain.enter(record)
      let copied = unsafe copyStable(page, most: first + count - page, to: at)
      record.exit()
      if isLocked { index.unlock() }
      attempts = copied == 0 ? attempts + 1 : 0
      if copied == 0 { for _ in 0..<patience(200) { spinHint() } }
      page += copied
    }
  }

  /// Copies pages of one slot, if nobody changes them meanwhile. In a read section.
  /// - Returns: pages copied.
  private func copyStable(_ page: UInt64, most: UInt64, to destination: UnsafeMutableRawPointer) -> UInt64 {
    guard let location = index.locate(page), location.entry.isStable else { return 0 }
    // A slot may have come apart into smaller ones since it was gathered.
    let slotFirst = page & ~(1 << location.shift - 1)
    let within = Int((page - slotFirst) << frameShift)
    let pages = min(most, slotFirst + 1 << location.shift - page)
    // Safe: the slot names so many bytes, and the section keeps them.
    unsafe racyCopy(to: destination, from: address(of: location.entry) + within, count: Int(pages << frameShift))
    acquireFence()
    return Entry(word: location.slot.loadRelaxed()).isSame(as: location.entry) ? pages : 0
  }
}

/// Memory in which a batch is put together.
@safe
private struct Staging: ~Copyable {
  private var buffer: UnsafeMutableRawBufferPointer?

  deinit { if let buffer = unsafe buffer { unsafe TemporaryMemory.deallocate(buffer) } }

  mutating func memory(of byteCount: Int) -> UnsafeMutableRawBufferPointer {
    if let buffer = unsafe buffer, buffer.count >= byteCount {
      return unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<byteCount])
    }
    if let buffer = unsafe buffer { unsafe TemporaryMemory.deallocate(buffer) }
    let new = unsafe TemporaryMemory.allocate(byteCount: max(byteCount, 1 << 16))
    unsafe buffer = new
    return unsafe UnsafeMutableRawBufferPointer(rebasing: new[..<byteCount])
  }
}
