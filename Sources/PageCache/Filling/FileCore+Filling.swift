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
  ) throws(CacheError) -> ShortList<Fill> {
    var pages = pages
    var plans = FillPlans()
    let mustAsk = index.withLock {
      // The store is not asked once it may be closed. If it is not closing now, the caller's claim keeps it from being closed.
      plans.isClosing = unsafe isClosing
      if plans.isClosing { return false }
      if mayLieInHole(pages.lowerBound) { return true }
      planFills(pages, purpose: purpose, into: &plans)
      return false
    }
    if mustAsk {
      guard let rest = try learnHole(pages, purpose: purpose) else { return ShortList() }
      pages = rest
      index.withLock { planFills(rest, purpose: purpose, into: &plans) }
    }
    if plans.isClosing { throw error(operation, byteRange(from: pages.lowerBound, through: pages.upperBound), .closed) }
    let record = domain.record()
    record.counter(Counter.joinedFills).addAsOnlyWriter(UInt64(plans.awaited.count - plans.started.count))
    var hasFrames = true
    for plan in plans.started {
      let isTold = perform(
        plan, stored: plans.storedSize, quiet: plans.quietChanges, execution: execution, purpose: purpose,
        operation: operation, holding: holding)
      if !isTold { hasFrames = false }
    }
    guard hasFrames else { throw noFrames(operation, byteRange(from: pages.lowerBound, through: pages.upperBound)) }
    return plans.awaited
  }

  /// What one look at the file, with its lock held, says of pages that are missing.
  private struct FillPlans {
    var isClosing = false
    /// Fills that were under way, and those below, in the order of their pages.
    var awaited = ShortList<Fill>()
    /// Fills that are in the file's table now, and have to be performed.
    var started = ShortList<PlannedFill>()
    /// Bytes that the store has, at least, while the pages are claimed.
    var storedSize: Int64 = 0
    /// See `quietChanges`.
    var quietChanges: UInt64?
  }

  private struct PlannedFill {
    let fill: Fill
    let folios: ShortList<PlannedFolio>
    /// Index nodes to have in hand.
    let nodes: Int
  }

  /// Plans fills for what nobody brings yet, and puts them into the file's table. Expects the index lock held.
  private func planFills(_ pages: ClosedRange<UInt64>, purpose: FillPurpose, into plans: inout FillPlans) {
    plans.isClosing = unsafe isClosing
    if plans.isClosing { return }
    plans.storedSize = unsafe storeState.size
    plans.quietChanges = quietChanges
    var page = pages.lowerBound
    // What the file does not have, or its store not yet, is no matter of a fill.
    let end = pageCount(min(length, plans.storedSize))
    while page <= pages.upperBound, page < end {
      if let other = unsafe fills.first(from: page, through: page) {
        plans.awaited.append(other)
        page = other.last + 1
      } else if let last = lastPresent(from: page, through: pages.upperBound) {
        page = last + 1
      } else {
        let folios = planFill(
          from: page, through: min(pages.upperBound, end - 1), filePages: end, isAhead: purpose.isAhead)
        let fill = Fill(first: folios[0].page, last: folios[folios.count - 1].lastPage, mark: purpose.mark)
        unsafe fills.insert(fill)
        plans.awaited.append(fill)
        plans.started.append(
          PlannedFill(
            fill: fill, folios: folios, nodes: index.nodesToStore(from: fill.first, through: fill.last)))
        page = fill.last + 1
        if !purpose.isAhead { words.lastMiss.storeRelaxed(page) }
      }
    }
  }

  /// A folio that a fill wants: where, and how large.
  struct PlannedFolio {
    let page: UInt64
    let order: Int
    var lastPage: UInt64 { page + (1 << UInt64(order) - 1) }
  }

  /// Last page of the run of pages from `first` on that the index has, or nil if it lacks the first.
  func lastPresent(from first: UInt64, through last: UInt64) -> UInt64? {
    domain.read {
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
  func planFill(
    from first: UInt64, through last: UInt64, filePages: UInt64, isAhead: Bool
  ) -> ShortList<PlannedFolio> {
    let wanted = isAhead ? orders.upperBound : preferredOrder(first: first)
    var plan = ShortList<PlannedFolio>()
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
          && domain.read { index.next(from: start, through: end) } == nil
        if isClear { break }
        order -= 1
      }
      if order == 0 { start = page }
      plan.append(PlannedFolio(page: start, order: order))
      page = start + 1 << UInt64(order)
    }
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
  /// - Parameters:
  ///   - stored: bytes that the store has, at least. Nobody makes it shorter while the pages are claimed, and what it has got since then is zero where the
  ///     cache had nothing.
  ///   - quiet: `quietChanges` when the fill was planned.
  /// - Returns: false if nobody is told that there were no frames, because nobody asked for these bytes.
  private func perform(
    _ plan: PlannedFill, stored: Int64, quiet: UInt64?, execution: StoreExecution, purpose: FillPurpose,
    operation: CacheError.Operation, holding: @escaping @Sendable (UInt64) -> Void
  ) -> Bool {
    let fill = plan.fill
    domain.record().counter(Counter.fills).addAsOnlyWriter(1)
    func refuse(_ error: CacheError) -> Bool {
      // A reader may have joined a fill that was not to make room for itself: he looks again, and makes it.
      conclude(fill, purpose.mayEvict ? .failure(error) : .success(()))
      return purpose.mayEvict
    }
    let folios: ShortList<FillFolio>
    do throws(CacheError) {
      folios = try allocateFolios(plan.folios, mayEvict: purpose.mayEvict, operation: operation)
    } catch {
      return refuse(error)
    }
    // The nodes that are missing are in hand before the store is asked: what it delivers finds a place.
    var nodes = NodeReserve(for: index)
    guard engine.fill(&nodes, to: plan.nodes, mayEvict: purpose.mayEvict) else {
      for folio in folios { pool.free(folio.frame) }
      return refuse(noFrames(operation, byteRange(from: fill.first, through: fill.last)))
    }
    let range = byteRange(from: fill.first, through: fill.last, length: min(length, stored))
    let request = unsafe StoreReadRequest(
      offset: range.lowerBound, segments: segments(of: folios), execution: execution)
    engine.fillsAtStores.add(1)
    let pending = PendingFill(
      file: self, fill: fill, folios: folios, range: range, nodes: nodes, quiet: quiet, purpose: purpose,
      operation: operation, holding: holding)
    store.read(request) { pending.complete($0) }
    return true
  }

  /// Frames for every planned folio, smaller ones where no large block is to be had.
  private func allocateFolios(
    _ plan: ShortList<PlannedFolio>, mayEvict: Bool, operation: CacheError.Operation
  ) throws(CacheError) -> ShortList<FillFolio> {
    // The usual one: no array.
    if plan.count == 1, let frame = engine.allocateFrames(order: plan[0].order, mayEvict: mayEvict, for: tenant) {
      return ShortList(FillFolio(page: plan[0].page, order: plan[0].order, frame: frame))
    }
    var folios = ShortList<FillFolio>()
    var wanted = Array(plan.reversed())
    while let next = wanted.popLast() {
      if let frame = engine.allocateFrames(order: next.order, mayEvict: mayEvict, for: tenant) {
        folios.append(FillFolio(page: next.page, order: next.order, frame: frame))
      } else if next.order > 0 {
        let half = next.order - 1
        wanted.append(PlannedFolio(page: next.page + 1 << UInt64(half), order: half))
        wanted.append(PlannedFolio(page: next.page, order: half))
      } else {
        for folio in folios { pool.free(folio.frame) }
        throw noFrames(operation, byteRange(from: next.page, through: next.page))
      }
    }
    return folios
  }

  /// The memory of the folios in file order, adjacent frames joined.
  private func segments(of folios: ShortList<FillFolio>) -> [UnsafeMutableRawBufferPointer] {
    var segments: [UnsafeMutableRawBufferPointer] = unsafe []
    for folio in folios {
      let address = unsafe pool.address(of: folio.frame)
      let count = pool.frameByteCount << folio.order
      if let last = unsafe segments.last, let start = last.baseAddress, unsafe start + last.count == address {
        unsafe segments[segments.count - 1] = UnsafeMutableRawBufferPointer(start: start, count: last.count + count)
      } else {
        unsafe segments.append(UnsafeMutableRawBufferPointer(start: address, count: count))
      }
    }
    return unsafe segments
  }
}
