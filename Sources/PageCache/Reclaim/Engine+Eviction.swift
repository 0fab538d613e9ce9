import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

// Making room: which folio goes is the policy's choice, and whether it may is said here.
extension Engine {
  /// Frames that one round evicts ahead, so that one grace period serves many.
  private static var batch: Int { 64 }

  /// Takes a block of frames, evicting if it must. Nil when nothing more can be evicted, or for a large block, when no block of its
  /// size came of a round.
  ///
  /// Called outside read sections, holding no lock: it may wait for a grace period.
  /// - Parameters:
  ///   - mayEvict: else only what is free, or free now that its grace period is over, is taken.
  ///   - tenant: whose file it is for: its own folios may go within its reserve, too.
  /// - Cost: one lock while frames are free; else a share of an eviction round and of a grace period.
  func allocateFrames(order: Int, mayEvict: Bool = true, for tenant: Tenant? = nil) -> UInt64? {
    let frame = allocate(attempts: !mayEvict ? 0 : order == 0 ? 10_000 : 1, for: tenant) { pool.allocate(order: order) }
    if frame == nil, order > 0, pool.freeFrames >= 1 << order {
      domain.record().counter(Counter.fragmentedAllocations).addAsOnlyWriter(1)
      // Others will want one, too.
      wantedOrder.storeRelaxed(max(wantedOrder.loadRelaxed(), UInt64(order)))
      reclaimer.wake(self)
    }
    return frame
  }

  /// Fills a reserve up to so many nodes; false when there is no room for them.
  func fill(_ reserve: inout NodeReserve, to needed: Int, mayEvict: Bool = true) -> Bool {
    if reserve.count >= needed { return true }
    let done = allocate(attempts: mayEvict ? 10_000 : 0) {
      if reserve.fill(to: needed) { return true }
      // All or nothing: two callers that each wait with a part would wait for each other (R12).
      reserve.giveBack()
      return nil
    }
    return done != nil
  }

  /// Tries, evicts, waits for the grace period, tries again.
  private func allocate<Value>(attempts: Int, for tenant: Tenant? = nil, _ attempt: () -> Value?) -> Value? {
    if let value = attempt() {
      wakeReclaimerIfLow()
      return value
    }
    pool.reclaimRetired(waiting: false)
    if let value = attempt() { return value }
    var fruitless = 0
    for _ in 0..<attempts {
      let wanted = min(Engine.batch, max(8, pool.usableFrames / 16))
      var evicted = evict(frames: wanted, sparingAccessed: true, for: tenant)
      // Readers may set access bits as fast as the hand clears them.
      if evicted == 0 { evicted = evict(frames: wanted, sparingAccessed: false, for: tenant) }
      let reclaimed = pool.reclaimRetired(waiting: true)
      // Others may have taken what this round freed: as long as frames go round, trying again makes sense.
      if let value = attempt() { return value }
      guard evicted == 0, reclaimed == 0 else { continue }
      // Shadows and holes take nodes. Holes are learnt again when they are missed.
      if fruitless == 0, shedShadows(olderThan: nil) + shedHoles() > 0 { continue }
      reclaimer.wake(self)
      // Every frame is held at this moment, by borrowers or by fills about to be published. Wait a little for them.
      fruitless += 1
      // A limit that is being lowered takes what comes free until it is reached.
      let isBusy = fillsAtStores.value > 0 || isLowering.loadRelaxed() != 0
      let limit = isBusy ? Engine.fruitlessRoundsBesideFills : Engine.fruitlessRounds
      if fruitless > limit { return nil }
      sleepNanoseconds(1_000_000)
    }
    return nil
  }

  /// Rounds, a millisecond apart, in which nothing could be evicted before a caller is told so.
  private static var fruitlessRounds: Int { patience(50) }
  /// The same while fills are at their stores: what they bring can be evicted. A dead store must not hold others up for ever.
  private static var fruitlessRoundsBesideFills: Int { patience(5000) }

