import BackingStores
import Folios
import PageIndex
import Primitives

extension FileCore {
  /// What came of a change.
  enum ChangeOutcome {
    /// Bytes of the range that have changed: fewer than it has, if the store took no more.
    case done(Int)
    /// Nothing has changed: what the bytes are to be held back for has to be durable first, with nothing claimed. Others wait for the file as it is, and so for these
    /// pages; they could come to wait for each other.
    case pointFirst
  }

  /// Changes a file. The caller has claimed the pages, and whole folios around them, and reserved frames.
  /// - Parameter tellStore: has the store do its part; nil if it has none. Called once, with everything in hand, without the lock. If it throws, nothing has changed. It may
  ///   return fewer bytes than the range has: then only these change.
  /// - Returns: also by how many the pages that owe something have become more.
  func carryOut(
    _ change: FileChange, tellStore: (() throws(CacheError) -> Int)? = nil
  ) throws(CacheError) -> (outcome: ChangeOutcome, owed: Int) {
    var change = change
    prepareRange(of: &change)
    var hand = PreparedChange(self)
    while true {
      index.lock()
      if waitsForItself(change) {
        index.unlock()
        return (.pointFirst, 0)
      }
      let survey = survey(change, &hand)
      if survey.needs.isEmpty, !survey.mustWait, hand.nodes.count >= survey.nodes { break }
      index.unlock()
      try obtain(survey, change, &hand, isFinal: tellStore == nil)
    }
    // The lock is held, and everything is in hand.
    var transfer: Durability.Transfer?
    if let tellStore {
      if change.holdsWhatItChanges, keeps(.transfersBegunFirst) {
        transfer = unsafe durability.beginTransfer(change.pages)
      }
      index.unlock()
      let accepted: Int
      do throws(CacheError) { accepted = try tellStore() } catch {
        if let transfer { index.withLock { _ = endTransferLocked(transfer) } }
        throw error
      }
      if case .bytes = change.content, accepted < change.range.count {
        if accepted == 0 {
          if let transfer { index.withLock { _ = endTransferLocked(transfer) } }
          return (.done(0), 0)
        }
        cut(&change, to: accepted, &hand)
      }
      overlay(change, hand)
      index.lock()
      // The tree may have grown meanwhile.
      if !hasNodes(change, &hand) {
        if let transfer { _ = endTransferLocked(transfer) }
        index.unlock()
        // The store has it, and the index has no place for it: what it shows is read again.
        hand = PreparedChange(self)
        let failure = noFrames(change.operation, change.range)
        if change.holdsWhatItChanges { forgetUnlessOwed(change.pages, because: failure.refusal) }
        throw failure
      }
    }
    let (slots, replaced) = markLocked(change, &hand)
    index.unlock()
    copy(change, into: slots)
    index.lock()
    let standing = transfer.map { endTransferLocked($0) } ?? (tellStore == nil ? .dirty : .written)
    let (owed, gone) = publishLocked(change, slots, standing, &hand)
    index.unlock()
    release(heads: replaced)
    release(heads: gone)
    return (.done(change.range.count), owed)
  }

  /// Works out which pages a change touches, and which go.
  private func prepareRange(of change: inout FileChange) {
    let range = change.range
    if case .unknown = change.content {
      change.whole = change.pages.lowerBound..<min(change.pages.upperBound, index.geometry.maximumPage) + 1
      return
    }
    let first = UInt64(range.lowerBound) >> frameShift
    change.pages = first...max(first, range.isEmpty ? first : UInt64(range.upperBound - 1) >> frameShift)
    switch change.content {
    case .bytes, .none, .unknown: break
    case .zeros:
      let end = change.length.applied(to: length)
      // Past the end everything is zero: so a range that reaches it has no last part of a page.
      let firstWhole = pageCount(range.lowerBound)
      let endWhole =
        range.upperBound >= end ? max(firstWhole, pageCount(range.upperBound)) : UInt64(range.upperBound) >> frameShift
      change.whole = firstWhole..<max(firstWhole, endWhole)
      split(at: [change.whole.lowerBound, change.whole.upperBound])
    }
  }

