import Folios
import PageIndex
import Primitives

extension FileCore {
  /// Makes a range read as zero: punched, zeroed, or past a new end of the file. The caller has claimed the pages and whole folios around them for changing the
  /// store, and reserved frames.
  /// - Parameters:
  ///   - becomesHole: whole pages get hole entries; else the index forgets them, because the file ends before them.
  ///   - newLength: published in between.
  ///   - changingStore: has the store do it, once everything is in hand. If it throws, nothing has changed.
  func changeToZero(
    _ range: Range<Int64>, becomesHole: Bool, newLength: Int64?, operation: CacheError.Operation,
    changingStore: () throws(CacheError) -> Void
  ) throws(CacheError) {
    let end = newLength ?? length
    // Past the end everything is zero: so a range that reaches it has no last part of a page.
    let firstWhole = pageCount(range.lowerBound)
    let endWhole =
      range.upperBound >= end ? max(firstWhole, pageCount(range.upperBound)) : UInt64(range.upperBound) >> frameShift
    let whole = firstWhole..<max(firstWhole, endWhole)
    split(at: [whole.lowerBound, whole.upperBound])
    let touched =
      UInt64(range.lowerBound)
      >> frameShift...max(UInt64(range.lowerBound) >> frameShift, pageCount(range.upperBound) - 1)
    var change = PreparedChange(self)
    var isStoreChanged = false
    while true {
      index.lock()
      let survey = surveyZero(range, whole, touched, newLength, change)
      if survey.isReady, !isStoreChanged {
        index.unlock()
        try changingStore()
        isStoreChanged = true
        continue
      }
      if survey.isReady, let slots = markZeroLocked(range, whole, touched, &change) {
        if let newLength {
          index.cover(pages: pageCount(newLength), reserve: &change.nodes)
          publishLocked(length: newLength)
        }
        index.unlock()
        // Safe: inside what the slots name.
        unsafe forEachPart(of: range, in: slots.inPlace) { address, part in
          if keeps(.cutTailZeroed) { unsafe racyZero(address, count: part.count) }
        }
        index.lock()
        var heads = slots.replaced
        // The store has zeroed its own copy in memory, and may lose that. Two pages at most: no room is asked for.
        engine.dirtyBudget.giveBack(-publish(slots.inPlace, debt: .written))
        sweepLocked(whole, becomesHole: becomesHole, &change, &heads)
        index.unlock()
        release(heads: heads)
        return
      }
      index.unlock()
      if survey.mustWait {
        domain.synchronize()
        change.mayWrap = true
      }
      try prepare(&change, nodes: survey.nodes, operation: operation, range: range)
      for need in survey.needs {
        guard let frame = engine.allocateFrames(order: 0, for: tenant) else { throw noFrames(operation, range) }
        change.add(need.page, frame: frame)
        try unsafe fillPage(need, at: pool.address(of: frame), overwritten: 0..<0, operation: operation)
        zeroPrepared(need.page, range, change)
      }
    }
  }

  /// Slots that keep their folio: those of folios that do not lie wholly among the pages that go.
  private func forEachInPlace(
    _ whole: Range<UInt64>, _ touched: ClosedRange<UInt64>, _ body: (PageIndex.Found) -> Void
  ) {
    var page = touched.lowerBound
    while page <= touched.upperBound, let found = index.next(from: page, through: touched.upperBound) {
      if found.entry.isFolio {
        let folio = folio(of: found)
        if folio.lowerBound < whole.lowerBound || folio.upperBound >= whole.upperBound || whole.isEmpty { body(found) }
      }
      page = found.lastPage + 1
    }
  }

  private func surveyZero(
    _ range: Range<Int64>, _ whole: Range<UInt64>, _ touched: ClosedRange<UInt64>, _ newLength: Int64?,
    _ change: borrowing PreparedChange
  ) -> ChangeSurvey {
    var survey = ChangeSurvey()
    // Pages that are zeroed in part are held, so that they can be written again if the store loses them.
    let stored = unsafe storeState.size
    for edge in [range.lowerBound, range.upperBound] where edge & Int64(frameByteCount - 1) != 0 {
      let page = UInt64(edge) >> frameShift
      guard !whole.contains(page), Int64(page << frameShift) < stored, change.frame(for: page) == nil,
        !survey.needs.contains(where: { $0.page == page }), index.entry(at: page).isEmpty
      else { continue }
      survey.needs.append(ChangeNeed(page: page, source: nil, isZero: false))
    }
    forEachInPlace(whole, touched) { found in
      if isBorrowed(found.entry) {
        needOthers(for: found.page, found.location, change, &survey)
      } else if change.frame(for: found.page) == nil, successor(of: found.entry, mayWrap: change.mayWrap) == nil {
        survey.mustWait = true
      }
    }
    let covered = newLength.map { pageCount($0) } ?? 0
    if !whole.isEmpty {
      survey.nodes +=
        2 * index.boundaryNodesNeeded(from: whole.lowerBound, through: whole.upperBound - 1, covering: covered)
      survey.nodes += index.boundaryNodesNeeded(from: whole.lowerBound, through: whole.lowerBound, covering: covered)
    }
    let replaced = survey.needs.map(\.page) + change.folios.map(\.page)
    for page in replaced { survey.nodes += index.nodesNeeded(from: page, through: page, covering: covered) }
    survey.nodes += index.nodesToCover(pages: covered)
    survey.isReady = survey.needs.isEmpty && !survey.mustWait && change.nodes.count >= survey.nodes
    return survey
  }

