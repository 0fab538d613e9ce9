import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Makes durable what the store has been given until now: sees to it that a flush succeeds which began after that. One flush at a time; a call that comes meanwhile waits
  /// for one that covers it, and begins it if no other call does.
  /// - Throws: the failure of the flush that this call made, which is noted.
  func flush(dataOnly: Bool) throws(StoreError) {
    index.lock()
    let target = unsafe durability.storeChanges
    waiting: while true {
      switch unsafe durability.flushNeed(upTo: target, dataOnly: dataOnly) {
      case .none:
        index.unlock()
        return
      case .wait: index.wait()
      case .begin: break waiting
      }
    }
    let flush = unsafe durability.beginFlush()
    index.unlock()
    do throws(StoreError) {
      try store.flush(dataOnly: dataOnly)
    } catch {
      domain.record().counter(Counter.failedFlushes).addAsOnlyWriter(1)
      index.withLock {
        unsafe durability.failFlush(flush, error)
        if keeps(.failedFlushDirties) { makeDirtyAgain() }
        index.broadcast()
      }
      throw error
    }
    domain.record().counter(Counter.flushes).addAsOnlyWriter(1)
    clear(flush.mark)
    index.withLock {
      unsafe durability.endFlush(flush, dataOnly: dataOnly)
      unsafe durability.changedSince = durability.storeChanges == flush.covered ? nil : monotonicNanoseconds()
      index.broadcast()
    }
    learnStamp(ifUnchangedSince: flush.covered)
  }

  /// What bore a mark is durable. In steps, so that the lock is never held for long.
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
          // T2 is giving this page to the store while T1, this flush, ends: the flush may not have covered it. So it is
          // marked for the next flush, now and not when T2 is done: if the store refuses the page, T2 marks nothing, and
          // no flush would ever take this mark off.
          if unsafe durability.isInTransfer(found.page...found.lastPage) {
            freed -= self.mark(found.location, page: found.page, as: .written)
            continue
          }
          freed -= changeMarks(found.location, page: found.page, .init(remove: mark.bit))
        }
        engine.dirtyBudget.giveBack(freed)
        if freed > 0 { index.broadcast() }
      }
    }
  }

  /// Everything written and not known to be durable is dirty. Expects the index lock held.
  private func makeDirtyAgain() {
    for written in [Mark.writtenInEvenEpoch, .writtenInOddEpoch] {
      var page: UInt64 = 0
      let last = index.geometry.maximumPage
      while page <= last, let found = index.next(from: page, through: last, marked: written) {
        page = found.lastPage + 1
        if unsafe durability.dirtySince == nil { unsafe durability.dirtySince = monotonicNanoseconds() }
        changeMarks(found.location, page: found.page, Durability.marksWhenLost)
        waitForMore(found.page...found.lastPage)
      }
    }
  }

  /// After a flush, with nothing under way, the store's stamp is our own.
  private func learnStamp(ifUnchangedSince changes: UInt64) {
    guard ownership == .exclusive else { return }
    func isQuiet() -> Bool {
      unsafe durability.storeChanges == changes && !isBeingChanged && !storeState.isChangedByOthers
    }
    guard let begun = index.withLock({ unsafe isQuiet() ? changesBegun : nil }), let status = try? store.status() else {
      return
    }
    index.withLock {
      // A change that was refused meanwhile may have left its time all the same.
      guard isQuiet(), unsafe changesBegun == begun else { return }
      unsafe storeState.stamp = status.changeStamp
      if unsafe storeState.mayBeLonger {
        unsafe storeState.mayBeLonger = false
        unsafe storeState.size = max(storeState.size, status.size)
      }
    }
  }

  /// Waits for all transfers that are under way now. `Durability.loss` tells whether one of them has failed.
  ///
  /// These are writes that go through to the store, and write-backs by other calls of pages that this call's last pass
  /// has not gone over. For those that it has gone over, the pass has waited.
  func awaitTransfers() {
    index.withLock {
      let last = unsafe durability.newestTransfer
      while unsafe durability.isTransferLeft(upTo: last) {
        unsafe waitingForTransfers += 1
        index.wait()
        unsafe waitingForTransfers -= 1
      }
    }
  }

  /// Ends a transfer. Expects the index lock held.
  /// - Returns: how pages stand that the store has accepted.
  func endTransferLocked(_ transfer: Durability.Transfer) -> Durability.Standing {
    let standing = unsafe durability.endTransfer(transfer)
    if unsafe waitingForTransfers > 0 { index.broadcast() }
    return standing
  }

  /// Makes the store as long as the file, if a hole at its end has kept it from that, and if it ends before a byte.
  func extendStoreInTurn(to end: Int64 = .max) throws(StoreError) {
    guard index.withLock({ unsafe storeState.size < min(holdBacks.allowedLength(length), end) }) else { return }
    let claim = self.claim(0...index.geometry.maximumPage, .writingBack)
    defer { letGo(claim) }
    // Somebody may have made the end of the file dirty meanwhile; the next write-back does not mind.
    do throws(StoreError) { try extendStore() } catch {
      index.withLock {
        unsafe durability.noteLoss(error)
        unsafe durability.failures.add(error)
      }
      throw error
    }
  }

  /// Makes the store as long as the file, but for what is held back. With a claim that reaches to the end, so that no other call changes the store's size
  /// meanwhile.
  func extendStore() throws(StoreError) {
    let (size, length) = index.withLock { unsafe (storeState.size, holdBacks.allowedLength(self.length)) }
    guard size < length else { return }
    try store.resize(to: length)
    index.withLock {
      unsafe storeState.size = max(storeState.size, length)
      noteStoreChange()
      unsafe storeState.mayHaveHoles = true
    }
  }

  /// Notices what others have done to the store, before it is written to (P10). It is noted for every handle; it is no reason to keep from the store what it
  /// should have.
  func checkOwner() {
    guard ownership == .exclusive else { return }
    let before = index.withLock { unsafe isBeingChanged ? nil : (changesBegun, durability.storeChanges) }
    guard let status = try? store.status() else { return }
    index.withLock {
      if status.isReplaced, unsafe !storeState.isReplacementReported {
        unsafe storeState.isReplacementReported = true
        unsafe durability.failures.add(StoreError(operation: .write, store: name, cause: .replaced))
      }
      guard let before, unsafe before == (changesBegun, durability.storeChanges), !isBeingChanged,
        unsafe storeState.isChangedByOthers || storeState.differs(from: status.version)
      else { return }
      unsafe storeState.isChangedByOthers = true
      unsafe durability.failures.add(
        StoreError(
          operation: .write, store: name,
          cause: .changedByOthers(expectedSize: storeState.size, actualSize: status.size)))
    }
  }
}
