import BackingStores
import PageIndex
import Primitives
import ReadCopyUpdate

extension FileCore {
  /// Pages that are given to the store in one call, at most; more only for one slot that covers more.
  private static var batchPages: UInt64 { 256 }

  /// Gives dirty pages to the store, in order, each once; neighbours together.
  ///
  /// A page that becomes dirty again behind the point that this has reached is left to the next. What the store refuses stays dirty, and the failure is
  /// noted for every handle.
  /// - Parameters:
  ///   - pages: which; whole folios around the dirty ones among them may be written.
  ///   - holding: the caller's claim on the pages: one for reading does not mind; one for changing the store is enough, and no other is made.
  /// - Returns: whether pages were passed over because they are held back.
  /// - Throws: the store's error; pages behind the one that failed have not been tried.
  @discardableResult
  func writeBack(_ pages: ClosedRange<UInt64>, holding mode: RangeTable.Mode? = nil) throws(StoreError) -> Bool {
    var page = pages.lowerBound
    var staging = Staging()
    var isHeldBack = false
    while page <= pages.upperBound {
      index.lock()
      guard let found = index.next(from: page, through: pages.upperBound, marked: .dirty) else {
        index.unlock()
        break
      }
      let last = max(found.lastPage, min(pages.upperBound, found.page + FileCore.batchPages - 1))
      let claim =
        mode == .changingStore ? nil : claimLocked(found.page...last, .writingBack, isUrgent: mode == .reading)
      let batch = gather(from: found.page, through: last)
      index.unlock()
      let outcome = write(batch, &staging)
      if let claim { letGo(claim) }
      if let failure = outcome { throw failure }
      isHeldBack = isHeldBack || batch.isHeldBack
      if batch.slots.isEmpty, batch.isChanging {
        // Somebody is in the middle of changing it: for as long as a copy takes.
        sleepNanoseconds(20_000)
        continue
      }
      page = batch.next
    }
    return isHeldBack
  }

  private struct Batch {
    /// Neighbours: first page and pages of each slot.
    var slots: [(page: UInt64, count: UInt64)] = []
    /// Their number among the file's transfers.
    var transfer: UInt64?
    /// Where to go on.
    var next: UInt64
    var isHeldBack = false
    var isChanging = false
  }

  /// Takes a run of dirty slots over: from here on they count as written. Expects the index lock held, and a claim for writing back.
  ///
  /// Clear first, read then (R5): whoever changes the page from now on makes it dirty again.
  private func gather(from first: UInt64, through last: UInt64) -> Batch {
    var batch = Batch(next: first)
    while batch.next <= last, let found = index.next(from: batch.next, through: last, marked: .dirty) {
      if let end = batch.slots.last.map({ $0.page + $0.count }), end != found.page { break }
      if found.entry.isChanging {
        batch.isChanging = true
        break
      }
      if isHeldBack(found) {
        batch.isHeldBack = true
        guard batch.slots.isEmpty else { break }
        batch.next = found.lastPage + 1
        continue
      }
      unsafe changeMarks(
        found.location, page: found.page, add: MarkSet(debt.writtenMark),
        remove: keeps(.clearThenRead) ? MarkSet(.dirty) : [])
      if unsafe debt.writtenSince == nil { unsafe debt.writtenSince = monotonicNanoseconds() }
      batch.slots.append((found.page, found.pageCount))
      batch.next = found.lastPage + 1
    }
    if let first = batch.slots.first, let last = batch.slots.last {
      batch.transfer = unsafe transfers.begin(first.page...last.page + last.count - 1)
    }
    // Nothing more here: whoever called is done with the window.
    if batch.slots.isEmpty, !batch.isChanging { batch.next = max(batch.next, last + 1) }
    return batch
  }

  private func isHeldBack(_ found: PageIndex.Found) -> Bool {
    guard unsafe !holdBacks.isEmpty else { return false }
    for page in found.page...found.lastPage {
      guard let holdBack = unsafe holdBacks[page] else { continue }
      guard holdBack.points.allSatisfy(\.isReached) else { return true }
      unsafe holdBacks[page] = nil
    }
    return false
  }

  /// Writes a batch. Returns what went wrong.
  private func write(_ batch: Batch, _ staging: inout Staging) -> StoreError? {
    guard let firstSlot = batch.slots.first, let lastSlot = batch.slots.last else { return nil }
    let start = Int64(firstSlot.page << frameShift)
    let slotsEnd = Int64((lastSlot.page + lastSlot.count) << frameShift)
    let memory = unsafe staging.memory(of: Int(Int64((lastSlot.page + lastSlot.count) << frameShift) - start))
    for (page, count) in batch.slots.dropLast() {
      unsafe snapshot(page, count, into: memory.baseAddress.unsafelyUnwrapped + Int(Int64(page << frameShift) - start))
    }
    // The page in which the file ends, and how far it goes, of one instant: a write that makes the file longer may be changing both.
    var known: Int64
    repeat {
      known = length
      unsafe snapshot(
        lastSlot.page, lastSlot.count,
        into: memory.baseAddress.unsafelyUnwrapped + Int(Int64(lastSlot.page << frameShift) - start))
    } while known < slotsEnd && length != known
    // The claim keeps the file from becoming shorter than what is dirty.
    let end = max(start, min(slotsEnd, known))
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<Int(end - start)])
    let (written, failure) = unsafe writeAll(bytes, at: start)
    domain.record().counter(Counter.writtenBackBytes).addAsOnlyWriter(UInt64(written))
    index.withLock {
      noteWritten(through: start + Int64(written), count: written)
      for (page, count) in batch.slots {
        // The whole slot, or it is dirty again.
        let isWritten = min(Int64((page + count) << frameShift), end) <= start + Int64(written)
        restore(page, count, isWritten: isWritten)
      }
      if let failure { unsafe failures.add(failure) }
      if let transfer = batch.transfer { unsafe transfers.end(transfer) }
      if unsafe waitingForTransfers > 0 { index.broadcast() }
    }
    return failure
  }

  /// What was given to the store while a flush began is not covered by it: so it is marked for the epoch that is now. What was not, is dirty again.
  private func restore(_ first: UInt64, _ count: UInt64, isWritten: Bool) {
    var page = first
    let last = first + count - 1
    while page <= last, let found = index.next(from: page, through: last) {
      page = found.lastPage + 1
      guard found.entry.isFolio else { continue }
      let added =
        isWritten ? markWritten(found.location, page: found.page) : markDirty(found.location, page: found.page)
      if !keeps(.clearThenRead), isWritten { changeMarks(found.location, page: found.page, remove: MarkSet(.dirty)) }
      // It was owed all the while; but for what a flush has cleared meanwhile.
      engine.dirtyBudget.giveBack(-added)
    }
  }

  /// Notes what the store has been given. Expects the index lock held.
  func noteWritten(through end: Int64, count: Int) {
    guard count > 0 else { return }
    unsafe storeState.size = max(storeState.size, end)
    unsafe storeState.noteChange()
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
