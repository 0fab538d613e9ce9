import Folios
import PageIndex
import Primitives

extension FileCore {
  /// Bytes of the pool that a slot names.
  func address(of entry: Entry) -> UnsafeMutableRawPointer {
    // Safe: an entry of this index names bytes of its arena.
    unsafe pool.arena.base + Int(entry.arenaOffset)
  }

  func entry(frame: UInt64, order: Int, flags: UInt64) -> Entry {
    // Version 0: the frame has had a grace period since it last had any.
    .folio(arenaOffset: frame << frameShift, order: order, version: 0, flags: flags)
  }

  /// The word that takes the place of an entry when its bytes have changed in place; nil if its version would wrap and may not.
  @inline(__always)
  func successor(of entry: Entry, mayWrap: Bool) -> Entry? {
    let version: UInt64
    if !keeps(.versions) {
      version = entry.version
    } else if let next = index.successor(of: entry) {
      version = next
    } else if mayWrap {
      version = index.successorAfterGracePeriod(of: entry)
    } else {
      return nil
    }
    // Accessed: so that the next read of it is a plain hit.
    return .folio(
      arenaOffset: entry.arenaOffset, order: entry.order, version: version,
      flags: Entry.upToDateBit | Entry.accessedBit | entry.word & Entry.readAheadBit)
  }

  /// Pages of the folio that an entry belongs to.
  func folio(of found: PageIndex.Found) -> ClosedRange<UInt64> { folio(of: found.location, page: found.page) }

  /// The same, for the entry that was located for a page.
  func folio(of location: PageIndex.Location, page: UInt64) -> ClosedRange<UInt64> {
    let shift = pool.frameShift
    let entry = location.entry
    let first = page & ~(1 << location.shift - 1) - (entry.frame(shift: shift) - entry.headFrame(shift: shift))
    return first...first + (1 << UInt64(entry.order) - 1)
  }

  /// Whether somebody besides the index holds a folio. Before it is marked, a guess; after that and a fence, the truth: see `CachedFile.borrow`.
  func isBorrowed(_ entry: Entry) -> Bool {
    keeps(.loansRespected)
      && pool.table[entry.headFrame(shift: pool.frameShift)].references.loadRelaxed() != 1
  }

  /// Marks an entry. Relaxed: the fence in `confirmMarks` orders it before the bytes.
  func mark(_ location: PageIndex.Location) {
    // A store will do: the lock is held, and a reader's compare-and-exchange of the access bit names the whole word.
    if keeps(.marks) { location.slot.storeRelaxed(location.entry.word | Entry.changingBit) }
  }

  /// Whether nobody has borrowed what has been marked; else the marks are taken off again: nothing has changed. Expects the index lock held.
  ///
  /// A borrower counts, then looks at the entry; this marks, then looks at the count. Sequentially consistent, both: one of them sees the other. The
  /// fence also keeps the marks before the first byte that is changed (R13); it pairs with the acquire fence of a reader's check.
  func confirmMarks(_ slots: [MarkedSlot]) -> Bool {
    if keeps(.markFence) { sequentialFence() }
    if slots.allSatisfy({ !isBorrowed($0.location.entry) }) { return true }
    // Relaxed: nothing has changed since the fence, and the fence has released what a word that names a frame must.
    for slot in slots { slot.location.slot.storeRelaxed(slot.location.entry.word) }
    return false
  }

  /// What a range covers of slots that are marked and changed in place: the address of it, and its place in the file.
  func forEachPart(
    of range: Range<Int64>, in slots: [MarkedSlot], _ body: (UnsafeMutableRawPointer, Range<Int64>) -> Void
  ) {
    for slot in slots where slot.isInPlace {
      let byteCount = Int64(1) << Int64(slot.location.shift + frameShift)
      let start = Int64(slot.page << frameShift) & ~(byteCount - 1)
      let part = range.clamped(to: start..<start + byteCount)
      if !part.isEmpty { unsafe body(address(of: slot.location.entry) + Int(part.lowerBound - start), part) }
    }
  }

  /// Publishes what was marked. Expects the index lock held. Release pairs with the acquire of `PageIndex.locate`: the bytes come first.
  func publish(_ slots: [MarkedSlot], debt: ChangeDebt) -> Int {
    var owed = 0
    for slot in slots { owed += publish(slot.published, in: slot.location, page: slot.page, debt: debt) }
    return owed
  }

