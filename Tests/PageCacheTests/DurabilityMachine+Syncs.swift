import PageCache
import Primitives

// Syncs, in the steps of `FileCore.give`.
extension DurabilityMachine {
  struct Syncing {
    enum Stage {
      /// Write-back has come to a page.
      case passing(Int)
      /// Makes durable what was passed over for.
      case reachingPoints
      case awaitingTransfers(UInt64)
      case flushing(UInt64)
      /// Its own flush is under way.
      case inFlush
    }

    var number = 0
    var pages = DurabilityMachine.all
    /// Only of some pages: reaches no point.
    var isOfRange = false
    var dataOnly: Bool
    var target: UInt64 = 0
    /// Changes that had been made when it began.
    var changes: UInt64 = 0
    var watch = Durability().watch
    var stage = Stage.passing(0)
    var passedOver = HoldBacks<FakePoint>.PassedOver()
    /// Pages that this pass goes over.
    var left: [ClosedRange<Int>] = []
    /// Later changes are held back, some of them.
    var since: UInt64 = .max
    var round: UInt64?
    var isTransferring = false
    var isRefused = false
    /// What it passed over could not be given.
    var isHeldBack = false

    // What must be so when it succeeds.
    var cells: [Int] = []
    var storeVersion = 0
    var lossCount = 0

    init(dataOnly: Bool) { self.dataOnly = dataOnly }
  }

  mutating func beginSync() {
    guard syncs.count < 3 else { return }
    var sync = Syncing(dataOnly: chance(2, of: 3))
    if chance(1, of: 5) {
      sync.isOfRange = true
      sync.pages = drawPages(most: 3)
    }
    beginSync(sync, upTo: chance(1, of: 4) ? points.last : nil)
  }

  mutating func beginSync(_ new: Syncing, upTo point: OwnPoint? = nil) {
    var sync = new
    lastSync += 1
    sync.number = lastSync
    sync.changes = durability.changes
    sync.target = min(durability.changes, point?.change ?? .max)
    sync.left = [sync.pages]
    sync.cells = point?.cells ?? cached
    sync.storeVersion = storeVersion
    sync.lossCount = lossCount
    note("sync \(sync.number) of \(sync.pages) up to change \(sync.target)\(sync.dataOnly ? ", data only" : "") begins")
    syncs.append(sync)
    if sync.dataOnly, durability.isSettled { return succeed(syncs.count - 1) }
    syncs[syncs.count - 1].watch = durability.watch
    beginPass(syncs.count - 1)
  }

  private mutating func beginPass(_ place: Int) {
    if let round = syncs[place].round {
      holdBacks.renewRound(round)
    } else if !holdBacks.isEmpty {
      syncs[place].round = holdBacks.beginRound(range(syncs[place].pages), upTo: syncs[place].target)
    }
    syncs[place].passedOver = .init(upTo: syncs[place].target)
    syncs[place].stage = .passing(0)
  }

  /// One step of a sync.
  mutating func advanceSync(_ place: Int) {
    let sync = syncs[place]
    switch sync.stage {
    case .passing(let page): if !sync.isTransferring { pass(place, from: page) }
    case .reachingPoints:
      if mayFail, chance(1, of: 8) {
        syncs[place].isHeldBack = true
        syncs[place].since = min(sync.since, sync.passedOver.since)
        endPasses(place)
      } else {
        for point in sync.passedOver.points.values { point.reach() }
        // It goes over these once more, and over nothing else.
        syncs[place].left = Set(sync.passedOver.due).sorted().map { Int($0)...Int($0) }
        beginPass(place)
      }
    case .awaitingTransfers(let last):
      let isLeft = transfers.contains {
        if case .publishing = $0.stage { false } else { $0.transfer.number <= last }
      }
      if durability.isTransferLeft(upTo: last) != isLeft {
        fail("of the transfers up to \(last), \(isLeft ? "some are" : "none is") left")
      }
      if !isLeft { syncs[place].stage = .flushing(durability.storeChanges) }
    case .flushing(let target):
      switch durability.flushNeed(upTo: target, dataOnly: sync.dataOnly) {
      case .none: endSync(place, failed: false)
      case .wait: break
      case .begin:
        syncs[place].stage = .inFlush
        beginFlush(of: sync)
      }
    case .inFlush: break
    }
  }

