import Folios
import PageIndex
import Primitives

// The steps of `carryOut` that look at the index, or change it. All expect the index lock held.
extension FileCore {
  /// Looks what is missing for a change, and holds the folios that are there.
  func survey(_ change: FileChange, _ hand: inout PreparedChange) -> ChangeSurvey {
    var survey = ChangeSurvey()
    let stored = unsafe storeState.size
    /// Pages of which the index has no bytes.
    func visitGap(_ first: UInt64, _ last: UInt64, isHole: Bool, _ hand: borrowing PreparedChange) {
      switch change.content {
      case .bytes:
        for page in first...last where hand.frame(for: page) == nil {
          let isZero = isHole || Int64(page << frameShift) >= stored
          survey.needs.append(ChangeNeed(page: page, source: nil, isZero: isZero))
        }
      case .zeros where !isHole:
        // Pages that are zeroed in part are held, so that they can be written again if the store loses them.
        for edge in [change.range.lowerBound, change.range.upperBound] where edge & Int64(frameByteCount - 1) != 0 {
          let page = UInt64(edge) >> frameShift
          guard page >= first, page <= last, !change.whole.contains(page), Int64(page << frameShift) < stored,
            hand.frame(for: page) == nil, survey.needs.last?.page != page
          else { continue }
          survey.needs.append(ChangeNeed(page: page, source: nil, isZero: false))
        }
      case .zeros, .unknown, .none: break
      }
    }
    if change.holdsWhatItChanges {
      var page = change.pages.lowerBound
      let last = change.pages.upperBound
      while page <= last {
        guard let found = index.next(from: page, through: last) else {
          visitGap(page, last, isHole: false, hand)
          break
        }
        if found.page > page { visitGap(page, found.page - 1, isHole: false, hand) }
        if found.entry.isFolio {
          page = visit(found, change, &hand, &survey) + 1
        } else {
          visitGap(max(page, found.page), min(last, found.lastPage), isHole: true, hand)
          page = found.lastPage + 1
        }
      }
    }
    survey.nodes = nodesNeeded(change, needs: survey.needs, hand)
    return survey
  }

  /// Looks at a slot of a folio.
  /// - Returns: the last page that need not be looked at any more.
  private func visit(
    _ found: PageIndex.Found, _ change: FileChange, _ hand: inout PreparedChange, _ survey: inout ChangeSurvey
  ) -> UInt64 {
    let folio = folio(of: found)
    if change.goes(folio) { return folio.upperBound }
    if hand.frame(for: found.page) != nil { return found.lastPage }
    let held = hand.hold(head: found.entry.headFrame(shift: pool.frameShift), pages: folio)
    guard held.isLent else {
      if successor(of: found.entry, mayWrap: hand.mayWrap) == nil { survey.mustWait = true }
      return found.lastPage
    }
    // The loan keeps the folio as it is; the file gets other frames, for all of its pages.
    for page in folio where hand.frame(for: page) == nil {
      guard let source = index.locate(page) else { continue }
      // The piece of the slot's memory that is this page's.
      let within = (page & (1 << source.shift - 1)) << frameShift
      survey.needs.append(ChangeNeed(page: page, source: Entry(word: source.entry.word + within), isZero: false))
    }
    return folio.upperBound
  }

  /// Nodes that a change can need, also if the tree has become taller by a level when it comes to that.
  func nodesNeeded(_ change: FileChange, needs: [ChangeNeed], _ hand: borrowing PreparedChange) -> Int {
    let covered = pageCount(change.length.applied(to: length))
    var nodes = index.nodesToCover(pages: covered)
    let whole = change.whole
    if !whole.isEmpty {
      nodes += 2 * index.boundaryNodesNeeded(from: whole.lowerBound, through: whole.upperBound - 1, covering: covered)
      nodes += index.boundaryNodesNeeded(from: whole.lowerBound, through: whole.lowerBound, covering: covered)
    }
    // For all pages from the first to the last that get frames, or for runs of neighbours: what is less.
    var run: ClosedRange<UInt64>?
    var all: ClosedRange<UInt64>?
    var inRuns = 0
    func close() {
      if let run { inRuns += index.nodesNeeded(from: run.lowerBound, through: run.upperBound, covering: covered) }
    }
    func add(_ first: UInt64, _ last: UInt64) {
      all = min(first, all?.lowerBound ?? first)...max(last, all?.upperBound ?? last)
      if let known = run, first == known.upperBound + 1 {
        run = known.lowerBound...last
      } else {
        close()
        run = first...last
      }
    }
    for need in needs { add(need.page, need.page) }
    for folio in hand.folios { add(folio.page, folio.lastPage) }
    close()
    guard let all else { return nodes }
    return nodes + 1
      + min(inRuns, index.nodesNeeded(from: all.lowerBound, through: all.upperBound, covering: covered))
  }

