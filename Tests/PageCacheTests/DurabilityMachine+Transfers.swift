import PageCache
import Primitives

// What threads do with the store: transfers, and the flush.
extension DurabilityMachine {
  /// One step of a transfer.
  mutating func advanceTransfer(_ number: Int) {
    var one = transfers[number]
    switch one.stage {
    case .copying(let done):
      let page = one.pages.lowerBound + done
      one.copy += [cached[2 * page], cached[2 * page + 1]]
      one.stage = done + 1 == one.pages.count ? .looking : .copying(done + 1)
    case .looking:
      keepUnheld(&one)
      one.stage = .giving
    case .giving:
      if one.done == one.kept {
        one.stage = .noting
      } else if mayFail, chance(1, of: 12) {
        note("transfer \(one.transfer.number) is refused after \(one.done) pages")
        one.isRefused = true
        one.stage = .noting
      } else {
        give(one.pages.lowerBound + one.done, one)
        one.done += 1
      }
    case .noting:
      if one.done > 0 { noteStoreChange() }
      one.stage = .ending
    case .ending:
      let standing = durability.endTransfer(one.transfer)
      note("transfer \(one.transfer.number) of \(one.pages) ends: \(one.done) pages, \(standing)")
      if standing == .dirty { counts.dirtyAfterTransfer += 1 }
      if case .through(_, _, let isInPlace) = one.kind, isInPlace {
        // A long copy is made in between.
        one.stage = .publishing(standing)
      } else {
        transfers.remove(at: number)
        return one.isThrough ? publish(one, standing) : restore(one)
      }
    case .publishing(let standing):
      transfers.remove(at: number)
      return publish(one, standing)
    }
    transfers[number] = one
  }

  /// The store gets a page: what was copied of it, or what a write-through write has.
  private mutating func give(_ page: Int, _ one: Transferring) {
    let first = 2 * (page - one.pages.lowerBound)
    for cell in 0..<2 {
      var new: Int
      switch one.kind {
      case .through(let cells, let version, _):
        if cells & 1 << cell == 0 { continue }
        new = version
      case .back: new = one.copy[first + cell]
      }
      given[2 * page + cell] = new
      if let point = pointOfVersion[new], !point.isReached {
        fail("the store gets write \(new) in page \(page) before the point is reached that it waits for")
      }
    }
  }

  /// As `FileCore.keepUnheld`: what has been held back since it was taken is not given.
  private mutating func keepUnheld(_ one: inout Transferring) {
    guard !holdBacks.isEmpty, case .back(let sync) = one.kind,
      let place = syncs.firstIndex(where: { $0.number == sync })
    else { return }
    if let held = one.pages.first(where: { holdBacks.isHeld(UInt64($0)...UInt64($0)) }) {
      holdBacks.lowerSince(range(held...one.pages.upperBound), to: durability.durableChanges)
    }
    for (number, page) in one.pages.enumerated() {
      if holdBacks.isHeld(UInt64(page)...UInt64(page), into: &syncs[place].passedOver) {
        note("transfer \(one.transfer.number) leaves out page \(page)")
        one.kept = number
        one.next = page + 1
        break
      }
    }
    for page in one.pages.prefix(one.kept) { holdBacks.remove(UInt64(page)) }
  }

  /// The end of a write-back.
  private mutating func restore(_ one: Transferring) {
    guard case .back(let sync) = one.kind else { return }
    var refused: Int?
    for (number, page) in one.pages.enumerated() {
      let isWritten = number < one.done
      mark(page, as: isWritten ? .written : .dirty)
      if !isWritten { holdBacks.lowerSince(range(page...page), to: durability.durableChanges) }
      if !isWritten, refused == nil { refused = page + 1 }
    }
    if one.isRefused { noteLoss() }
    guard let place = syncs.firstIndex(where: { $0.number == sync }) else { return }
    syncs[place].isTransferring = false
    syncs[place].isRefused = syncs[place].isRefused || one.isRefused
    syncs[place].stage = .passing(one.isRefused ? refused ?? one.next : one.next)
  }

