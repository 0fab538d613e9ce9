import BackingStores
import Folios
import PageIndex
import Primitives

// Writing to what is cached, side by side in one node of the index, and lent to nobody: the common case, without arrays, without frames to be found,
// and with the copy made while the file's lock is held, because it is short. Whoever has a claim on the pages is respected.

extension CachedFile {
  /// Writes in place.
  /// - Returns: false, having changed nothing in the cache, if it takes more than that.
  /// - Throws: what the store refuses, with `.writeThrough`.
  @inline(__always)
  func writeInPlace(offset: Int64, _ bytes: UnsafeRawBufferPointer) throws(CacheError) -> Bool {
    // Relaxed: whether the handle is open is only a hint here. That the file is, is looked at with its lock held.
    guard isWritable, bytes.count > 0, bytes.count <= maximumAtomicLength,
      offset >= 0, active.loadRelaxed() == keepsWords.words.word, !engine.isInForkedChild
    else { return false }
    // Nothing may fault while the lock is held.
    unsafe makeResident(bytes)
    return durability == .writeBack
      ? unsafe keepsWords.writeInPlace(offset: UInt64(offset), bytes)
      : try unsafe keepsWords.writeThroughInPlace(offset: UInt64(offset), bytes)
  }
}

/// Slots side by side in one node, all of them whole folios' and as far as a look tells lent to nobody.
private struct SlotRun {
  let first: PageIndex.Location
  /// How many.
  let count: Int
  let firstPage: UInt64
  /// Pages of those that owe nothing yet.
  let unowedPages: Int

  @inline(__always)
  func slot(_ number: Int) -> SharedWord { unsafe SharedWord(at: first.slot.address + number &* 8) }
}

extension FileCore {
  /// Bytes that are copied with the lock held, at most.
  private static var mostWithLock: Int { 1 << 16 }

  /// As `CachedFile.writeInPlace`. The handle is open, or was a moment ago.
  func writeInPlace(offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    index.lock()
    defer { index.unlock() }
    guard let run = slotRun(offset: offset, count: UInt64(bytes.count), mode: .changingCache),
      unsafe engine.dirtyBudget.takeIfAny(run.unowedPages, owned: durability.pages)
    else { return false }
    let owed = unsafe markUnlessLent(run) ? change(run, offset: offset, bytes, isClaimed: false, as: .dirty) : nil
    engine.dirtyBudget.giveBack(run.unowedPages - (owed ?? 0))
    return owed != nil
  }