  /// Takes the next run of dirty pages, as `FileCore.writeBack` and `gather`.
  private mutating func pass(_ place: Int, from page: Int) {
    guard let part = syncs[place].left.first(where: { $0.upperBound >= page }) else { return endPass(place) }
    let page = max(page, part.lowerBound)
    let last = part.upperBound
    func nextDirty(_ page: Int, _ last: Int) -> Int? {
      page > last ? nil : (page...last).first { marks[$0] & Self.dirty != 0 }
    }
    // What another thread is giving to the store may be left out in the end: so this waits for it, and looks then.
    let inWriteBack = durability.firstInWriteBack(range(page...last)).map { Int($0) }
    guard let first = [nextDirty(page, last), inWriteBack].compactMap(\.self).min() else {
      syncs[place].stage = .passing(last + 1)
      return
    }
    let end = min(last, first + Self.batchPages - 1)
    // It waits for its claim.
    if isClaimed(first...end) { return }
    var next = first
    var taken: ClosedRange<Int>?
    while let found = nextDirty(next, end) {
      if let taken, taken.upperBound + 1 != found { break }
      if holdBacks.isHeld(UInt64(found)...UInt64(found), into: &syncs[place].passedOver) {
        if taken != nil { break }
        next = found + 1
        continue
      }
      changeMarks(found, Durability.marksWhenTaken(epoch: durability.epoch))
      taken = (taken?.lowerBound ?? found)...found
      next = found + 1
    }
    guard let taken else {
      syncs[place].stage = .passing(end + 1)
      return
    }
    let transfer = durability.beginTransfer(range(taken), isWriteBack: true)
    let number = syncs[place].number
    note("sync \(number) takes \(taken): transfer \(transfer.number)")
    transfers.append(
      Transferring(
        kind: .back(sync: number), pages: taken, transfer: transfer, stage: .copying(0),
        kept: taken.count, next: next))
    syncs[place].isTransferring = true
  }

  private mutating func endPass(_ place: Int) {
    syncs[place].since = min(syncs[place].since, syncs[place].passedOver.laterSince)
    if syncs[place].passedOver.due.isEmpty { return endPasses(place) }
    counts.passedOver += 1
    syncs[place].stage = .reachingPoints
  }

  private mutating func endPasses(_ place: Int) {
    if let round = syncs[place].round { holdBacks.endRound(round) }
    syncs[place].stage = .awaitingTransfers(durability.newestTransfer)
  }

  /// It has been flushed for, or the flush has failed.
  mutating func endSync(_ place: Int, failed: Bool) {
    let sync = syncs[place]
    let isLost = durability.loss(since: sync.watch) != nil
    let losses = lossCount - sync.lossCount
    if isLost != (losses > 0) { fail("sync \(sync.number): \(losses) losses beside it, the machine says \(isLost)") }
    if failed || sync.isRefused || sync.isHeldBack || isLost {
      note("sync \(sync.number) fails")
      counts.failedSyncs += 1
      syncs.remove(at: place)
    } else {
      succeed(place)
    }
  }

  private mutating func succeed(_ place: Int) {
    let sync = syncs.remove(at: place)
    note("sync \(sync.number) succeeds")
    counts.syncs += 1
    for cell in 2 * sync.pages.lowerBound...2 * sync.pages.upperBound + 1 where durable[cell] < sync.cells[cell] {
      fail("sync \(sync.number) has succeeded, and write \(sync.cells[cell]) in cell \(cell) is not durable")
    }
    if flushedVersion < sync.storeVersion || !sync.dataOnly && fullyFlushedVersion < sync.storeVersion {
      fail("sync \(sync.number) has succeeded, and no flush has covered the store as it was")
    }
    guard !sync.isOfRange else { return }
    _ = durability.reach(min(sync.changes, sync.since))
    reached()
  }
}