  /// The end of a write-through write.
  private mutating func publish(_ one: Transferring, _ standing: Durability.Standing) {
    guard case .through(let cells, let version, let isInPlace) = one.kind else { return }
    for (number, page) in one.pages.enumerated() {
      if number < one.done {
        change(page, cells: cells, to: version)
        mark(page, as: standing)
      } else if isInPlace {
        mark(page, as: one.done > 0 ? standing : .written)
      }
    }
    if one.done > 0 { durability.noteChange() }
  }

  mutating func noteLoss() {
    lossCount += 1
    durability.noteLoss(Self.refusal)
  }
}

// MARK: The flush

extension DurabilityMachine {
  struct Flushing {
    enum Stage { case store, failed, clearing(Int) }
    let flush: Durability.Flush
    let dataOnly: Bool
    let sync: Int
    /// What the store had when it began.
    let cells: [Int]
    let storeVersion: Int
    var stage: Stage = .store
  }

  mutating func beginFlush(of sync: Syncing) {
    note("sync \(sync.number) flushes")
    if durability.isFlushing { fail("a flush begins beside another") }
    flushing = Flushing(
      flush: durability.beginFlush(), dataOnly: sync.dataOnly, sync: sync.number, cells: given,
      storeVersion: storeVersion)
  }

  /// One step of the flush.
  mutating func advanceFlush() {
    guard var one = flushing else { return }
    switch one.stage {
    case .store:
      if mayFail, chance(1, of: 4) {
        lose(one)
        one.stage = .failed
      } else {
        counts.flushes += 1
        for cell in durable.indices { durable[cell] = max(durable[cell], one.cells[cell]) }
        for page in isForeign.indices where isForeign[page] {
          isForeign[page] = (2 * page...2 * page + 1).contains { durable[$0] < cached[$0] }
        }
        flushedVersion = max(flushedVersion, one.storeVersion)
        if !one.dataOnly { fullyFlushedVersion = max(fullyFlushedVersion, one.storeVersion) }
        one.stage = .clearing(0)
      }
    case .failed:
      note("the flush has failed")
      counts.failedFlushes += 1
      lossCount += 1
      durability.failFlush(one.flush, Self.refusal)
      for page in marks.indices where marks[page] & ~Self.dirty != 0 {
        changeMarks(page, Durability.marksWhenLost)
        holdBacks.lowerSince(range(page...page), to: durability.durableChanges)
      }
      flushing = nil
      return flushIsOver(one, succeeded: false)
    case .clearing(let page):
      if page == Self.pageCount {
        note("the flush has succeeded")
        durability.endFlush(one.flush, dataOnly: one.dataOnly)
        flushing = nil
        return flushIsOver(one, succeeded: true)
      }
      if marks[page] & 1 << one.flush.mark.rawValue != 0 {
        if durability.isInTransfer(UInt64(page)...UInt64(page)) {
          mark(page, as: .written)
        } else {
          var change = Durability.marksWhenLost
          (change.add, change.remove) = (0, one.flush.mark.bit)
          changeMarks(page, change)
        }
      }
      one.stage = .clearing(page + 1)
    }
    flushing = one
  }

  /// Of what the store was given, and had not flushed, some pages are durable and some are lost.
  private mutating func lose(_ one: Flushing) {
    for page in marks.indices {
      if chance(1, of: 3) {
        for cell in 2 * page...2 * page + 1 { durable[cell] = max(durable[cell], one.cells[cell]) }
      }
      guard chance(1, of: 2) else { continue }
      for cell in 2 * page...2 * page + 1 {
        // Of what others have written there is no copy that is owed: that it may be lost is not told here.
        let left = isForeign[page] ? cached[cell] : durable[cell]
        if given[cell] != left { note("cell \(cell) loses write \(given[cell])") }
        given[cell] = left
      }
    }
  }

  private mutating func flushIsOver(_ one: Flushing, succeeded: Bool) {
    guard let place = syncs.firstIndex(where: { $0.number == one.sync }) else { return }
    endSync(place, failed: !succeeded)
  }
}
