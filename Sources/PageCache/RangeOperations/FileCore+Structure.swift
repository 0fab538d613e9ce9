import BackingStores
import PageIndex
import Primitives

// What the calls that reshape a file have in common.
extension FileCore {
  /// Runs a body that may change the store and the cache over some pages, with no other call doing so, and with frames for what it needs: at most two pages
  /// changed in part, and nodes.
  /// - Parameters:
  ///   - shortens: the file may become shorter in the body: the gate is closed first.
  ///   - body: nil to let go of everything, make durable what the pages are held back for, and try again.
  func withStructure<Result>(
    _ pages: ClosedRange<UInt64>, shortens: Bool, operation: CacheError.Operation, range: Range<Int64>?,
    _ body: () throws(CacheError) -> Result?
  ) throws(CacheError) -> Result {
    try FileCore.tryingAgain(unlessHeld: [(self, foliosAround(pages))]) { () throws(CacheError) in
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
  }

  /// Runs a body until it has a result. When it has none, something that it needs in its store is held back: that is settled with nothing claimed, because other files have to be
  /// claimed for it. Until the body has come to its end, no page is held back anew there.
  static func tryingAgain<Result>(
    unlessHeld list: @autoclosure () -> [(file: FileCore, pages: ClosedRange<UInt64>)],
    _ body: () throws(CacheError) -> Result?
  ) throws(CacheError) -> Result {
    if let result = try body() { return result }
    let parts = list()
    let rounds = parts.map { file, pages in
      file.index.withLock { unsafe file.holdBacks.beginRound(pages, upTo: .max, isExclusive: true) }
    }
    defer { for (part, round) in zip(parts, rounds) { part.file.endRound(round) } }
    while true {
      for (file, pages) in parts { try file.settleHoldBacks(pages) }
      if let result = try body() { return result }
      for (part, round) in zip(parts, rounds) {
        part.file.index.withLock { unsafe part.file.holdBacks.renewRound(round) }
      }
    }
  }

  /// All pages from that of a byte on.
  func pages(from offset: Int64) -> ClosedRange<UInt64> {
    UInt64(offset) >> frameShift...index.geometry.maximumPage
  }

  /// Has the store do something, and notes it: as a change that is not durable yet.
  /// - Parameters:
  ///   - size: what the store's size is afterwards.
  ///   - claimsEnd: the caller's claim reaches to the end of the file.
  func changeStore(
    _ operation: CacheError.Operation, _ range: Range<Int64>?, size: (Int64) -> Int64, claimsEnd: Bool,
    _ body: () throws(StoreError) -> Void
  ) throws(CacheError) {
    do throws(StoreError) { try body() } catch {
      let known = index.withLock { () -> Int64 in
        unsafe storeState.stamp = nil
        return unsafe storeState.size
      }
      if size(known) > known { takeBackGrowth(from: known, claimsEnd: claimsEnd) }
      throw self.error(operation, range, .store(error))
    }
    index.withLock {
      unsafe storeState.size = size(storeState.size)
      noteStoreChange()
      unsafe storeState.mayHaveHoles = true
      noteChangeLocked()
    }
  }

  /// A store that has run out of space may have grown on the way there: so it is cut off again where the file ends. Only with a claim to the end. Without one, another call may be
  /// making the file longer, and its bytes would be cut off with the rest (D1); what has grown is zeros then, and stays.
  private func takeBackGrowth(from known: Int64, claimsEnd: Bool) {
    guard claimsEnd || !keeps(.growthOfOthersSpared) else {
      return index.withLock { unsafe storeState.mayBeLonger = true }
    }
    guard ownership == .exclusive, let status = try? store.status(), status.size > known else { return }
    let end = keeps(.growthOfOthersSpared) ? length : known
    var isCut = true
    if status.size > end { do throws(StoreError) { try store.resize(to: end) } catch { isCut = false } }
    index.withLock {
      unsafe storeState.size = max(storeState.size, min(status.size, end))
      if !isCut { unsafe storeState.mayBeLonger = true }
    }
  }

  /// Carries a structural change out. If the store refuses, what it may have done of it is read again.
  func reshape(_ change: FileChange, changingStore: @escaping () throws(CacheError) -> Void) throws(CacheError) {
    var isRefused = false
    do throws(CacheError) {
      let (_, owed) = try carryOut(change) { () throws(CacheError) in
        isRefused = true
        try changingStore()
        isRefused = false
        return change.range.count
      }
      // The store has zeroed its own copy of a page's part, and may lose that. Two pages at most: no room is asked for.
      engine.dirtyBudget.giveBack(-owed)
    } catch {
      // Some stores do a part of it before they run out of space: what is not owed is read again, whatever it is.
      if isRefused, change.holdsWhatItChanges, !change.range.isEmpty {
        let pages = pages(offset: UInt64(change.range.lowerBound), count: UInt64(change.range.count))
        forgetUnlessOwed(foliosAround(pages), because: error.refusal)
      } else if isRefused, case .unknown = change.content {
        forgetUnlessOwed(change.pages, because: error.refusal)
      }
      throw error
    }
  }

  /// Sees to it that nothing is owed for some pages: so that they can be forgotten, or shared with another store. No flush that fails can lose any of it from then on. The caller
  /// has claimed the pages.
  /// - Parameters:
  ///   - mode: of the claim.
  ///   - isAll: also what is not owed for a page is made durable, such as earlier changes of the structure.
  ///   - extends: the store becomes as long as the file. The claim reaches to the end.
  /// - Returns: false if something is held back.
  func settle(
    _ pages: ClosedRange<UInt64>, holding mode: RangeTable.Mode = .changingStore, isAll: Bool = false,
    extends: Bool = false, operation: CacheError.Operation, range: Range<Int64>
  ) throws(CacheError) -> Bool {
    let watch = index.withLock { unsafe durability.watch }
    guard try writeBackClaimed(pages, holding: mode, operation: operation, range: range) else { return false }
    do throws(StoreError) {
      if extends { try extendStore() }
      // What the store has been given and may lose could not be given to it again.
      if isAll || index.withLock({ isAnyOwed(pages) }) { try flush(dataOnly: true) }
      if let loss = index.withLock({ unsafe durability.loss(since: watch) }) { throw loss }
    } catch {
      throw self.error(operation, range, .store(error))
    }
    return true
  }

  /// Gives the store what is dirty in some claimed pages, and sees how what was on its way there has ended.
  /// - Parameter mode: of the claim. One for reading does not keep others from taking pages to the store.
  /// - Returns: false if something is held back.
  func writeBackClaimed(
    _ pages: ClosedRange<UInt64>, holding mode: RangeTable.Mode, operation: CacheError.Operation, range: Range<Int64>?
  ) throws(CacheError) -> Bool {
    let (watch, isClean) = index.withLock { unsafe (durability.watch, durability.dirtyPages == 0) }
    // With a claim for changing the store, nothing of it is on its way either.
    if isClean, mode == .changingStore { return true }
    let outcome = writeBack(pages, holding: mode)
    if mode == .reading { awaitTransfers() }
    if let loss = outcome.refusal ?? (mode == .reading ? index.withLock { unsafe durability.loss(since: watch) } : nil)
    {
      throw error(operation, range, .store(loss))
    }
    return outcome.passedOver.isEmpty
  }

  /// Gives the store what is dirty in the pages that a range covers in part, before it is told to zero that part: so that after a crash no hole is there without
  /// what was written to its pages before it. The caller has claimed the pages for changing the store.
  /// - Returns: false if something is held back.
  func writeBackEdges(of range: Range<Int64>, operation: CacheError.Operation) throws(CacheError) -> Bool {
    for edge in [range.lowerBound, range.upperBound] where edge & Int64(frameByteCount - 1) != 0 {
      let page = UInt64(edge) >> frameShift
      guard try writeBackClaimed(page...page, holding: .changingStore, operation: operation, range: range) else {
        return false
      }
    }
    return true
  }
}