  /// Retires about `frames` frames of folios that nobody holds and that the policy lets go.
  /// - Parameters:
  ///   - sparingAccessed: else every folio counts as not read.
  ///   - tenant: on whose behalf: what others have within their reserves stays.
  /// - Returns: frames retired.
  func evict(frames wanted: Int, sparingAccessed: Bool, for tenant: Tenant? = nil) -> Int {
    hasEvicted.storeRelaxed(1)
    var retired = 0
    // A folio may be looked at twice in each queue until its access bit is clear and it is where it goes from. A queue of which nothing can go must not keep
    // reclaim from the other.
    var left = pool.queues.folios
    for queue in 0..<FolioQueues.count { left[queue] *= 2 }
    let remembers = !isCrowdedByNodes
    // Most of what goes is of one file, or of a few.
    var last: FileCore?
    while retired < wanted, left[0] > 0 || left[1] > 0 {
      let candidates = pool.queues.take(most: 8) { frames in
        let queue = policy.queueToLookAt(frames: frames)
        return left[queue] > 0 && frames[queue] > 0 ? queue : 1 - queue
      }
      guard let first = candidates.first else { break }
      left[first.queue] -= candidates.count
      for candidate in candidates {
        let metadata = pool.table[candidate.head]
        let frames = 1 << metadata.order
        // All that is read here without a lock is a guess until the index confirms it. What has left the index needs no queue.
        let owner = metadata.owner.loadRelaxed()
        if last?.number != owner { last = file(number: owner) }
        guard let file = last else { continue }
        if evict(
          candidate, of: file, page: metadata.page.loadRelaxed(), sparingAccessed: sparingAccessed,
          remembers: remembers, sparing: tenant)
        {
          retired += frames
        }
      }
    }
    sweepShadowsInTime()
    return retired
  }

  /// Evicts the folio that covers a page.
  /// - Returns: false if somebody holds it, its file owes it, or it is not there.
  func evict(_ file: FileCore, page: UInt64, sparingAccessed: Bool = false, remembers: Bool = true) -> Bool {
    let found = file.index.withLock { file.index.next(from: page, through: page) }
    guard let found, found.entry.isFolio else { return false }
    let head = found.entry.headFrame(shift: pool.frameShift)
    // It stays in its queue, unless it goes.
    return evict(
      FolioQueues.Candidate(head: head, queue: 0, hasReturned: true), of: file,
      page: pool.table[head].page.loadRelaxed(), sparingAccessed: sparingAccessed, remembers: remembers,
      sparing: file.tenant)
  }

