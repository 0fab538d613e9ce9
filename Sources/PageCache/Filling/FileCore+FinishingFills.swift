import BackingStores
import Folios
import PageIndex
import Primitives

extension FileCore {
  /// Takes what the store delivered into the index, or throws it away. Any thread.
  /// - Parameters:
  ///   - quiet: `quietChanges` when the fill was planned.
  ///   - holding: gets a reference to each folio; nil if nobody wants one.
  func finish(
    _ fill: Fill, _ folios: ShortList<FillFolio>, _ range: Range<Int64>, _ result: Result<Int, StoreError>,
    _ nodes: consuming NodeReserve, quiet: UInt64?, purpose: FillPurpose, operation: CacheError.Operation,
    holding: ((UInt64) -> Void)?
  ) {
    engine.fillsAtStores.add(-1)
    if let failure = failure(ofAnswer: result, range) {
      nodes.giveBack()
      return fail(fill, folios, range, failure, operation: operation)
    }
    var owner = lookAtOwner(since: quiet)
    prepare(folios, end: range.upperBound, references: holding == nil ? 1 : 2)
    var isStored = false
    var calls: [@Sendable () -> Void] = []
    // Twice at most for each of two reasons: the owner is looked at once more, and nodes are counted for the worst case then.
    while true {
      // All in one hold of the lock: what the owner's stamp is compared with is what is known when the entries are stored.
      let step = index.withLock { () -> FinishStep in
        switch ownerVerdict(owner) {
        case .changed(let expected, let actual): return .changed(expectedSize: expected, actualSize: actual)
        case .unclear: return .owner
        case .unchanged: break
        }
        // The tree may have lost nodes since they were counted, or have grown.
        guard nodes.count >= index.nodesToStore(from: fill.first, through: fill.last) else { return .nodes }
        store(folios, of: fill, reserve: &nodes, purpose: purpose)
        isStored = true
        calls = removeLocked(fill)
        return .over
      }
      switch step {
      case .over: break
      case .changed(let expected, let actual):
        nodes.giveBack()
        let failure = changeError(expected, actual, operation: .read, range)
        return fail(fill, folios, range, failure, operation: operation)
      case .owner:
        if let failure = changeByOthers(operation: .read, range: range) {
          nodes.giveBack()
          return fail(fill, folios, range, failure, operation: operation)
        }
        owner = .done
        continue
      case .nodes:
        // Those that are to be had without making room for them: this may be a thread of the store's. Else whoever waits tries again.
        if engine.fill(&nodes, to: index.nodesNeeded(from: fill.first, through: fill.last), mayEvict: false) {
          continue
        }
        calls = index.withLock { removeLocked(fill) }
      }
      break
    }
    nodes.giveBack()
    domain.record().counter(Counter.filledBytes).addAsOnlyWriter(UInt64(range.count))
    tenant?.filledBytes.add(range.count)
    if isStored { if let holding { for folio in folios { holding(folio.frame) } } } else { drop(folios) }
    fill.finish(.success(()))
    for call in calls { call() }
  }

  private func fail(
    _ fill: Fill, _ folios: ShortList<FillFolio>, _ range: Range<Int64>, _ failure: StoreError,
    operation: CacheError.Operation
  ) {
    // Nobody has seen these frames: they need no grace period.
    drop(folios)
    domain.record().counter(Counter.failedFills).addAsOnlyWriter(1)
    conclude(fill, .failure(error(operation, range, .store(failure))))
  }

  /// Makes folios of frames that the store has filled.
  /// - Parameter references: one for the index, and one for the caller if he wants it.
  private func prepare(_ folios: ShortList<FillFolio>, end: Int64, references: UInt64) {
    if keeps(.tailZeroed) { zeroTail(folios, end: end) }
    for folio in folios {
      let metadata = pool.table[folio.frame]
      metadata.owner.storeRelaxed(number)
      metadata.page.storeRelaxed(folio.page)
      metadata.setState(.cached, order: folio.order)
      metadata.thaw(to: references)
    }
  }

  private enum FinishStep {
    case over
    /// Somebody else has changed the store.
    case changed(expectedSize: Int64, actualSize: Int64)
    /// Whether somebody else has changed the store has to be found out.
    case owner
    /// More nodes are needed.
    case nodes
  }

  /// Stores the entries of what was brought. Expects the index lock held.
  private func store(_ folios: ShortList<FillFolio>, of fill: Fill, reserve: inout NodeReserve, purpose: FillPurpose) {
    for folio in folios {
      let old = index.locate(folio.page)?.entry
      index.store(folio.page, order: folio.order, reserve: &reserve) { page in
        entry(frame: folio.frame + (page - folio.page), order: folio.order, flags: Entry.upToDateBit)
      }
      engine.admit(folio.frame, inPlaceOf: old, for: purpose)
      tenant?.residentFrames.add(1 << folio.order)
    }
    if let mark = fill.mark, let location = index.locate(mark) { index.setReadAheadMark(location) }
  }

  /// Frees the frames of folios that no index has named.
  private func drop(_ folios: ShortList<FillFolio>) {
    for folio in folios {
      // Not where it is frozen still.
      let metadata = pool.table[folio.frame]
      if !metadata.freeze(expecting: 2) { _ = metadata.freeze(expecting: 1) }
      pool.free(folio.frame)
    }
  }

  /// Answers of less than was asked for, in the middle of the object, after which a store is asked once more.
  static var shortAnswersInARow: Int { 2 }

  /// What is wrong with what the store delivered, and with the store.
  func failure(of result: Result<Int, StoreError>, _ range: Range<Int64>) -> StoreError? {
    failure(ofAnswer: result, range) ?? changeByOthers(operation: .read, range: range)
  }

  /// What is wrong with what the store delivered.
  private func failure(ofAnswer result: Result<Int, StoreError>, _ range: Range<Int64>) -> StoreError? {
    switch result {
    case .failure(let error): return error
    case .success(let count) where count < range.count:
      return StoreError(
        operation: .read, store: name, range: range,
        cause: .shrank(expected: range.upperBound, actual: range.lowerBound + Int64(max(0, count))))
    case .success: return nil
    }
  }

  /// Zeroes what lies past the end of the file in the last folio (P4, B3). The store may have delivered something there: the file may
  /// have grown since.
  private func zeroTail(_ folios: ShortList<FillFolio>, end: Int64) {
    for folio in folios {
      let count = pool.frameByteCount << folio.order
      let start = Int64(folio.page << UInt64(pool.frameShift))
      let valid = Int(max(0, min(Int64(count), end - start)))
      if valid < count { unsafe zeroBytes(pool.address(of: folio.frame) + valid, count: count - valid) }
    }
  }

  /// Takes a fill out of the table and announces its outcome.
  func conclude(_ fill: Fill, _ outcome: Result<Void, CacheError>) {
    let calls = index.withLock { removeLocked(fill) }
    fill.finish(outcome)
    for call in calls { call() }
  }

  /// Takes a fill out of the table. Expects the index lock held.
  /// - Returns: whom to call once the lock is free, and the outcome is announced.
  private func removeLocked(_ fill: Fill) -> [@Sendable () -> Void] {
    unsafe fills.remove(fill)
    if unsafe isClosing { index.broadcast() }
    return grantLocked()
  }
}
