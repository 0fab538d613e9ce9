import BackingStores
import Folios
import PageIndex
import Primitives

extension FileCore {
  /// Sees to it that every page of the range is filled or being filled, starting what nobody has started. The caller has claimed the pages, and whole
  /// folios around them, for reading or for more.
  ///
  /// Adjacent missing pages make one fill, and one call of the store. What lies in a hole gets an entry that says so, and nothing to wait for.
  /// - Parameters:
  ///   - holding: called with the head frame of each folio that this call has filled, with a reference taken for the caller, before
  ///     the fill is announced.
  /// - Returns: fills to wait for, some of which may be over; none if all pages have arrived meanwhile.
  /// - Throws: `.closed`; for a hole, what stands in the way of learning of it; with purpose `.prefetch`, `.noFrames` where no frames are free.
  func fill(
    _ pages: ClosedRange<UInt64>, execution: StoreExecution, purpose: FillPurpose = .demand,
    operation: CacheError.Operation, holding: @escaping @Sendable (UInt64) -> Void
  ) throws(CacheError) -> [Fill] {
    guard let pages = try learnHole(pages, purpose: purpose) else { return [] }
    var awaited: [Fill] = []
    var started: [(Fill, [PlannedFolio])] = []
    let closing = index.withLock {
      if unsafe isClosing { return true }
      var page = pages.lowerBound
      // What the file does not have, or its store not yet, is no matter of a fill.
      let end = unsafe pageCount(min(length, storeState.size))
      while page <= pages.upperBound, page < end {
        if let other = unsafe fills.first(from: page, through: page) {
          awaited.append(other)
          page = other.last + 1
        } else if let last = lastPresent(from: page, through: pages.upperBound) {
          page = last + 1
        } else {
          let plan = planFill(
            from: page, through: min(pages.upperBound, end - 1), filePages: end, isAhead: purpose.isAhead)
          let fill = Fill(first: plan[0].page, last: plan[plan.count - 1].lastPage, mark: purpose.mark)
          unsafe fills.insert(fill)
          started.append((fill, plan))
          awaited.append(fill)
          page = fill.last + 1
        }
      }
      return false
    }
    if closing { throw error(operation, byteRange(from: pages.lowerBound, through: pages.upperBound), .closed) }
    let record = engine.domain.record()
    record.counter(Counter.joinedFills).addAsOnlyWriter(UInt64(awaited.count - started.count))
    var hasFrames = true
    for (fill, plan) in started {
      if !perform(fill, plan, execution: execution, purpose: purpose, operation: operation, holding: holding) {
        hasFrames = false
      }
    }
    guard hasFrames else { throw noFrames(operation, byteRange(from: pages.lowerBound, through: pages.upperBound)) }
    return awaited
  }

  /// A folio that a fill wants: where, and how large.
  struct PlannedFolio {
    let page: UInt64
    let order: Int
    var lastPage: UInt64 { page + (1 << UInt64(order) - 1) }
  }

  /// Last page of the run of pages from `first` on that the index has, or nil if it lacks the first.
  func lastPresent(from first: UInt64, through last: UInt64) -> UInt64? {
    engine.domain.read {
      var present: UInt64?
      var page = first
      while page <= last, let found = index.locate(page), found.entry.isStable || found.entry.isHole {
        let end = page | (1 << found.shift - 1)
        present = end
        page = end + 1
      }
      return present
    }
  }

  /// Chooses folios for a run of missing pages. Expects the index lock held; the first page is missing.
  private func planFill(
    from first: UInt64, through last: UInt64, filePages: UInt64, isAhead: Bool
  ) -> [PlannedFolio] {
    let wanted = isAhead ? orders.upperBound : preferredOrder(first: first)
    var plan: [PlannedFolio] = []
    var page = first
    while page <= last {
      if page > first,
        unsafe fills.first(from: page, through: page) != nil || lastPresent(from: page, through: page) != nil
      {
        break
      }
      var order = wanted
      var start = page
      while order > 0 {
        start = page & ~(1 << UInt64(order) - 1)
        let end = start + (1 << UInt64(order) - 1)
        let isClear =
          end < filePages && (!isAhead || end <= last && start >= first)
          && start >= (plan.last.map { $0.lastPage + 1 } ?? 0)
          && (unsafe fills.first(from: start, through: end)) == nil
          && engine.domain.read { index.next(from: start, through: end) } == nil
        if isClear { break }
        order -= 1
      }
      if order == 0 { start = page }
      plan.append(PlannedFolio(page: start, order: order))
      page = start + 1 << UInt64(order)
    }
    if !isAhead { words.lastMiss.storeRelaxed(page) }
    return plan
  }

