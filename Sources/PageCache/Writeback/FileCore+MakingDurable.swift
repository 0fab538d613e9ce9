import BackingStores
import Primitives

// Sync, flush, close and the background: all of them write back, wait for what is on its way, make the store as long as the file, and flush.
extension FileCore {
  /// Makes durable what was written before this call, and no more.
  /// - Parameters:
  ///   - pages: of these pages; of all of the file if nil, and then points of it are reached.
  ///   - upTo: changes after this one need not be durable.
  ///   - depth: files that wait for this one, in a row.
  /// - Throws: `CacheError` of the operation. What a store refused has been noted for every handle: `report` tells it.
  func makeDurable(
    pages: ClosedRange<UInt64>? = nil, dataOnly: Bool, upTo: UInt64? = nil, operation: CacheError.Operation = .sync,
    depth: Int = 0
  ) throws(CacheError) {
    try withStore(operation) { () throws(CacheError) in
      let (changes, isSettled) = index.withLock { () -> (UInt64, Bool) in
        let changes = unsafe durability.changes
        let isSettled = unsafe dataOnly && durability.isSettled && storeState.size >= length
        if isSettled, pages == nil { reachLocked(changes) }
        return (changes, isSettled)
      }
      if isSettled { return }
      checkOwner()
      try give(
        pages, flushing: dataOnly ? .data : .all, upTo: min(changes, upTo ?? .max), of: changes, operation: operation,
        depth: depth)
    }
  }

  private enum Flushing { case nothing, data, all }

  /// Gives the store what is dirty, sees how all of it ended, and flushes.
  /// - Parameters:
  ///   - target: later changes may go on being held back.
  ///   - changes: that have been made.
  private func give(
    _ pages: ClosedRange<UInt64>?, flushing: Flushing, upTo target: UInt64, of changes: UInt64,
    operation: CacheError.Operation, depth: Int
  ) throws(CacheError) {
    let watch = index.withLock { unsafe durability.watch }
    let all = pages.map { slotsAround($0) } ?? 0...index.geometry.maximumPage
    let end = pages == nil ? .max : byteRange(from: 0, through: all.upperBound, length: .max).upperBound
    var outcome = writeBackInOrder(all, upTo: target, depth: depth)
    // The file may be so long only by bytes that are held back elsewhere: then they are written as well.
    if outcome.failure == nil, pages != nil,
      index.withLock({ unsafe holdBacks.allowedLength(length) < min(length, end) })
    {
      let everything = writeBackInOrder(0...index.geometry.maximumPage, upTo: target, depth: depth)
      outcome.refusal = outcome.refusal ?? everything.refusal
      outcome.failure = everything.failure
    }
    do throws(StoreError) {
      awaitTransfers()
      try extendStoreInTurn(to: end)
      if flushing != .nothing { try flush(dataOnly: flushing == .data) }
      // Also what another call took to the store, or flushed: it may have lost what this one waits for.
      if let loss = outcome.refusal ?? index.withLock({ unsafe durability.loss(since: watch) }) { throw loss }
    } catch {
      throw self.error(operation, error.range, .store(error))
    }
    if pages == nil, flushing != .nothing {
      // Also what came after the target: what was not held back of that has been given and flushed as well.
      index.withLock { reachLocked(min(changes, outcome.since)) }
    }
    if let failure = outcome.failure { throw failure }
  }

  /// Gives the store all that is dirty. Flushes only where others wait for this file, and it is about to go.
  /// - Parameter isLast: no other handle is open.
  func writeBackForClosing(isLast: Bool) throws(CacheError) {
    try withStore(.close) { () throws(CacheError) in try writeBackWhileClosing(isLast: isLast) }
  }

  /// The same for the thread that shuts the file down.
  func writeBackWhileClosing(isLast: Bool) throws(CacheError) {
    let (isQuiet, flushes, changes) = index.withLock {
      unsafe (
        durability.pages == 0 && ranges.isEmpty && storeState.size >= length, isLast && durability.hasOpenPoints,
        durability.changes
      )
    }
    if isQuiet, !flushes { return }
    try give(nil, flushing: flushes ? .data : .nothing, upTo: changes, of: changes, operation: .close, depth: 0)
  }

  /// Files that may wait for each other in a row, before that is taken for a circle.
  private static var longestChain: Int { 64 }

  /// What came of writing back in order.
  struct OrderedOutcome {
    /// Later changes are held back, some of them.
    var since: UInt64 = .max
    /// The first refusal of the store.
    var refusal: StoreError?
    /// Why what is held back could not be written.
    var failure: CacheError?
  }