  /// Evicts one folio if the policy lets it go and nobody holds it; else puts it into the queue where it belongs, if it still is what its metadata said.
  private func evict(
    _ candidate: FolioQueues.Candidate, of file: FileCore, page: UInt64, sparingAccessed: Bool, remembers: Bool,
    sparing tenant: Tenant?
  ) -> Bool {
    let (index, head) = (file.index, candidate.head)
    let evicted = index.withLock { () -> Bool in
      guard let found = index.next(from: page, through: page), found.entry.isFolio,
        found.entry.frame(shift: pool.frameShift) == head, found.entry.headFrame(shift: pool.frameShift) == head
      else { return false }
      let last = page + (1 << UInt64(found.entry.order) - 1)
      func stays(_ queue: Int, _ hasReturned: Bool) -> Bool {
        pool.queues.append(head, hasReturned: hasReturned) { _ in queue }
        return false
      }
      if let owner = file.tenant, owner != tenant, owner.keeps(Int(last - page) + 1) {
        return stays(candidate.queue, candidate.hasReturned)
      }
      let state = look(at: found, through: last, in: file)
      if state.isChanging { return stays(candidate.queue, candidate.hasReturned) }
      // What its store does not safely have is not looked at again before it has: see `changeMarks`.
      if state.isOwed {
        pool.queues.setAside(candidate)
        return false
      }
      let isAccessed = sparingAccessed && state.accessed > 0
      if isAccessed {
        if comesApart(found, accessed: state.accessed, in: file) {
          return stays(candidate.queue, candidate.hasReturned)
        }
        forEachSlot(from: found, through: last, in: index) { if $0.entry.isAccessed { index.clearAccessed($0) } }
      }
      let isRemembered: Bool
      switch policy.verdict(candidate.queue, hasReturned: candidate.hasReturned, isAccessed: isAccessed) {
      case .stays(let queue, let hasReturned): return stays(queue, hasReturned)
      case .goes(let remembered): isRemembered = remembered
      }
      // It has to go before the next one is looked at: else both would go within the reserve.
      let frames = Int(last - page) + 1
      if let owner = file.tenant, !owner.lose(frames, for: tenant) {
        return stays(candidate.queue, candidate.hasReturned)
      }
      // Only the index's own reference is left, and nobody takes another from here on.
      guard pool.table[head].freeze(expecting: 1) else {
        file.tenant?.residentFrames.add(frames)
        return stays(candidate.queue, candidate.hasReturned)
      }
      let gone = goneFrames.fetchAddRelaxed(UInt64(frames)) + UInt64(frames)
      // The folio's slots begin and end where the range does: no node is needed.
      forEachSlot(from: found, through: last, in: index) {
        if isRemembered, remembers { index.replace($0, withValue: gone) } else { index.eraseSlot(of: $0) }
      }
      return true
    }
    guard evicted else { return false }
    let frames = 1 << pool.table[head].order
    file.tenant?.evictedFrames.add(frames)
    let record = domain.record()
    record.counter(Counter.evictions).addAsOnlyWriter(1)
    record.counter(Counter.evictedFrames).addAsOnlyWriter(UInt64(frames))
    pool.retire(head)
    return true
  }

  /// What the slots of a folio say. Expects the index lock held.
  private func look(
    at first: PageIndex.Found, through last: UInt64, in file: FileCore
  ) -> (isChanging: Bool, isOwed: Bool, accessed: Int) {
    var (isChanging, isOwed, accessed) = (false, false, 0)
    let mayOwe = unsafe keeps(.owedStays) && file.durability.pages > 0
    forEachSlot(from: first, through: last, in: file.index) { slot in
      if slot.entry.isChanging { isChanging = true }
      if mayOwe, file.isOwed(slot.location, page: slot.page) { isOwed = true }
      if slot.entry.isAccessed { accessed += 1 }
    }
    return (isChanging, isOwed, accessed)
  }

  /// The slots of a folio, from one that has been found on: most folios have no other. Expects the index lock held.
  @inline(__always)
  private func forEachSlot(
    from first: PageIndex.Found, through last: UInt64, in index: PageIndex, _ body: (PageIndex.Found) -> Void
  ) {
    var slot = first
    while true {
      body(slot)
      guard slot.lastPage < last, let next = index.next(from: slot.lastPage + 1, through: last) else { return }
      slot = next
    }
  }

  /// Splits a large folio of which a quarter or less is in use: the rest of it can go.
  private func comesApart(_ found: PageIndex.Found, accessed: Int, in file: FileCore) -> Bool {
    let smallest = found.entry.order - 2
    guard smallest >= 0, found.pageCount == 1, accessed <= 1 << smallest else { return false }
    return file.splitLocked(found) { _, order in order > smallest }
  }

  /// Forgets the holes of all files, for the nodes that they take.
  /// - Returns: entries erased.
  func shedHoles() -> Int {
    var erased = 0
    for file in openFiles {
      file.index.withLock {
        var page: UInt64 = 0
        while let found = file.index.next(from: page, through: file.index.geometry.maximumPage) {
          if found.entry.isHole {
            // In its place a writer may be about to put a page for which it has counted nodes: only where nobody has a claim.
            if unsafe !file.ranges.isBlocked(first: found.page, last: found.lastPage, mode: .changingStore) {
              file.index.eraseSlot(of: found)
              erased += 1
            }
          }
          if found.lastPage >= file.index.geometry.maximumPage { break }
          page = found.lastPage + 1
        }
      }
    }
    return erased
  }
}