  /// Marks everything that changes, and publishes the new length.
  /// - Returns: the slots, in order; and the heads of folios that prepared frames have taken the place of.
  func markLocked(
    _ change: FileChange, _ hand: inout PreparedChange
  ) -> (slots: [MarkedSlot], replaced: [UInt64]) {
    guard change.holdsWhatItChanges else { return ([], []) }
    hand.lengthBefore = length
    var slots: [MarkedSlot] = []
    var page = change.pages.lowerBound
    while page <= change.pages.upperBound, let found = index.next(from: page, through: change.pages.upperBound) {
      page = found.lastPage + 1
      guard found.entry.isFolio, hand.frame(for: found.page) == nil, !change.goes(folio(of: found)) else { continue }
      guard let published = successor(of: found.entry, mayWrap: hand.mayWrap) else {
        preconditionFailure("it was looked for, and the folio has been held since")
      }
      if keeps(.marksOnAll) || slots.isEmpty { mark(found.location) }
      slots.append(MarkedSlot(location: found.location, page: found.page, published: published, isInPlace: true))
    }
    // Keeps the marks before the first byte that is changed (R13); pairs with the acquire fence of a reader's check.
    if keeps(.markFence) { sequentialFence() }
    let end = change.length.applied(to: length)
    if end != length { index.cover(pages: pageCount(end), reserve: &hand.nodes) }
    let replaced = storePrepared(&hand, slots: &slots)
    // What goes is marked as well: else a reader could see a hole swept in before another page has gone.
    page = change.whole.lowerBound
    while page < change.whole.upperBound, let found = index.next(from: page, through: change.whole.upperBound - 1) {
      if found.entry.isFolio, !found.entry.isChanging, keeps(.marksOnWhatGoes) { mark(found.location) }
      page = found.lastPage + 1
    }
    // Before the new length can be seen: a sync beside this makes the store no longer than it may be.
    if keeps(.heldBackWhenMarked) { holdBackLocked(change, slots, lengthBefore: hand.lengthBefore) }
    if end != length, keeps(.lengthWithinMarks) { publishLocked(length: end) }
    return (slots, replaced)
  }

  /// Publishes what was marked, with what it owes, and sweeps what goes.
  /// - Returns: by how many the pages that owe something have become more; and the heads of folios that have gone.
  func publishLocked(
    _ change: FileChange, _ slots: [MarkedSlot], _ standing: Durability.Standing, _ hand: inout PreparedChange
  ) -> (owed: Int, gone: [UInt64]) {
    if !keeps(.heldBackWhenMarked) { holdBackLocked(change, slots, lengthBefore: hand.lengthBefore) }
    var owed = 0
    for slot in slots {
      if slot.isInPlace || change.pages.contains(slot.page) {
        owed += publish(slot.published, in: slot.location, page: slot.page, as: standing)
      } else {
        // A copy of another page of a lent folio: it owes what it owed before, and is held back as it was.
        republish(slot.published, in: slot.location)
      }
    }
    var gone: [UInt64] = []
    sweepLocked(change, &hand, &gone)
    switch change.content {
    case .bytes:
      noteChangeLocked()
      if !keeps(.lengthWithinMarks), change.range.upperBound > length { publishLocked(length: change.range.upperBound) }
    case .zeros:
      // T1 is here. It counted the change once before, when the store had done it. T2's flush may have failed since, so
      // that the edges are dirty now; T3, a sync that began after that failure, covers the first count and not the
      // edges. A point taken from here on names the second count, which T3 does not reach.
      noteChangeLocked()
    case .unknown, .none:
      // The length comes last.
      let end = change.length.applied(to: length)
      index.cover(pages: pageCount(end), reserve: &hand.nodes)
      publishLocked(length: end)
    }
    return (owed, gone)
  }