  /// Whether pages would be held back for a point, of which a part may be waited for by others. Expects the index lock held.
  private func waitsForItself(_ change: FileChange) -> Bool {
    guard let point = change.heldUntil, unsafe durability.hasOpenPoints, isAnyOwed(change.pages) else { return false }
    return !point.isReached
  }

  /// Nodes and frames that are missing, found without any lock.
  /// - Parameter isFinal: no store can cut the change short, so that it can be put into the frames at once.
  private func obtain(
    _ survey: ChangeSurvey, _ change: FileChange, _ hand: inout PreparedChange, isFinal: Bool
  ) throws(CacheError) {
    if survey.mustWait {
      domain.synchronize()
      hand.mayWrap = true
    }
    guard engine.fill(&hand.nodes, to: survey.nodes) else { throw noFrames(change.operation, change.range) }
    var needs = survey.needs[...]
    while let first = needs.first {
      let (order, frame) = try allocateFrames(for: needs, change)
      hand.add(PreparedFolio(page: first.page, order: order, frame: frame))
      for need in needs.prefix(1 << order) {
        let address = unsafe pool.address(of: frame + (need.page - first.page))
        try unsafe fillPage(need, of: change, at: address)
        if isFinal { unsafe overlay(change, need.page, at: address) }
      }
      needs = needs.dropFirst(1 << order)
    }
  }

  /// Frames for the first of some pages, and for as many behind it as one folio can take: the larger a write is, the larger are the folios that it makes.
  private func allocateFrames(
    for needs: ArraySlice<ChangeNeed>, _ change: FileChange
  ) throws(CacheError) -> (order: Int, frame: UInt64) {
    var order = largestOrder(for: needs)
    while true {
      if let frame = engine.allocateFrames(order: order, for: tenant) { return (order, frame) }
      guard order > 0 else { throw noFrames(change.operation, change.range) }
      order -= 1
    }
  }

  /// The largest order of a folio that has only pages one behind the other of which nothing is there, from where folios of that order begin. A slot for each page:
  /// each is dirty by itself.
  private func largestOrder(for needs: ArraySlice<ChangeNeed>) -> Int {
    let first = needs[needs.startIndex]
    guard first.source == nil else { return 0 }
    let most = min(orders.upperBound, index.geometry.fanOutShift - 1)
    var order = 0
    var count = 1
    while order < most, first.page & (1 << UInt64(order + 1) - 1) == 0, needs.count >= 2 << order {
      while count < 2 << order {
        let need = needs[needs.startIndex + count]
        guard need.source == nil, need.page == first.page + UInt64(count) else { return order }
        count += 1
      }
      order += 1
    }
    return order
  }

  /// Bytes of a page that a change covers.
  private func covered(of page: UInt64, by change: FileChange) -> Range<Int> {
    let start = Int64(page << frameShift)
    let low = max(0, change.range.lowerBound - start)
    return Int(low)..<Int(max(low, min(Int64(frameByteCount), change.range.upperBound - start)))
  }

  /// Fills a frame with what a page holds now, unless the change covers all of it. What is copied from is held.
  private func fillPage(
    _ need: ChangeNeed, of change: FileChange, at address: UnsafeMutableRawPointer
  ) throws(CacheError) {
    guard covered(of: need.page, by: change) != 0..<frameByteCount else { return }
    if let source = need.source {
      unsafe racyCopy(to: address, from: self.address(of: source), count: frameByteCount)
    } else if need.isZero {
      unsafe zeroBytes(address, count: frameByteCount)
    } else {
      try unsafe readPage(need.page, into: address, operation: change.operation)
    }
  }

  /// Puts the change into the frames that have been prepared, which no other thread sees yet. Only now, because the store may have taken fewer bytes than it was given.
  private func overlay(_ change: FileChange, _ hand: borrowing PreparedChange) {
    for folio in hand.folios {
      for page in folio.page...folio.lastPage {
        unsafe overlay(change, page, at: pool.address(of: folio.frame + (page - folio.page)))
      }
    }
  }