  /// The configured lower order, or one that grows towards the upper one while misses follow one another.
  private func preferredOrder(first: UInt64) -> Int {
    let orders = orders
    guard orders.lowerBound < orders.upperBound, words.lastMiss.loadRelaxed() == first else { return orders.lowerBound }
    // Where a run arrived at is as aligned as its folios were large: each step doubles them.
    let reached = first == 0 ? 0 : first.trailingZeroBitCount
    return min(orders.upperBound, max(orders.lowerBound, min(reached, 8) + 1))
  }

  /// Gives a planned fill its frames and sends it to the store.
  /// - Returns: false if nobody is told that there were no frames, because nobody asked for these bytes.
  private func perform(
    _ fill: Fill, _ plan: [PlannedFolio], execution: StoreExecution, purpose: FillPurpose,
    operation: CacheError.Operation, holding: @escaping @Sendable (UInt64) -> Void
  ) -> Bool {
    engine.domain.record().counter(Counter.fills).addAsOnlyWriter(1)
    func refuse(_ error: CacheError) -> Bool {
      // A reader may have joined a fill that was not to make room for itself: he looks again, and makes it.
      conclude(fill, purpose.mayEvict ? .failure(error) : .success(()))
      return purpose.mayEvict
    }
    let folios: [FillFolio]
    do throws(CacheError) {
      folios = try allocateFolios(plan, mayEvict: purpose.mayEvict, operation: operation)
    } catch {
      return refuse(error)
    }
    // The worst case of nodes is in hand before the store is asked: what it delivers finds a place.
    let reserved = engine.reserveNodes(for: index, from: fill.first, through: fill.last, mayEvict: purpose.mayEvict)
    guard let nodes = reserved else {
      for folio in folios { engine.pool.free(folio.frame) }
      return refuse(noFrames(operation, byteRange(from: fill.first, through: fill.last)))
    }
    // Nobody makes the store shorter while the pages are claimed.
    let stored = index.withLock { unsafe storeState.size }
    let range = byteRange(from: fill.first, through: fill.last, length: min(length, stored))
    let request = unsafe StoreReadRequest(
      offset: range.lowerBound, segments: segments(of: folios), execution: execution)
    engine.fillsAtStores.add(1)
    let pending = PendingFill(
      file: self, fill: fill, folios: folios, range: range, nodes: nodes, purpose: purpose, operation: operation,
      holding: holding)
    store.read(request) { pending.complete($0) }
    return true
  }

  /// Frames for every planned folio, smaller ones where no large block is to be had.
  private func allocateFolios(
    _ plan: [PlannedFolio], mayEvict: Bool, operation: CacheError.Operation
  ) throws(CacheError) -> [FillFolio] {
    var folios: [FillFolio] = []
    var wanted = Array(plan.reversed())
    while let next = wanted.popLast() {
      if let frame = engine.allocateFrames(order: next.order, mayEvict: mayEvict, for: tenant) {
        folios.append(FillFolio(page: next.page, order: next.order, frame: frame))
      } else if next.order > 0 {
        let half = next.order - 1
        wanted.append(PlannedFolio(page: next.page + 1 << UInt64(half), order: half))
        wanted.append(PlannedFolio(page: next.page, order: half))
      } else {
        for folio in folios { engine.pool.free(folio.frame) }
        throw noFrames(operation, byteRange(from: next.page, through: next.page))
      }
    }
    return folios
  }