  /// Publishes one slot.
  @inline(__always)
  func publish(_ entry: Entry, in location: PageIndex.Location, page: UInt64, debt: ChangeDebt) -> Int {
    republish(entry, in: location)
    return debt == .dirty ? markDirty(location, page: page) : markWritten(location, page: page)
  }

  /// Puts a word in the place of one that says the same of its page, or of one that is marked. Expects the index lock held.
  ///
  /// Release pairs with the acquire of `PageIndex.locate`: the bytes come first, and the count of the folio. An access bit set meanwhile is lost.
  @inline(__always)
  func republish(_ entry: Entry, in location: PageIndex.Location) { location.slot.storeRelease(entry.word) }

  /// Takes a folio's reference of the index back, once none of its slots is in the index.
  func release(heads: [UInt64]) {
    noteResident(heads, -1)
    if keeps(.replacedReleased) { for head in heads { pool.giveBackReference(head) } }
  }

  /// Counts folios that have come into the index or left it, while their count still has the index's reference.
  func noteResident(_ heads: [UInt64], _ sign: Int) {
    guard let tenant else { return }
    tenant.residentFrames.add(sign * heads.reduce(0) { $0 + 1 << pool.table[$1].order })
  }

  /// Whoever has borrowed a folio keeps it as it is; the file gets other frames, for all of its pages. Expects the index lock held.
  func needOthers(
    for page: UInt64, _ location: PageIndex.Location, _ change: borrowing PreparedChange, _ survey: inout ChangeSurvey
  ) {
    for other in folio(of: location, page: page) where change.frame(for: other) == nil {
      guard let source = index.locate(other), !survey.needs.contains(where: { $0.page == other }) else { continue }
      // The piece of the slot's memory that is this page's.
      let within = (other & (1 << source.shift - 1)) << frameShift
      survey.needs.append(ChangeNeed(page: other, source: Entry(word: source.entry.word + within), isZero: false))
    }
  }

  /// Bytes of a page that a range covers.
  func overwritten(of page: UInt64, by range: Range<Int64>) -> Range<Int> {
    let start = Int64(page << frameShift)
    let low = max(0, range.lowerBound - start)
    return Int(low)..<Int(max(low, min(Int64(frameByteCount), range.upperBound - start)))
  }

  /// Nodes and frames for a change that needs so many more, found without any lock.
  func prepare(
    _ change: inout PreparedChange, nodes: Int, operation: CacheError.Operation, range: Range<Int64>
  ) throws(CacheError) {
    guard engine.fill(&change.nodes, to: nodes) else { throw noFrames(operation, range) }
  }

  /// Fills a frame with what a page holds now, but for what the change overwrites. What is copied from, the claim keeps as it is.
  /// - Parameter overwritten: bytes of the page that need not be there.
  func fillPage(
    _ need: ChangeNeed, at address: UnsafeMutableRawPointer, overwritten: Range<Int>, operation: CacheError.Operation
  ) throws(CacheError) {
    guard overwritten != 0..<frameByteCount else { return }
    if let source = need.source {
      unsafe racyCopy(to: address, from: self.address(of: source), count: frameByteCount)
    } else if need.isZero {
      unsafe zeroBytes(address, count: frameByteCount)
    } else {
      try unsafe readPage(need.page, into: address, operation: operation)
    }
  }

  /// Puts all prepared frames into the index, as changing. Expects the index lock held and the nodes in the reserve.
  /// - Returns: the heads of folios whose place they took.
  func storePrepared(_ change: inout PreparedChange, slots: inout [MarkedSlot]) -> [UInt64] {
    var replaced: [UInt64] = []
    for folio in change.folios {
      let old = index.locate(folio.page)?.entry
      if let old, old.isFolio {
        assert(folio.order == 0, "only what is missing, or a hole, gets a larger folio")
        let head = old.headFrame(shift: pool.frameShift)
        if replaced.last != head { replaced.append(head) }
      }
      storePrepared(folio, inPlaceOf: old, nodes: &change.nodes, slots: &slots)
    }
    change.handOver()
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
      // The same version, also now: nobody accepts a word that is marked, and the frame is new.
      // Not accessed: to have been written once is no sign of use.
      let published = entry(
        frame: folio.frame + (page - folio.page), order: folio.order, flags: Entry.upToDateBit)
      slots.append(MarkedSlot(location: location, page: page, published: published, isInPlace: false))
    }
  }
}