  /// Writes back what was dirty before a change, and makes durable before that what it waits for.
  ///
  /// Two passes, as a rule: the first one learns what the held pages wait for. Meanwhile no writer puts these pages off
  /// once more (`HoldBacks.beginRound`). Each pass goes over what the one before has passed over, and over nothing else:
  /// of all other pages the store has been given what it was to get, whatever is held back there by now.
  func writeBackInOrder(_ pages: ClosedRange<UInt64>, upTo target: UInt64, depth: Int) -> OrderedOutcome {
    var round: UInt64?
    defer { if let round { endRound(round) } }
    var result = OrderedOutcome()
    var left = [pages]
    while true {
      index.withLock {
        if let round {
          // Writers wait once more, and longer.
          unsafe holdBacks.renewRound(round)
        } else if unsafe !holdBacks.isEmpty {
          round = unsafe holdBacks.beginRound(pages, upTo: target)
        }
      }
      var outcome = WriteBackOutcome(upTo: target)
      for part in left { writeBack(part, into: &outcome) }
      result.refusal = result.refusal ?? outcome.refusal
      result.since = min(result.since, outcome.passedOver.laterSince)
      guard !outcome.passedOver.due.isEmpty else { return result }
      do throws(CacheError) {
        try makePointsDurable(outcome.passedOver.points, depth: depth)
      } catch {
        result.since = min(result.since, outcome.passedOver.since)
        result.failure = error
        return result
      }
      left = FileCore.runs(of: outcome.passedOver.due)
    }
  }

  /// Pages as ranges, in order.
  private static func runs(of pages: [UInt64]) -> [ClosedRange<UInt64>] {
    var runs: [ClosedRange<UInt64>] = []
    for page in pages.sorted() {
      if let last = runs.last, last.upperBound + 1 >= page {
        runs[runs.count - 1] = last.lowerBound...max(last.upperBound, page)
      } else {
        runs.append(page...page)
      }
    }
    return runs
  }

  /// Lets writers hold pages back again.
  func endRound(_ round: UInt64) {
    index.withLock {
      unsafe holdBacks.endRound(round)
      if unsafe holdBacks.waitingWriters > 0 { index.broadcast() }
    }
  }

  /// Makes durable what pages are held back for. The caller has claimed nothing: other files have to be claimed for it.
  private func makePointsDurable(_ points: [UInt64: DurabilityPoint], depth: Int = 0) throws(CacheError) {
    guard depth < FileCore.longestChain else { throw error(.sync, nil, .orderingCycle) }
    for point in points.values { try point.makeDurable(depth: depth + 1) }
  }

  /// Makes durable what a range of pages is held back for, so that the caller can try again what it could not do because of that. Writers do not put the pages off
  /// meanwhile. The caller has claimed nothing.
  func settleHoldBacks(_ pages: ClosedRange<UInt64>) throws(CacheError) {
    let (target, isHeld) = index.withLock { unsafe (durability.changes, holdBacks.isHeld(pages)) }
    guard isHeld else { return }
    try withStore(.sync) { () throws(CacheError) in
      let outcome = writeBackInOrder(pages, upTo: target, depth: 0)
      if let failure = outcome.failure { throw failure }
      if let refusal = outcome.refusal { throw error(.sync, refusal.range, .store(refusal)) }
    }
  }

  /// Waits as long as a round is to write one of some pages that a writer is about to hold back once more. Holds nothing.
  ///
  /// Not for ever: the round waits for other files, and their stores may hang. A writer that has waited long enough puts the page off all the same, and those
  /// that come after it do not wait. Then the round takes one pass more, for which they wait longer.
  func awaitRound(_ pages: ClosedRange<UInt64>) {
    guard index.withLock({ unsafe holdBacks.patience(for: pages) > 0 }) else { return }
    let start = monotonicNanoseconds()
    index.withLock {
      unsafe holdBacks.waitingWriters += 1
      while true {
        let patience = unsafe holdBacks.patience(for: pages)
        if patience == 0 { break }
        let waited = monotonicNanoseconds() - start
        guard waited < patience else {
          unsafe holdBacks.giveUpWaiting(for: pages)
          break
        }
        index.wait(nanoseconds: Int(patience - waited))
      }
      unsafe holdBacks.waitingWriters -= 1
    }
  }

  /// Runs a body that uses the store without a claim: the last close waits for it.
  func withStore(_ operation: CacheError.Operation, _ body: () throws(CacheError) -> Void) throws(CacheError) {
    let isOpen = index.withLock { () -> Bool in
      guard unsafe !isShut else { return false }
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
    try body()
  }

  /// Notes how far the file is durable. Expects the index lock held.
  private func reachLocked(_ change: UInt64) {
    // Release pairs with the acquire of `DurabilityPoint.isReached`: the store has it by then.
    if unsafe durability.reach(change) { durableWord.storeRelease(change) }
  }
}

extension DurabilityPoint {
  /// Makes it durable, unless it is.
  /// - Parameter depth: files that wait for it, in a row.
  func makeDurable(depth: Int = 0) throws(CacheError) {
    if isReached { return }
    do throws(CacheError) {
      try file.makeDurable(dataOnly: true, upTo: change, depth: depth)
    } catch {
      // The last close may have done it.
      if !isReached { throw error }
    }
  }
}
