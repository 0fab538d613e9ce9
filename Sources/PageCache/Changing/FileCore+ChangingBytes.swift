import Folios
import PageIndex
import Primitives

extension FileCore {
  /// Gets in hand what writing a range needs, and marks it: steps 1 to 3 of a change. The caller has claimed the pages, and reserved frames.
  ///
  /// With the lock held at its end, so that the caller can go on under it.
  /// - Parameters:
  ///   - range: not empty, at most the atomic length.
  ///   - beforeMarking: called without the lock once everything is in hand, before anything is marked: this is when the store is written.
  ///     If it throws, nothing has changed. It may return fewer bytes than the range has: then only these are changed.
  /// - Returns: the marked slots, in order; and the heads of folios that are out of the index.
  func markBytes(
    _ range: Range<Int64>, bytes: UnsafeRawBufferPointer, operation: CacheError.Operation,
    beforeMarking: () throws(CacheError) -> Int
  ) throws(CacheError) -> (slots: [MarkedSlot], replaced: [UInt64], range: Range<Int64>) {
    var change = PreparedChange(self)
    var range = range
    var pages = self.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count))
    var isStoreAsked = false
    while true {
      index.lock()
      let survey = surveyBytes(range, pages, change)
      if survey.isReady {
        guard isStoreAsked else {
          index.unlock()
          let accepted = try beforeMarking()
          isStoreAsked = true
          guard accepted < range.count else { continue }
          // What was prepared has all of the bytes in it.
          change = PreparedChange(self)
          range = range.lowerBound..<range.lowerBound + Int64(accepted)
          pages = self.pages(offset: UInt64(range.lowerBound), count: UInt64(accepted))
          continue
        }
        if let (slots, replaced) = markLocked(range, pages, &change) { return (slots, replaced, range) }
      }
      index.unlock()
      if survey.mustWait {
        domain.synchronize()
        change.mayWrap = true
      }
      try prepare(&change, nodes: survey.nodes, operation: operation, range: range)
      var needs = survey.needs[...]
      while let first = needs.first {
        let (order, frame) = try allocateFrames(for: needs, operation: operation, range: range)
        change.add(first.page, order: order, frame: frame)
        for need in needs.prefix(1 << order) {
          let address = unsafe pool.address(of: frame + (need.page - first.page))
          let covered = overwritten(of: need.page, by: range)
          try unsafe fillPage(need, at: address, overwritten: covered, operation: operation)
          guard !covered.isEmpty else { continue }
          let from = Int(Int64(need.page << frameShift) + Int64(covered.lowerBound) - range.lowerBound)
          // Nobody else sees this frame yet.
          unsafe racyCopy(
            to: address + covered.lowerBound, from: bytes.baseAddress.unsafelyUnwrapped + from, count: covered.count)
        }
        needs = needs.dropFirst(1 << order)
      }
    }
  }

  /// Frames for the first of some pages, and for as many behind it as one folio can take: the larger a write is, the larger are the folios that it makes.
  private func allocateFrames(
    for needs: ArraySlice<ChangeNeed>, operation: CacheError.Operation, range: Range<Int64>
  ) throws(CacheError) -> (order: Int, frame: UInt64) {
    var order = largestOrder(for: needs)
    while true {
      if let frame = engine.allocateFrames(order: order, for: tenant) { return (order, frame) }
      guard order > 0 else { throw noFrames(operation, range) }
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

  /// Looks what is there and what is missing. Expects the index lock held.
  private func surveyBytes(
    _ range: Range<Int64>, _ pages: ClosedRange<UInt64>, _ change: borrowing PreparedChange
  ) -> ChangeSurvey {
    var survey = ChangeSurvey()
    let stored = unsafe storeState.size
    var page = pages.lowerBound
    while page <= pages.upperBound {
      let location = index.locate(page)
      guard let location, location.entry.isStable else {
        // Nothing is known, or a hole.
        let isZero = location?.entry.isHole ?? false || Int64(page << frameShift) >= stored
        if change.frame(for: page) == nil { survey.needs.append(ChangeNeed(page: page, source: nil, isZero: isZero)) }
        page += 1
        continue
      }
      let last = page | (1 << location.shift - 1)
      if change.frame(for: page) == nil {
        if isBorrowed(location.entry) {
          needOthers(for: page, location, change, &survey)
        } else if successor(of: location.entry, mayWrap: change.mayWrap) == nil {
          survey.mustWait = true
        }
      }
      page = last + 1
    }
    if !survey.needs.isEmpty || !change.folios.isEmpty {
      // Copies of large folios may reach beyond the range.
      var all = pages
      for page in survey.needs.map(\.page)
        + [change.folios.first?.page, change.folios.last?.lastPage].compactMap(\.self)
      {
        all = min(all.lowerBound, page)...max(all.upperBound, page)
      }
      survey.nodes = index.nodesNeeded(
        from: all.lowerBound, through: all.upperBound, covering: pageCount(range.upperBound))
    }
    if range.upperBound > length { survey.nodes += index.nodesToCover(pages: pageCount(range.upperBound)) }
    survey.isReady = survey.needs.isEmpty && !survey.mustWait && change.nodes.count >= survey.nodes
    return survey
  }

  /// Marks everything. Expects the index lock held.
  /// - Returns: nil if somebody has just borrowed a folio: then nothing is marked.
  private func markLocked(
    _ range: Range<Int64>, _ pages: ClosedRange<UInt64>, _ change: inout PreparedChange
  ) -> (slots: [MarkedSlot], replaced: [UInt64])? {
    // First what is changed in place: the marks can be taken off again.
    var slots: [MarkedSlot] = []
    slots.reserveCapacity(pages.count)
    var page = pages.lowerBound
    while page <= pages.upperBound {
      guard change.frame(for: page) == nil, let location = index.locate(page),
        let published = successor(of: location.entry, mayWrap: change.mayWrap)
      else {
        page += 1
        continue
      }
      if keeps(.marksOnAll) || slots.isEmpty { mark(location) }
      slots.append(MarkedSlot(location: location, page: page, published: published, isInPlace: true))
      page = page | (1 << location.shift - 1) + 1
    }
    guard confirmMarks(slots) else { return nil }
    let end = max(length, range.upperBound)
    if end > length { index.cover(pages: pageCount(end), reserve: &change.nodes) }
    let replaced = storePrepared(&change, slots: &slots)
    if end > length, keeps(.lengthWithinMarks) { publishLocked(length: end) }
    return (slots, replaced)
  }

  /// Copies bytes into slots that are changed in place: step 4.
  func copyBytes(_ bytes: UnsafeRawBufferPointer, of range: Range<Int64>, into slots: [MarkedSlot]) {
    unsafe forEachPart(of: range, in: slots) { address, part in
      // Safe: both pieces lie inside what the slot names and inside the bytes.
      unsafe racyStore(
        to: address, from: bytes.baseAddress.unsafelyUnwrapped + Int(part.lowerBound - range.lowerBound),
        count: part.count)
    }
  }
}