  /// The memory of the folios in file order, adjacent frames joined.
  private func segments(of folios: [FillFolio]) -> [UnsafeMutableRawBufferPointer] {
    var segments: [UnsafeMutableRawBufferPointer] = unsafe []
    for folio in folios {
      let address = unsafe engine.pool.address(of: folio.frame)
      let count = engine.pool.frameByteCount << folio.order
      if let last = unsafe segments.last, let start = last.baseAddress, unsafe start + last.count == address {
        unsafe segments[segments.count - 1] = UnsafeMutableRawBufferPointer(start: start, count: last.count + count)
      } else {
        unsafe segments.append(UnsafeMutableRawBufferPointer(start: address, count: count))
      }
    }
    return unsafe segments
  }

  /// Takes what the store delivered into the index, or throws it away. Any thread.
  func finish(
    _ fill: Fill, _ folios: [FillFolio], _ range: Range<Int64>, _ result: Result<Int, StoreError>,
    _ nodes: consuming NodeReserve, purpose: FillPurpose, operation: CacheError.Operation, holding: (UInt64) -> Void
  ) {
    engine.fillsAtStores.add(-1)
    let record = engine.domain.record()
    let failure = failure(of: result, range)
    if let failure {
      // Nobody has seen these frames: they need no grace period.
      for folio in folios { engine.pool.free(folio.frame) }
      nodes.giveBack()
      record.counter(Counter.failedFills).addAsOnlyWriter(1)
      conclude(fill, .failure(error(operation, range, .store(failure))))
      return
    }
    record.counter(Counter.filledBytes).addAsOnlyWriter(UInt64(range.count))
    tenant?.filledBytes.add(range.count)
    if keeps(.tailZeroed) { zeroTail(folios, end: range.upperBound) }
    for folio in folios {
      let metadata = engine.pool.table[folio.frame]
      metadata.owner.storeRelaxed(number)
      metadata.page.storeRelaxed(folio.page)
      metadata.setState(.cached, order: folio.order)
      // One reference for the index, one for the caller.
      metadata.thaw(to: 2)
    }
    let isStored = index.withLock {
      // The tree may have grown since the nodes were reserved: then whoever waits tries again.
      guard nodes.count >= index.nodesNeeded(from: fill.first, through: fill.last) else { return false }
      for folio in folios {
        let old = index.locate(folio.page)?.entry
        index.store(folio.page, order: folio.order, reserve: &nodes) { page in
          // Version 0: the frame has had a grace period since it last had any.
          .folio(
            arenaOffset: (folio.frame + (page - folio.page)) << UInt64(engine.pool.frameShift), order: folio.order,
            version: 0)
        }
        engine.admit(folio.frame, inPlaceOf: old, for: purpose)
        tenant?.residentFrames.add(1 << folio.order)
      }
      if let mark = fill.mark, let location = index.locate(mark) { index.setReadAheadMark(location) }
      return true
    }
    nodes.giveBack()
    if isStored {
      for folio in folios { holding(folio.frame) }
    } else {
      for folio in folios {
        _ = engine.pool.table[folio.frame].freeze(expecting: 2)
        engine.pool.free(folio.frame)
      }
    }
    conclude(fill, .success(()))
  }

  /// What is wrong with what the store delivered.
  func failure(of result: Result<Int, StoreError>, _ range: Range<Int64>) -> StoreError? {
    switch result {
    case .failure(let error): return error
    case .success(let count) where count < range.count:
      return StoreError(
        operation: .read, store: name, range: range,
        cause: .shrank(expected: range.upperBound, actual: range.lowerBound + Int64(max(0, count))))
    case .success:
      return changeByOthers(operation: .read, range: range)
    }
  }

  /// Zeroes what lies past the end of the file in the last folio (P4, B3). The store may have delivered something there: the file may
  /// have grown since.
  private func zeroTail(_ folios: [FillFolio], end: Int64) {
    for folio in folios {
      let count = engine.pool.frameByteCount << folio.order
      let start = Int64(folio.page << UInt64(engine.pool.frameShift))
      let valid = Int(max(0, min(Int64(count), end - start)))
      if valid < count { unsafe zeroBytes(engine.pool.address(of: folio.frame) + valid, count: count - valid) }
    }
  }

  private func conclude(_ fill: Fill, _ outcome: Result<Void, CacheError>) {
    let calls = index.withLock {
      unsafe fills.remove(fill)
      if unsafe isClosing { index.broadcast() }
      return grantLocked()
    }
    fill.finish(outcome)
    for call in calls { call() }
  }
}