  /// Marks everything that changes. Expects the index lock held. Nil if somebody has just borrowed a folio.
  private func markZeroLocked(
    _ range: Range<Int64>, _ whole: Range<UInt64>, _ touched: ClosedRange<UInt64>, _ change: inout PreparedChange
  ) -> (inPlace: [MarkedSlot], replaced: [UInt64])? {
    var slots: [MarkedSlot] = []
    forEachInPlace(whole, touched) { found in
      guard change.frame(for: found.page) == nil, let published = successor(of: found.entry, mayWrap: change.mayWrap)
      else { return }
      mark(found.location)
      slots.append(MarkedSlot(location: found.location, page: found.page, published: published, isInPlace: true))
    }
    guard confirmMarks(slots) else { return nil }
    let replaced = storePrepared(&change, slots: &slots)
    // What goes is marked as well: else a reader could see a hole swept in before another page has gone.
    if !whole.isEmpty {
      var page = whole.lowerBound
      while page < whole.upperBound, let found = index.next(from: page, through: whole.upperBound - 1) {
        if found.entry.isFolio, !found.entry.isChanging, keeps(.marksOnWhatGoes) { mark(found.location) }
        page = found.lastPage + 1
      }
    }
    return (slots, replaced)
  }

  /// Zeroes what a range covers of a page that is not in the index yet.
  private func zeroPrepared(_ page: UInt64, _ range: Range<Int64>, _ change: borrowing PreparedChange) {
    guard let frame = change.frame(for: page) else { return }
    let covered = overwritten(of: page, by: range)
    unsafe zeroBytes(pool.address(of: frame) + covered.lowerBound, count: covered.count)
  }

  /// Takes whole folios and holes out of a range of pages, and stores one hole instead where that is wanted. Expects the index lock held and, for folios,
  /// their slots marked.
  func sweepLocked(_ pages: Range<UInt64>, becomesHole: Bool, _ change: inout PreparedChange, _ heads: inout [UInt64]) {
    guard !pages.isEmpty else { return }
    let (first, last) = (pages.lowerBound, pages.upperBound - 1)
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
        index.erase(from: max(first, found.page), through: min(last, found.lastPage), reserve: &change.nodes) { _ in }
        continue
      }
      let folio = folio(of: found)
      guard folio.lowerBound >= first, folio.upperBound <= last else {
        close(before: found.page, &change.nodes)
        gap = found.lastPage + 1
        continue
      }
      forgetMarks(found)
      let head = found.entry.headFrame(shift: pool.frameShift)
      if heads.last != head { heads.append(head) }
      index.eraseSlot(of: found)
    }
    close(before: last + 1, &change.nodes)
  }

  /// Forgets what is cached of a range, because the store has something else there now. The caller has claimed the pages and whole folios around them
  /// for changing the store, and nothing is owed for them but what may be lost.
  ///
  /// Nothing is marked: no reader can see the new state anywhere before the claim is let go, because all of it has to be filled first. The length comes last.
  /// - Parameters:
  ///   - newLength: published, if the file is to have another; of two, the longer, where `grows`.
  ///   - changingStore: has the store do it, once everything is in hand. If it throws, nothing has changed.
  func changeToUnknown(
    _ pages: ClosedRange<UInt64>, newLength: Int64?, grows: Bool, operation: CacheError.Operation,
    changingStore: () throws(CacheError) -> Void
  ) throws(CacheError) {
    var change = PreparedChange(self)
    var isStoreChanged = false
    while true {
      index.lock()
      let last = min(pages.upperBound, index.geometry.maximumPage)
      let covered = newLength.map { pageCount($0) } ?? 0
      // As many again: somebody may extend the file, and the tree, beyond the pages while the store works.
      let nodes =
        2 * index.boundaryNodesNeeded(from: pages.lowerBound, through: last, covering: covered)
        + index.nodesToCover(pages: covered)
      guard change.nodes.count >= nodes else {
        index.unlock()
        try prepare(
          &change, nodes: nodes, operation: operation,
          range: byteRange(from: pages.lowerBound, through: pages.upperBound))
        continue
      }
      guard isStoreChanged else {
        index.unlock()
        try changingStore()
        isStoreChanged = true
        continue
      }
      var heads: [UInt64] = []
      sweepLocked(pages.lowerBound..<last + 1, becomesHole: false, &change, &heads)
      if let newLength {
        let length = grows ? max(self.length, newLength) : newLength
        index.cover(pages: pageCount(length), reserve: &change.nodes)
        publishLocked(length: length)
      }
      index.unlock()
      release(heads: heads)
      return
    }
  }
}
