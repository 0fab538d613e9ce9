import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Makes all of the file durable as it is now, or later.
  /// - Throws: `CacheError` of the operation sync. What a store refused has been noted for every handle: `report` tells it.
  func makeDurable(dataOnly: Bool, depth: Int = 0) throws(CacheError) {
    guard depth < FileCore.longestChain else { throw error(.sync, nil, .orderingCycle) }
    try withStore(.sync) { () throws(CacheError) in
      // All that has returned by now is in the cache, or in the store.
      let target = index.withLock { unsafe debt.changes }
      while true {
        let points = try makeDurableOnce(dataOnly: dataOnly, target: target)
        guard let points else { return }
        // What does not wait is durable; so what waits for that may go, here and elsewhere. Of each file the furthest is enough.
        var files: [UInt64: FileCore] = [:]
        for point in points { files[point.file.number] = point.file }
        for file in files.values { try file.makeDurable(dataOnly: true, depth: depth + 1) }
      }
    }
  }

  /// Files that may wait for each other in a row, before that is taken for a circle.
  private static var longestChain: Int { 64 }

  /// Runs a body that uses the store without a claim: the last close waits for it.
  private func withStore<Result>(
    _ operation: CacheError.Operation, _ body: () throws(CacheError) -> Result
  ) throws(CacheError) -> Result {
    let isOpen = index.withLock { () -> Bool in
      // A job of the background has been counted before.
      guard unsafe !isClosing || debt.hasJob else { return false }
      unsafe users += 1
      return true
    }
    guard isOpen else { throw error(operation, nil, .closed) }
    defer {
      index.withLock {
        unsafe users -= 1
        if unsafe isClosing { index.broadcast() }
      }
    }
    return try body()
  }

  /// Writes back and flushes what is not held back.
  /// - Returns: nil if all up to the target is durable; else the points that are waited for.
  private func makeDurableOnce(dataOnly: Bool, target: UInt64) throws(CacheError) -> [DurabilityPoint]? {
    let isSettled = index.withLock {
      unsafe debt.pages == 0 && storeState.changes == storeState.durableChanges && storeState.size >= length
    }
    if isSettled, dataOnly {
      index.withLock { reachLocked(target) }
      return nil
    }
    let isHeldBack: Bool
    do throws(StoreError) {
      isHeldBack = try noticingFailures { () throws(StoreError) in
        checkOwner()
        let isHeldBack = try writeBack(0...index.geometry.maximumPage)
        awaitWriteBacks()
        if !isHeldBack { try extendStoreInTurn() }
        try flush(dataOnly: dataOnly)
        return isHeldBack
      }
    } catch {
      throw self.error(.sync, error.range, .store(error))
    }
    return index.withLock {
      guard isHeldBack else {
        reachLocked(target)
        return nil
      }
      let since = unsafe holdBacks.values.map(\.since).min() ?? target
      reachLocked(min(target, since))
      return unsafe holdBacks.values.flatMap(\.points).filter { !$0.isReached }
    }
  }

  /// Flushes the store when nobody else uses the file any more. Returns whether all is durable.
  func flushForClosing() -> Bool {
    if index.withLock({ unsafe debt.dirtyPages > 0 }) { return false }
    do throws(StoreError) {
      try flush(dataOnly: true)
      return true
    } catch { return false }
  }

  /// Gives the store all that is dirty, without flushing it.
  func writeBackForClosing() throws(CacheError) {
    while try withStore(.close, { () throws(CacheError) in try writeBackOnce() }) { try makeDurable(dataOnly: true) }
  }

  /// - Returns: whether something is held back.
  private func writeBackOnce() throws(CacheError) -> Bool {
    let isQuiet = index.withLock { unsafe debt.pages == 0 && ranges.isEmpty && storeState.size >= length }
    if isQuiet { return false }
    do throws(StoreError) {
      return try noticingFailures { () throws(StoreError) in
        let isHeldBack = try writeBack(0...index.geometry.maximumPage)
        awaitWriteBacks()
        if !isHeldBack { try extendStoreInTurn() }
        return isHeldBack
      }
    } catch {
      throw self.error(.close, error.range, .store(error))
    }
  }

  /// Makes some pages durable, as they are now or later; what else the store has been given is covered as well.
  func makeDurable(pages: ClosedRange<UInt64>) throws(CacheError) {
    let isHeldBack = try withStore(.flush) { () throws(CacheError) in try makeDurableOnce(pages: pages) }
    // Bytes that are held back take the whole file's way.
    if isHeldBack { try makeDurable(dataOnly: true) }
  }

  private func makeDurableOnce(pages: ClosedRange<UInt64>) throws(CacheError) -> Bool {
    do throws(StoreError) {
      return try noticingFailures { () throws(StoreError) in
        checkOwner()
        let isHeldBack = try writeBack(slotsAround(pages))
        awaitWriteBacks()
        try flush(dataOnly: true)
        return isHeldBack
      }
    } catch {
      throw self.error(.flush, error.range, .store(error))
    }
  }

  /// Takes something to the store, and fails as well if what somebody else took there meanwhile has failed: that may have lost what this took there.
  func noticingFailures<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
    let before = index.withLock { unsafe failures.count }
    let result = try body()
    if let failure = index.withLock({ unsafe failures.since(before).failures.last }) { throw failure }
    return result
  }

  /// Notes how far the file is durable. Expects the index lock held.
  private func reachLocked(_ change: UInt64) {
    guard unsafe change > debt.durableChanges else { return }
    unsafe debt.durableChanges = change
    // Release pairs with the acquire of `DurabilityPoint.isReached`: the store has it by then.
    durableWord.storeRelease(change)
  }

  /// Makes durable what the store has been given until now: sees to it that a flush succeeds which began after that. One flush at a time; whoever comes meanwhile waits for one that covers
  /// it, and begins it if nobody else does.
  /// - Throws: the failure of the flush that this call made, which is noted.
  func flush(dataOnly: Bool) throws(StoreError) {
    index.lock()
    let target = unsafe storeState.changes
    while true {
      if unsafe storeState.durableChanges >= target, unsafe dataOnly || debt.fullFlushes >= target {
        index.unlock()
        return
      }
      if unsafe !debt.isFlushing { break }
      index.wait()
    }
    let covered = unsafe storeState.changes
    let oldMark = unsafe debt.writtenMark
    unsafe debt.isFlushing = true
    // From here on, what is given to the store belongs to the next flush.
    unsafe debt.epoch += 1
    unsafe debt.writtenSince = nil
    index.unlock()
    let failure = flushStore(dataOnly: dataOnly)
    domain.record().counter(failure == nil ? Counter.flushes : Counter.failedFlushes).addAsOnlyWriter(1)
    if failure == nil { clear(oldMark) }
    index.lock()
    if let failure {
      // Of what was given to the store since the last flush that succeeded, nobody knows what it still has (B6): all of it is dirty again.
      unsafe failures.add(failure)
      if keeps(.failedFlushDirties) { makeDirtyAgain() }
    } else {
      unsafe storeState.durableChanges = max(storeState.durableChanges, covered)
      unsafe storeState.changedSince = storeState.changes == covered ? nil : monotonicNanoseconds()
      if !dataOnly { unsafe debt.fullFlushes = max(debt.fullFlushes, covered) }
    }
    unsafe debt.isFlushing = false
    index.broadcast()
    index.unlock()
    if let failure { throw failure }
    learnStamp(ifUnchangedSince: covered)
  }

  private func flushStore(dataOnly: Bool) -> StoreError? {
    do throws(StoreError) {
      try store.flush(dataOnly: dataOnly)
      return nil
    } catch {
      return error
    }
  }

  /// What bore a mark is durable. In steps, so that nobody waits long for the lock.
  private func clear(_ mark: Mark) {
    var page: UInt64 = 0
    let last = index.geometry.maximumPage
    var isDone = false
    while !isDone {
      index.withLock {
        var freed = 0
        for _ in 0..<512 {
          guard page <= last, let found = index.next(from: page, through: last, marked: mark) else {
            isDone = true
            break
          }
          page = found.lastPage + 1
          // What is on its way to the store was not covered; its mark is put right when it has arrived.
          if unsafe transfers.covers(found.page...found.lastPage) { continue }
          freed -= changeMarks(found.location, page: found.page, remove: MarkSet(mark))
        }
        engine.dirtyBudget.giveBack(freed)
        if freed > 0 { index.broadcast() }
      }
    }
  }

  /// Everything written and not known to be durable is dirty. Expects the index lock held.
  private func makeDirtyAgain() {
    for mark in [Mark.writtenInEvenEpoch, .writtenInOddEpoch] {
      var page: UInt64 = 0
      let last = index.geometry.maximumPage
      while page <= last, let found = index.next(from: page, through: last, marked: mark) {
        page = found.lastPage + 1
        _ = markDirty(found.location, page: found.page)
        changeMarks(found.location, page: found.page, remove: MarkSet(mark))
      }
    }
  }

  /// After a flush, with nothing under way, the store's stamp is our own.
  private func learnStamp(ifUnchangedSince changes: UInt64) {
    guard ownership == .exclusive else { return }
    func isQuiet() -> Bool { unsafe storeState.changes == changes && !isBeingChanged && !storeState.isChangedByOthers }
    guard index.withLock({ isQuiet() }), let status = try? store.status() else { return }
    index.withLock {
      if isQuiet() { unsafe storeState.stamp = status.changeStamp }
    }
  }

  /// Makes the store as long as the file, if a hole at its end has kept it from that.
  private func extendStoreInTurn() throws(StoreError) {
    guard index.withLock({ unsafe storeState.size < length }) else { return }
    let claim = self.claim(0...index.geometry.maximumPage, .writingBack)
    defer { letGo(claim) }
    // Somebody may have made the end of the file dirty meanwhile; the next write-back does not mind.
    do throws(StoreError) { try extendStore() } catch {
      index.withLock { unsafe failures.add(error) }
      throw error
    }
  }

  /// Waits until whatever is on its way to the store now has arrived, or has failed.
  func awaitWriteBacks() {
    index.withLock {
      let last = unsafe transfers.last
      while unsafe keeps(.transfersAwaited) && transfers.isAnyLeft(upTo: last) {
        unsafe waitingForTransfers += 1
        index.wait()
        unsafe waitingForTransfers -= 1
      }
    }
  }

  /// Notices what others have done to the store, before it is written to (P10). It is noted for every handle; it is no reason to keep from the store what it
  /// should have.
  func checkOwner() {
    guard ownership == .exclusive else { return }
    let before = index.withLock { unsafe isBeingChanged ? nil : (changesBegun, storeState.changes) }
    guard let status = try? store.status() else { return }
    index.withLock {
      if status.isReplaced, unsafe !storeState.isReplacementReported {
        unsafe storeState.isReplacementReported = true
        unsafe failures.add(StoreError(operation: .write, store: name, cause: .replaced))
      }
      guard let before, unsafe before == (changesBegun, storeState.changes), !isBeingChanged,
        unsafe storeState.isChangedByOthers || storeState.differs(from: status.version)
      else { return }
      unsafe storeState.isChangedByOthers = true
      unsafe failures.add(
        StoreError(
          operation: .write, store: name,
          cause: .changedByOthers(expectedSize: storeState.size, actualSize: status.size)))
    }
  }
}
