import Folios
import PageIndex
import Primitives

extension CachedFile {
  /// Writes into one cached slot, with `.writeBack`: the common case, under one lock.
  ///
  /// The lock is the file's. It is held across the copy, which is short, so nobody has to be kept out by a claim; whoever has one is respected.
  /// - Returns: false, having changed nothing, if it takes more than that.
  @inline(__always)
  func writeInPlace(offset: Int64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard isWritable, durability == .writeBack, bytes.count > 0, bytes.count <= FileCore.mostInPlace, offset >= 0,
      active.loadRelaxed() == keepsWords.words.word, !engine.isInForkedChild
    else { return false }
    return unsafe keepsWords.writeInPlace(offset: UInt64(offset), bytes)
  }
}

extension FileCore {
  /// Bytes that are copied with the lock held, at most.
  static var mostInPlace: Int { 4096 }

  /// As `CachedFile.writeInPlace`. The handle is open, or was a moment ago.
  func writeInPlace(offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    let count = UInt64(bytes.count)
    // Nothing may fault while the lock is held.
    unsafe makeResident(bytes)
    index.lock()
    defer { index.unlock() }
    let length = words.length.loadRelaxed()
    guard unsafe !isClosing, offset < length, count <= length - offset,
      let location = PageIndex.locateCovered(root: words.root, slotMask: words.slotMask, key: offset)
    else { return false }
    let entry = location.entry
    let slotByteCount = 1 << location.shift as UInt64
    let within = offset & (slotByteCount - 1)
    let page = offset >> frameShift
    guard entry.isStable, count <= slotByteCount - within,
      let published = successor(of: entry, mayWrap: false),
      unsafe ranges.isEmpty || !ranges.isBlocked(first: page, last: page, mode: .changingCache)
    else { return false }
    // By page number from here on, as the index counts.
    let pageLocation = PageIndex.Location(slot: location.slot, entry: entry, shift: location.shift - frameShift)
    let isOwed = unsafe debt.pages > 0 && index.isMarkedDirty(pageLocation, page: page)
    let pages = 1 << Int(pageLocation.shift)
    if !isOwed, unsafe !engine.dirtyBudget.take(pages, owned: debt.pages) { return false }
    // The fence keeps the mark before the look at the count, and before the bytes (R13); see `confirmMarks`. An exchange would not, on ARM.
    location.slot.storeRelaxed(entry.word | Entry.changingBit)
    sequentialFence()
    guard !isBorrowed(entry) else {
      location.slot.storeRelease(entry.word)
      if !isOwed { engine.dirtyBudget.giveBack(pages) }
      return false
    }
    // Safe: inside the slot, and inside the caller's bytes, which are not none.
    unsafe racyStore(
      to: address(of: entry) + Int(within), from: bytes.baseAddress.unsafelyUnwrapped, count: bytes.count)
    // Release pairs with the acquire of whoever finds the new word: the bytes come first.
    location.slot.storeRelease(published.word)
    if !isOwed {
      engine.dirtyBudget.giveBack(pages - markDirty(pageLocation, page: page))
      if unsafe !isWatched {
        unsafe isWatched = true
        engine.writeback.watch(self)
      }
    }
    unsafe debt.changes += 1
    return true
  }
}