  /// The same, through to the store: it is written while the pages are claimed, then the cache is changed.
  func writeThroughInPlace(offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws(CacheError) -> Bool {
    index.lock()
    guard let run = slotRun(offset: offset, count: UInt64(bytes.count), mode: .changingStore),
      unsafe engine.dirtyBudget.takeIfAny(run.unowedPages, owned: durability.pages)
    else {
      index.unlock()
      return false
    }
    // From here on none of the folios is lent before the cache has what the store has been given: a loan would keep the cache from being changed.
    guard freeze(run) else {
      engine.dirtyBudget.giveBack(run.unowedPages)
      index.unlock()
      return false
    }
    // It lies inside the file, so it can be added up.
    let range = Int64(offset)..<Int64(offset) + Int64(bytes.count)
    // Nothing is in the way, so this does not wait.
    let claim = claimLocked(foliosAround(pages(offset: offset, count: UInt64(bytes.count))), .changingStore)
    // Owed from here on, and on their way, so that they are not evicted while the store works.
    let before = markAll(run)
    let transfer = unsafe durability.beginTransfer(run.firstPage...(offset + UInt64(bytes.count) - 1) >> frameShift)
    index.unlock()
    let (written, refusal) = unsafe writeAll(bytes, at: range.lowerBound)
    index.lock()
    noteWritten(through: range.lowerBound + Int64(written), count: written)
    let standing = endTransferLocked(transfer)
    var owed = 0
    if written > 0 {
      forEach(run) { location, _, number in if keeps(.marksOnAll) || number == 0 { mark(location) } }
      // Keeps the marks before the bytes (R13).
      if keeps(.markFence) { sequentialFence() }
      owed = unsafe change(
        run, offset: offset, UnsafeRawBufferPointer(rebasing: bytes[..<written]), isClaimed: true, as: standing)
    }
    engine.dirtyBudget.giveBack(run.unowedPages - before - owed)
    forEachHead(run) { pool.table[$0].thaw(to: 1) }
    let calls = letGoLocked(claim)
    index.unlock()
    for call in calls { call() }
    if let refusal { throw error(.write, range, written > 0 ? .partlyWritten(written, refusal) : .store(refusal)) }
    return true
  }

  /// Freezes the counts of the folios of a run, so that none of them is lent.
  /// - Returns: false, having frozen none, if one is lent already.
  private func freeze(_ run: SlotRun) -> Bool {
    guard keeps(.loansRespected) else { return true }
    var frozen = 0
    var isLent = false
    forEachHead(run) { head in
      if isLent { return }
      if pool.table[head].freeze(expecting: 1) { frozen += 1 } else { isLent = true }
    }
    guard isLent else { return true }
    forEachHead(run) { head in
      if frozen > 0 { pool.table[head].thaw(to: 1) }
      frozen -= 1
    }
    return false
  }

  @inline(__always)
  private func forEachHead(_ run: SlotRun, _ body: (UInt64) -> Void) {
    var last: UInt64?
    forEach(run) { location, _, _ in
      let head = location.entry.headFrame(shift: pool.frameShift)
      if head != last { body(head) }
      last = head
    }
  }

  /// Marks what is about to be given to the store as if it had been. Returns by how many the pages that owe something have become more.
  private func markAll(_ run: SlotRun) -> Int {
    var more = 0
    forEach(run) { location, page, _ in more += mark(location, page: page, as: .written) }
    return more
  }

  @inline(__always)
  private func forEach(_ run: SlotRun, _ body: (PageIndex.Location, UInt64, Int) -> Void) {
    let shift = run.first.shift
    for number in 0..<run.count {
      let slot = run.slot(number)
      let location = PageIndex.Location(slot: slot, entry: Entry(word: slot.loadRelaxed()), shift: shift)
      body(location, run.firstPage &+ UInt64(number) &<< shift, number)
    }
  }

  /// The slots of a range, if they can be changed in place now. Expects the index lock held.
  private func slotRun(offset: UInt64, count: UInt64, mode: RangeTable.Mode) -> SlotRun? {
    let length = words.length.loadRelaxed()
    guard unsafe !isClosing, offset < length, count <= length - offset,
      let first = PageIndex.locateCovered(root: words.root, slotMask: words.slotMask, key: offset)
    else { return nil }
    let shift = first.shift
    let more = (offset + count - 1) >> shift - offset >> shift
    guard offset >> shift & words.slotMask + more <= words.slotMask else { return nil }
    let firstPage = offset >> frameShift
    var (firstClaimed, lastClaimed) = (firstPage & ~(1 << (shift - frameShift) - 1), (offset + count - 1) >> frameShift)
    if mode == .changingStore {
      let claimed = foliosAround(firstClaimed...lastClaimed)
      (firstClaimed, lastClaimed) = (claimed.lowerBound, claimed.upperBound)
    }
    if unsafe !ranges.isEmpty, unsafe ranges.isBlocked(first: firstClaimed, last: lastClaimed, mode: mode) {
      return nil
    }
    if unsafe !fills.isEmpty, unsafe fills.first(from: firstClaimed, through: lastClaimed) != nil {
      return nil
    }
    // By page number from here on, as the index counts.
    let location = PageIndex.Location(slot: first.slot, entry: first.entry, shift: shift - frameShift)
    let owesAny = unsafe durability.pages > 0
    var run = SlotRun(
      first: location, count: Int(more) + 1, firstPage: firstPage & ~(1 << location.shift - 1), unowedPages: 0)
    var unowed = 0
    var isFit = true
    forEach(run) { location, page, _ in
      guard location.entry.isStable, index.successor(of: location.entry) != nil, !isBorrowed(location.entry) else {
        isFit = false
        return
      }
      let isMarked =
        owesAny && (mode == .changingCache ? index.isMarkedDirty(location, page: page) : isOwed(location, page: page))
      if !isMarked { unowed += 1 << Int(location.shift) }
    }
    guard isFit else { return nil }
    run = SlotRun(first: location, count: run.count, firstPage: run.firstPage, unowedPages: unowed)
    return run
  }

  /// Copies and publishes what has been marked. Expects the index lock held, since the slots were found or with the pages claimed. A long copy is made without it, with the
  /// pages claimed.
  /// - Parameter isClaimed: the caller has claimed the pages.
  /// - Returns: by how many the pages that owe something have become more.
  private func change(
    _ run: SlotRun, offset: UInt64, _ bytes: UnsafeRawBufferPointer, isClaimed: Bool,
    as standing: Durability.Standing
  ) -> Int {
    guard bytes.count > FileCore.mostWithLock else {
      unsafe copy(bytes, offset: offset, into: run)
      return publish(run, as: standing)
    }
    // Nothing is in the way, so this does not wait: what is marked must not.
    let own =
      isClaimed ? nil : claimLocked(run.firstPage...(offset + UInt64(bytes.count) - 1) >> frameShift, .changingCache)
    index.unlock()
    unsafe copy(bytes, offset: offset, into: run)
    index.lock()
    let owed = publish(run, as: standing)
    guard let own else { return owed }
    let calls = letGoLocked(own)
    guard !calls.isEmpty else { return owed }
    index.unlock()
    for call in calls { call() }
    index.lock()
    return owed
  }

  /// Marks the slots of a run.
  /// - Returns: false, having marked none, if one is lent.
  private func markUnlessLent(_ run: SlotRun) -> Bool {
    forEach(run) { location, _, number in if keeps(.marksOnAll) || number == 0 { mark(location) } }
    // Keeps the marks before the bytes (R13), and before the looks at the counts. A borrower counts, then looks at the entry; this marks, then looks at the count.
    // Sequentially consistent, both: one of them sees the other.
    if keeps(.markFence) { sequentialFence() }
    var isLent = false
    forEach(run) { location, _, _ in if isBorrowed(location.entry) { isLent = true } }
    guard isLent else { return true }
    forEach(run) { location, _, _ in
      // Relaxed: nothing has changed since the fence, and the fence has released what a word that names a frame must.
      location.slot.storeRelaxed(location.entry.clearing(Entry.changingBit).word)
    }
    return false
  }

  private func copy(_ bytes: UnsafeRawBufferPointer, offset: UInt64, into run: SlotRun) {
    let byteShift = run.first.shift + frameShift
    let start = run.firstPage << frameShift
    let end = offset + UInt64(bytes.count)
    // Safe: the bytes are not none, and the pieces lie inside them and inside what the slots name.
    let source = unsafe bytes.baseAddress.unsafelyUnwrapped
    forEach(run) { location, _, number in
      let slotStart = start + UInt64(number) << byteShift
      let low = max(slotStart, offset)
      let high = min(slotStart + 1 << byteShift, end)
      if low < high {
        unsafe racyStore(
          to: address(of: location.entry) + Int(low - slotStart), from: source + Int(low - offset),
          count: Int(high - low))
      }
    }
  }

  private func publish(_ run: SlotRun, as standing: Durability.Standing) -> Int {
    var owed = 0
    forEach(run) { location, page, _ in
      guard let published = successor(of: location.entry, mayWrap: false) else {
        preconditionFailure("it was looked for with the lock held, and nobody else changes what is claimed")
      }
      owed += publish(published, in: location, page: page, as: standing)
    }
    noteChangeLocked()
    return owed
  }
}