  private func overlay(_ change: FileChange, _ page: UInt64, at address: UnsafeMutableRawPointer) {
    let covered = covered(of: page, by: change)
    guard !covered.isEmpty else { return }
    let to = unsafe address + covered.lowerBound
    switch change.content {
    case .bytes(let bytes):
      let from = Int(Int64(page << frameShift) + Int64(covered.lowerBound) - change.range.lowerBound)
      unsafe racyCopy(to: to, from: bytes.baseAddress.unsafelyUnwrapped + from, count: covered.count)
    case .zeros: unsafe zeroBytes(to, count: covered.count)
    case .unknown, .none: break
    }
  }

  /// The store has taken fewer bytes than it was given, and refused the rest: only these change. Of a page that was to change as a whole, and is not there, the rest is read
  /// now; if that cannot be, the page is left out, and read when it is wanted.
  private func cut(_ change: inout FileChange, to accepted: Int, _ hand: inout PreparedChange) {
    let endByte = change.range.lowerBound + Int64(accepted)
    let last = UInt64(endByte - 1) >> frameShift
    let hasOldBytes = covered(of: last, by: change) != 0..<frameByteCount
    change.range = change.range.lowerBound..<endByte
    change.length = .atLeast(endByte)
    change.pages = change.pages.lowerBound...last
    // A folio that is lent gets other frames as a whole: those of its pages that are not reached become copies.
    let end = hand.endOfLent(at: last) ?? last
    hand.drop(from: end + 1)
    if end > last {
      for page in last + 1...end {
        if let frame = hand.frame(for: page) {
          index.withLock { _ = unsafe copyStored(page, to: pool.address(of: frame)) }
        }
      }
    }
    guard let frame = hand.frame(for: last), !hasOldBytes, covered(of: last, by: change) != 0..<frameByteCount else {
      return
    }
    let address = unsafe pool.address(of: frame)
    if index.withLock({ unsafe copyStored(last, to: address) }) { return }
    do throws(CacheError) {
      try unsafe readPage(last, into: address, operation: change.operation)
    } catch {
      hand.drop(from: last)
    }
  }

  /// Copies a page, if the index has it: what is lent is held. Expects the index lock held.
  private func copyStored(_ page: UInt64, to address: UnsafeMutableRawPointer) -> Bool {
    guard let found = index.locate(page), found.entry.isStable || found.entry.isHole else { return false }
    if found.entry.isHole {
      unsafe zeroBytes(address, count: frameByteCount)
    } else {
      let within = Int((page & (1 << found.shift - 1)) << frameShift)
      unsafe racyCopy(to: address, from: self.address(of: found.entry) + within, count: frameByteCount)
    }
    return true
  }

  /// Whether there are nodes for a change, now that the store has made its part. Expects the index lock held, and gives it away while it looks for more.
  private func hasNodes(_ change: FileChange, _ hand: inout PreparedChange) -> Bool {
    while true {
      let nodes = nodesNeeded(change, needs: [], hand)
      if hand.nodes.count >= nodes { return true }
      index.unlock()
      let isFilled = engine.fill(&hand.nodes, to: nodes)
      index.lock()
      if !isFilled { return false }
    }
  }

  /// Copies bytes into slots that are changed in place: step 5.
  private func copy(_ change: FileChange, into slots: [MarkedSlot]) {
    for slot in slots where slot.isInPlace {
      let byteCount = Int64(1) << Int64(slot.location.shift + frameShift)
      let start = Int64(slot.page << frameShift) & ~(byteCount - 1)
      let part = change.range.clamped(to: start..<start + byteCount)
      guard !part.isEmpty else { continue }
      // Safe: both pieces lie inside what the slot names and inside the bytes.
      let to = unsafe address(of: slot.location.entry) + Int(part.lowerBound - start)
      switch change.content {
      case .bytes(let bytes):
        let from = Int(part.lowerBound - change.range.lowerBound)
        unsafe racyStore(to: to, from: bytes.baseAddress.unsafelyUnwrapped + from, count: part.count)
      case .zeros: if keeps(.cutTailZeroed) { unsafe racyZero(to, count: part.count) }
      case .unknown, .none: break
      }
    }
  }
}
