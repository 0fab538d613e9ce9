import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Runs a body that may change the store and the cache over some pages, with nobody else doing so, and with frames for what it needs: at most two pages
  /// changed in part, and nodes.
  /// - Parameters:
  ///   - shortens: the file may become shorter in the body: the gate is closed first.
  ///   - body: nil to let go of everything, make durable what the pages hold back, and try again.
  func withStructure<Result>(
    _ pages: ClosedRange<UInt64>, shortens: Bool, operation: CacheError.Operation, range: Range<Int64>?,
    _ body: () throws(CacheError) -> Result?
  ) throws(CacheError) -> Result {
    while true {
      try settleHoldBacks()
      if let result = try withStructureOnce(pages, shortens: shortens, operation: operation, range: range, body) {
        return result
      }
    }
  }

  private func withStructureOnce<Result>(
    _ pages: ClosedRange<UInt64>, shortens: Bool, operation: CacheError.Operation, range: Range<Int64>?,
    _ body: () throws(CacheError) -> Result?
  ) throws(CacheError) -> Result? {
    if shortens, keeps(.gateBeforeClaims) { closeGate() }
    defer { if shortens { index.withLock { openGateLocked() } } }
    let frames = engine.configuration.framesOfOneCall
    if keeps(.framesBeforeClaims) { budget.reserve(frames) }
    defer { budget.giveBack(frames) }
    let claim = self.claim(foliosAround(pages), .changingStore)
    defer { letGo(claim) }
    if !keeps(.framesBeforeClaims) { budget.reserve(frames) }
    if shortens, !keeps(.gateBeforeClaims) { closeGate() }
    if index.withLock({ unsafe isClosing }) { throw error(operation, range, .closed) }
    return try body()
  }

  /// Makes what pages are held back for durable, while nothing is claimed: other files have to be claimed for it.
  func settleHoldBacks() throws(CacheError) {
    if index.withLock({ unsafe !holdBacks.isEmpty }) { try makeDurable(dataOnly: true) }
  }

  /// All pages from that of a byte on.
  func pages(from offset: Int64) -> ClosedRange<UInt64> {
    UInt64(offset) >> frameShift...index.geometry.maximumPage
  }

  /// Has the store do something, and notes it: as a change that is not durable yet.
  /// - Parameter size: what the store's size is afterwards. If that is more than the file's length, the caller's claim reaches to the end.
  func changeStore(
    _ operation: CacheError.Operation, _ range: Range<Int64>?, size: (Int64) -> Int64, makesHoles: Bool,
    _ body: () throws(StoreError) -> Void
  ) throws(CacheError) {
    do throws(StoreError) { try body() } catch {
      let known = index.withLock { () -> Int64 in
        unsafe storeState.stamp = nil
        return unsafe storeState.size
      }
      takeBackGrowth(from: known, to: size(known))
      // Some stores do a part of it before they run out of space: what is not owed is read again, whatever it is.
      if let range, !range.isEmpty, range.lowerBound < length {
        let end = min(range.upperBound, length)
        forgetUnlessOwed(pages(offset: UInt64(range.lowerBound), count: UInt64(end - range.lowerBound)))
      }
      throw self.error(operation, range, .store(error))
    }
    index.withLock {
      unsafe storeState.size = size(storeState.size)
      unsafe storeState.noteChange()
      if makesHoles { unsafe storeState.mayHaveHoles = true }
      noteChangeLocked()
    }
  }

  /// A store that has run out of space may have grown on the way there: so it is cut off again.
  ///
  /// Where the file ends, no shorter: up to there, others may have made the store longer a moment ago, who have not noted it yet. Whoever would have made the
  /// file longer has a claim that reaches to its end; nobody else's writes go further than that. And of what lies between, zeros in the store are no
  /// different from none.
  private func takeBackGrowth(from known: Int64, to wanted: Int64) {
    let sparesOthers = keeps(.growthOfOthersSpared)
    guard ownership == .exclusive, wanted > known || !sparesOthers, let status = try? store.status(),
      status.size > known
    else { return }
    let end = sparesOthers ? length : known
    if status.size > end { try? store.resize(to: end) }
    index.withLock { unsafe storeState.size = max(storeState.size, min(status.size, end)) }
  }

  /// Counts a change that a sync must make durable. Expects the index lock held.
  @inline(__always)
  func noteChangeLocked() {
    unsafe debt.changes += 1
    if unsafe !isWatched {
      unsafe isWatched = true
      engine.writeback.watch(self)
    }
  }

  /// Sees to it that nothing is owed for some pages: so that they can be forgotten. The caller has claimed the pages for changing the store.
  /// - Parameters:
  ///   - isAll: also what is not owed for a page is made durable, such as earlier changes of the structure.
  ///   - extends: the store becomes as long as the file. The claim reaches to the end.
  /// - Returns: false if something is held back.
  func settle(
    _ pages: ClosedRange<UInt64>, isAll: Bool = false, extends: Bool = false, operation: CacheError.Operation,
    range: Range<Int64>
  ) throws(CacheError) -> Bool {
    do throws(StoreError) {
      return try noticingFailures { () throws(StoreError) in
        if try writeBack(pages, holding: .changingStore) { return false }
        if extends { try extendStore() }
        // What the store has been given and may lose could not be given to it again.
        if isAll || index.withLock({ pagesAreOwed(pages) }) { try flush(dataOnly: true) }
        return true
      }
    } catch {
      throw self.error(operation, range, .store(error))
    }
  }

  /// Gives the store what is dirty in the pages that a range covers in part, before it is told to zero that part: so that after a crash no hole is there without
  /// what was written to its pages before it. The caller has claimed the pages for changing the store.
  /// - Returns: false if something is held back.
  func writeBackEdges(of range: Range<Int64>, operation: CacheError.Operation) throws(CacheError) -> Bool {
    for edge in [range.lowerBound, range.upperBound] where edge & Int64(frameByteCount - 1) != 0 {
      let page = UInt64(edge) >> frameShift
      do throws(StoreError) {
        if try writeBack(page...page, holding: .changingStore) { return false }
      } catch {
        throw self.error(operation, range, .store(error))
      }
    }
    return true
  }

  private func pagesAreOwed(_ pages: ClosedRange<UInt64>) -> Bool {
    for mark in Mark.allCases {
      if index.next(from: pages.lowerBound, through: pages.upperBound, marked: mark) != nil { return true }
    }
    return false
  }

  /// Makes the store as long as the file. With a claim that reaches to the end, so that nobody else changes the store's size meanwhile.
  func extendStore() throws(StoreError) {
    let (size, length) = index.withLock { unsafe (storeState.size, self.length) }
    guard size < length else { return }
    try store.resize(to: length)
    index.withLock {
      unsafe storeState.size = max(storeState.size, length)
      unsafe storeState.noteChange()
      unsafe storeState.mayHaveHoles = true
    }
  }

  /// Publishes a length, unless the file is longer already.
  /// - Parameter changingStore: has the store do it, once everything is in hand.
  func publish(
    grownLength length: Int64, operation: CacheError.Operation, changingStore: () throws(CacheError) -> Void
  ) throws(CacheError) {
    var change = PreparedChange(self)
    var isStoreChanged = false
    while true {
      index.lock()
      let nodes = index.nodesToCover(pages: pageCount(length))
      guard change.nodes.count >= nodes else {
        index.unlock()
        try prepare(&change, nodes: nodes, operation: operation, range: 0..<length)
        continue
      }
      guard isStoreChanged else {
        index.unlock()
        try changingStore()
        isStoreChanged = true
        continue
      }
      index.cover(pages: pageCount(length), reserve: &change.nodes)
      publishLocked(length: max(length, self.length))
      index.unlock()
      return
    }
  }
}