  /// Holds the pages of a change back, if it waits for a point.
  private func holdBackLocked(_ change: FileChange, _ slots: [MarkedSlot], lengthBefore: Int64) {
    guard case .bytes = change.content, let point = change.heldUntil, !point.isReached else { return }
    // What is dirty in these pages waits as well from now on; what the store has does not, unless it is lost.
    let since = unsafe isAnyDirty(change.pages) ? durability.durableChanges : durability.changes
    let wasOwed = isAnyOwed(change.pages)
    let before = change.range.upperBound > lengthBefore ? lengthBefore : nil
    for slot in slots where slot.isInPlace || change.pages.contains(slot.page) {
      let first = slot.page & ~(1 << slot.location.shift - 1)
      for page in first..<first + 1 << slot.location.shift {
        unsafe holdBacks.add(page, until: point, since: since, wasOwed: wasOwed, lengthBefore: before)
      }
    }
  }

  /// Takes whole folios and holes out of the pages that go, and stores one hole instead where that is wanted.
  private func sweepLocked(_ change: FileChange, _ hand: inout PreparedChange, _ heads: inout [UInt64]) {
    guard !change.whole.isEmpty else { return }
    var becomesHole = false
    if case .zeros(let becomes) = change.content { becomesHole = becomes }
    let (first, last) = (change.whole.lowerBound, change.whole.upperBound - 1)
    var page = first
    var gap = first
    /// Stores the hole in front of what stays.
    func close(before end: UInt64, _ nodes: inout NodeReserve) {
      if becomesHole, gap < end { index.storeHole(from: gap, through: end - 1, reserve: &nodes) }
    }
    while page <= last, let found = index.next(from: page, through: last, values: true) {
      page = found.lastPage + 1
      guard found.entry.isFolio else {
        // A hole, or a shadow, over more than the range keeps its other parts.
        index.erase(from: max(first, found.page), through: min(last, found.lastPage), reserve: &hand.nodes) { _ in }
        continue
      }
      guard change.goes(folio(of: found)) else {
        close(before: found.page, &hand.nodes)
        gap = found.lastPage + 1
        continue
      }
      forgetMarks(found)
      let head = found.entry.headFrame(shift: pool.frameShift)
      if heads.last != head { heads.append(head) }
      index.eraseSlot(of: found)
    }
    close(before: last + 1, &hand.nodes)
  }

  /// Puts all prepared frames into the index, as changing, with the nodes in the reserve.
  /// - Returns: the heads of folios whose place they took.
  func storePrepared(_ hand: inout PreparedChange, slots: inout [MarkedSlot]) -> [UInt64] {
    var replaced: [UInt64] = []
    for folio in hand.folios {
      let old = index.locate(folio.page)?.entry
      if let old, old.isFolio {
        assert(folio.order == 0, "only what is missing, or a hole, gets a larger folio")
        let head = old.headFrame(shift: pool.frameShift)
        if replaced.last != head { replaced.append(head) }
      }
      storePrepared(folio, inPlaceOf: old, nodes: &hand.nodes, slots: &slots)
    }
    hand.handOver()
    return replaced
  }

  private func storePrepared(
    _ folio: PreparedFolio, inPlaceOf old: Entry?, nodes: inout NodeReserve, slots: inout [MarkedSlot]
  ) {
    let metadata = pool.table[folio.frame]
    metadata.owner.storeRelaxed(number)
    metadata.page.storeRelaxed(folio.page)
    metadata.setState(.cached, order: folio.order)
    metadata.thaw(to: 1)
    let flags = keeps(.newPagesAsChanging) ? Entry.changingBit : Entry.upToDateBit
    index.store(folio.page, order: folio.order, reserve: &nodes) { page in
      entry(frame: folio.frame + (page - folio.page), order: folio.order, flags: flags)
    }
    engine.admit(folio.frame, inPlaceOf: old)
    tenant?.residentFrames.add(1 << folio.order)
    for page in folio.page...folio.lastPage {
      guard let location = index.locate(page) else { preconditionFailure("it has just been stored") }
      // The same version, also now: no reader accepts a word that is marked, and the frame is new.
      // Not accessed: to have been written once is no sign of use.
      let published = entry(
        frame: folio.frame + (page - folio.page), order: folio.order, flags: Entry.upToDateBit)
      slots.append(MarkedSlot(location: location, page: page, published: published, isInPlace: false))
    }
  }
}

extension FileChange {
  /// Whether a folio goes, as all of its pages do.
  fileprivate func goes(_ folio: ClosedRange<UInt64>) -> Bool {
    folio.lowerBound >= whole.lowerBound && folio.upperBound < whole.upperBound
  }
}
