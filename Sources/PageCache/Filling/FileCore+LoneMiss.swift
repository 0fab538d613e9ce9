import BackingStores
import Folios
import PageIndex
import Primitives

extension FileCore {
  /// Brings the folio of one missing page on this thread, where nothing stands in the way: the usual miss, spared what `SlowRead` claims and holds.
  ///
  /// Nothing is claimed and no reference is held. As long as the fill is in the file's table nobody changes its pages (`RangeTable.Mode.excludesFills`), and
  /// afterwards whoever called looks again, as for any hit; if the page has gone by then, or is changing, he reads in his turn.
  /// - Parameter readAhead: is told, if the page is missing.
  /// - Returns: whether the page has been brought. Else there is more to it, and nothing has been done.
  /// - Throws: what went wrong with the fill, as `SlowRead` does.
  /// - Cost: the file's lock twice, the fill's own twice, the budget's twice, those of the pool and its queues; two allocations; a read of the store, and for a file that
  ///   is open `.exclusive`, its version.
  func fillLone(_ page: UInt64, operation: CacheError.Operation, readAhead: ReadAhead?) throws(CacheError) -> Bool {
    guard storeReadsOnCaller, let plan = index.withLock({ planLoneFill(page) }) else { return false }
    defer { budget.giveBack(plan.frames) }
    let (fill, folio) = (plan.fill, plan.folio)
    noteMiss()
    // First, so that it is under way while this waits for what it wants itself.
    readAhead?.missed(page...page, in: self)
    domain.record().counter(Counter.fills).addAsOnlyWriter(1)
    var nodes = NodeReserve(for: index)
    guard let frame = engine.allocateFrames(order: folio.order, for: tenant) else {
      return try refuse(fill, page, hasSmaller: folio.order > 0, operation)
    }
    guard engine.fill(&nodes, to: plan.nodes) else {
      pool.free(frame)
      return try refuse(fill, page, hasSmaller: false, operation)
    }
    let range = byteRange(from: fill.first, through: fill.last, length: min(length, plan.stored))
    // Safe: the block is nobody else's until it is in the index.
    let memory = unsafe UnsafeMutableRawBufferPointer(
      start: pool.address(of: frame), count: frameByteCount << folio.order)
    engine.fillsAtStores.add(1)
    let result: Result<Int, StoreError>
    do throws(StoreError) {
      result = .success(try unsafe readAll(range, into: memory))
    } catch {
      result = .failure(error)
    }
    finish(
      fill, ShortList(FillFolio(page: folio.page, order: folio.order, frame: frame)), range, result, nodes,
      quiet: plan.quiet, purpose: .demand, operation: operation, holding: nil)
    // It is over.
    try fill.wait()
    return true
  }

  /// Reads, and goes on after a short answer, from the start of the page in which it ended.
  private func readAll(_ range: Range<Int64>, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    var done = 0
    var fruitless = 0
    while true {
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[done...])
      let count = try unsafe store.read(at: range.lowerBound + Int64(done), into: rest)
      guard count > 0, count < range.count - done, fruitless < FileCore.shortAnswersInARow else { return done + count }
      let pages = count & ~(frameByteCount - 1)
      fruitless = pages > 0 ? 0 : fruitless + 1
      done += pages
    }
  }

  private struct LonePlan {
    let fill: Fill
    let folio: PlannedFolio
    let nodes: Int
    /// Reserved for the folio and the nodes.
    let frames: Int
    let stored: Int64
    let quiet: UInt64?
  }

  /// Plans a fill of one folio, and puts it into the file's table. Expects the index lock held.
  /// - Returns: nil if it is not as simple as that.
  private func planLoneFill(_ page: UInt64) -> LonePlan? {
    let end = unsafe pageCount(min(length, storeState.size))
    guard unsafe !isClosing, page < end, !mayLieInHole(page), unsafe fills.first(from: page, through: page) == nil,
      lastPresent(from: page, through: page) == nil
    else { return nil }
    let folio = planFill(from: page, through: page, filePages: end, isAhead: false)[0]
    // Whoever has claimed the pages for a change may be at the store with it; and who waits for his turn has it before this.
    guard !keeps(.loneFillsYield) || isFree(folio.page...folio.lastPage, .reading, isUrgent: false) else { return nil }
    // In one step, as R12 wants it; and no more than it takes, so that as many threads as there are can miss at a time.
    let nodes = index.nodesToStore(from: folio.page, through: folio.lastPage)
    let frames = 1 << folio.order + (nodes * index.geometry.nodeByteCount + frameByteCount - 1) / frameByteCount
    guard budget.tryReserve(frames) else { return nil }
    let fill = Fill(first: folio.page, last: folio.lastPage)
    unsafe fills.insert(fill)
    words.lastMiss.storeRelaxed(fill.last + 1)
    return unsafe LonePlan(
      fill: fill, folio: folio, nodes: nodes, frames: frames, stored: storeState.size, quiet: quietChanges)
  }

  /// Ends a fill for which there are no frames.
  /// - Parameter hasSmaller: several smaller folios may do in the place of this one. Whoever has joined the fill looks again, too.
  private func refuse(
    _ fill: Fill, _ page: UInt64, hasSmaller: Bool, _ operation: CacheError.Operation
  ) throws(CacheError) -> Bool {
    if hasSmaller {
      // The next plan is for the same page, and one behind the last.
      words.lastMiss.storeRelaxed(page)
      conclude(fill, .success(()))
      return false
    }
    let failure = noFrames(operation, byteRange(from: fill.first, through: fill.last))
    conclude(fill, .failure(failure))
    throw failure
  }
}
