import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

// A plain second chance over the frames: a folio that was read since the hand last passed stays, any other goes.
extension Engine {
  /// Frames that one round evicts ahead, so that one grace period serves many.
  private static var batch: Int { 64 }

  /// Takes a block of frames, evicting if it must. Nil when nothing more can be evicted, or for a large block, when no block of its
  /// size came of a round.
  ///
  /// Called outside read sections, holding no lock: it may wait for a grace period.
  /// - Cost: one lock while frames are free; else a share of an eviction round and of a grace period.
  func allocateFrames(order: Int) -> UInt64? {
    allocate(attempts: order == 0 ? 10_000 : 1) { pool.allocate(order: order) }
  }

  /// Nodes for a change of a range of pages, or nil when there is no room for them.
  func reserveNodes(for index: PageIndex, from first: UInt64, through last: UInt64) -> NodeReserve? {
    var reserve = NodeReserve(for: index)
    guard fill(&reserve, to: index.nodesNeeded(from: first, through: last)) else { return nil }
    return reserve
  }

  /// Fills a reserve up to so many nodes; false when there is no room for them.
  func fill(_ reserve: inout NodeReserve, to needed: Int) -> Bool {
    if reserve.count >= needed { return true }
    let done = allocate(attempts: 10_000) {
      if reserve.fill(to: needed) { return true }
      // All or nothing: two callers that each wait with a part would wait for each other (R12).
      reserve.giveBack()
      return nil
    }
    return done != nil
  }

  /// Tries, evicts, waits for the grace period, tries again.
  private func allocate<Value>(attempts: Int, _ attempt: () -> Value?) -> Value? {
    if let value = attempt() { return value }
    pool.reclaimRetired(waiting: false)
    if let value = attempt() { return value }
    var fruitless = 0
    for _ in 0..<attempts {
      let wanted = min(Engine.batch, max(8, pool.frameCount / 16))
      var evicted = evict(frames: wanted, sparingAccessed: true)
      // Readers may set access bits as fast as the hand clears them.
      if evicted == 0 { evicted = evict(frames: wanted, sparingAccessed: false) }
      let reclaimed = pool.reclaimRetired(waiting: true)
      // Others may have taken what this round freed: as long as frames go round, trying again makes sense.
      if let value = attempt() { return value }
      guard evicted == 0, reclaimed == 0 else { continue }
      // Holes take nodes, and are learnt again when they are missed.
      if fruitless == 0, shedHoles() > 0 { continue }
      // Every frame is held at this moment, by borrowers or by fills about to be published. Wait a little for them.
      fruitless += 1
      let limit = fillsAtStores.value > 0 ? Engine.fruitlessRoundsBesideFills : Engine.fruitlessRounds
      if fruitless > limit { return nil }
      sleepNanoseconds(1_000_000)
    }
    return nil
  }

  /// Rounds, a millisecond apart, in which nothing could be evicted before a caller is told so.
  private static var fruitlessRounds: Int { patience(50) }
  /// The same while fills are at their stores: what they bring can be evicted. A dead store must not hold others up for ever.
  private static var fruitlessRoundsBesideFills: Int { patience(5000) }

  /// Retires about `frames` frames of folios that nobody holds, and, if told to spare them, that nobody read since the hand last passed.
  /// - Returns: frames retired.
  func evict(frames wanted: Int, sparingAccessed: Bool) -> Int {
    var retired = 0
    let total = UInt64(pool.frameCount)
    // Twice around at most: the first pass may only have cleared access bits.
    var left = 2 * total
    while retired < wanted, left > 0 {
      let step = min(64, left)
      let start = clockHand.fetchAddRelaxed(step)
      left -= step
      var frame = start
      while frame < start + step {
        let head = frame % total
        let metadata = pool.table[head]
        let order = metadata.order
        let owner = metadata.owner.loadRelaxed()
        let page = metadata.page.loadRelaxed()
        if metadata.kind == .cached, evict(head, owner: owner, page: page, sparingAccessed: sparingAccessed) {
          retired += 1 << order
        }
        frame += 1
      }
    }
    return retired
  }

  /// Evicts one folio. For tests.
  /// - Returns: false if somebody holds it, its file owes it, or it is not there.
  func evict(_ file: FileCore, page: UInt64, sparingAccessed: Bool = false) -> Bool {
    let found = file.index.withLock { file.index.next(from: page, through: page) }
    guard let found, found.entry.isFolio else { return false }
    let head = found.entry.headFrame(shift: pool.frameShift)
    return evict(head, owner: file.number, page: pool.table[head].page.loadRelaxed(), sparingAccessed: sparingAccessed)
  }

  /// Evicts one folio if it still is what its metadata said, was not read lately, and nobody holds it.
  private func evict(_ head: UInt64, owner: UInt64, page: UInt64, sparingAccessed: Bool) -> Bool {
    // All that was read without a lock is a guess until the index confirms it.
    guard let file = file(number: owner) else { return false }
    let index = file.index
    let evicted = index.withLock { () -> Bool in
      guard let found = index.next(from: page, through: page), found.entry.isStable,
        found.entry.frame(shift: pool.frameShift) == head, found.entry.headFrame(shift: pool.frameShift) == head
      else { return false }
      let last = page + (1 << UInt64(found.entry.order) - 1)
      // What its store does not safely have stays, and what is being changed.
      guard isEvictable(file, from: page, through: last) else { return false }
      if sparingAccessed, clearAccessed(index, from: page, through: last) { return false }
      // Only the index's own reference is left, and nobody takes another from here on.
      guard pool.table[head].freeze(expecting: 1) else { return false }
      // The folio's slots begin and end where the range does: no node is needed.
      var none = NodeReserve(for: index)
      index.erase(from: page, through: last, reserve: &none) { _ in }
      return true
    }
    guard evicted else { return false }
    let record = domain.record()
    record.counter(Counter.evictions).addAsOnlyWriter(1)
    record.counter(Counter.evictedFrames).addAsOnlyWriter(1 << UInt64(pool.table[head].order))
    pool.retire(head)
    return true
  }

  /// Whether a folio owes nothing and nobody is changing it. Expects the index lock held.
  private func isEvictable(_ file: FileCore, from first: UInt64, through last: UInt64) -> Bool {
    var page = first
    while page <= last, let found = file.index.next(from: page, through: last) {
      if found.entry.isChanging || keeps(.owedStays) && file.isOwed(found.location, page: found.page) { return false }
      page = found.lastPage + 1
    }
    return true
  }

  /// Forgets the holes of all files, for the nodes that they take.
  /// - Returns: entries erased.
  private func shedHoles() -> Int {
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

  /// Clears the access bits of a folio's slots. Returns whether any was set. Expects the index lock held.
  private func clearAccessed(_ index: PageIndex, from first: UInt64, through last: UInt64) -> Bool {
    var wasAccessed = false
    var page = first
    while page <= last, let found = index.next(from: page, through: last) {
      if found.entry.isAccessed {
        wasAccessed = true
        index.clearAccessed(found)
      }
      page = found.lastPage + 1
    }
    return wasAccessed
  }
}
