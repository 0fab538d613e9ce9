import Folios
import PageIndex
import Primitives

// Large blocks are made again where small folios have been left over everywhere: of a piece of the arena that is mostly free, what is left is moved elsewhere.
//
// A folio that moves changes its entry, like everything else that readers must notice (L13): a reader who has copied from the old frame finds another word, and reads
// again; the old frame goes the way of every frame that leaves the index, and is not handed on before a grace period. Whoever has a reference to it keeps it where
// it is: the count is frozen before the bytes are copied, and stays so.
extension Engine {
  /// How many pieces of the arena are looked at for the best one.
  private static var candidates: Int { 32 }
  /// Folios larger than this are not moved: their file's lock would be held too long.
  private static var largestMoved: Int { 8 }

  /// Tries to make a free block of an order. Called outside read sections, holding no lock: it waits for grace periods.
  /// - Returns: whether there is one now.
  func compact(order: Int) -> Bool {
    guard order > 0, pool.frameCount >> order > 0 else { return false }
    let count = UInt64(pool.frameCount >> order)
    var best: (first: UInt64, used: Int)?
    let start = compactionHand.fetchAddRelaxed(UInt64(Engine.candidates))
    for number in 0..<min(count, UInt64(Engine.candidates)) {
      let first = ((start &+ number) % count) << UInt64(order)
      guard let used = pool.movableFrames(from: first, order: order), used < best?.used ?? .max else { continue }
      best = (first, used)
    }
    // What is moved needs room outside of the piece.
    guard let best, best.used <= pool.freeFrames - (1 << order - best.used) else { return false }
    return pool.assemble(best.first, order: order) { head in move(head) }
  }

  /// Moves a folio to another frame.
  /// - Returns: whether its old frames are on their way to being free.
  func move(_ head: UInt64) -> Bool {
    let metadata = pool.table[head]
    let (order, owner, page) = (metadata.order, metadata.owner.loadRelaxed(), metadata.page.loadRelaxed())
    guard metadata.kind == .cached, order <= Engine.largestMoved, let file = file(number: owner),
      let target = pool.allocate(order: order)
    else { return false }
    guard file.move(head, page: page, order: order, to: target) else {
      pool.free(target)
      return false
    }
    pool.retire(head)
    domain.record().counter(Counter.moves).addAsOnlyWriter(1)
    return true
  }
}

extension FileCore {
  /// Puts a folio's bytes into other frames, if it still is what its metadata said, nobody has a reference to it, and it owes nothing. Its old count stays frozen.
  fileprivate func move(_ head: UInt64, page: UInt64, order: Int, to target: UInt64) -> Bool {
    let pool = pool
    let shift = pool.frameShift
    return index.withLock {
      var slots: [PageIndex.Location] = []
      var next = page
      let end = page + 1 << UInt64(order)
      while next < end {
        guard let location = index.locate(next), location.entry.isStable, location.entry.order == order,
          location.entry.frame(shift: shift) == head + (next - page), !isOwed(location, page: next)
        else { return false }
        slots.append(location)
        next += 1 << location.shift
      }
      guard next == end else { return false }
      if keeps(.moveFreezes) {
        guard pool.table[head].freeze(expecting: 1) else { return false }
      } else {
        pool.table[head].references.storeRelaxed(FolioMetadata.frozenBit)
      }
      func copy() {
        unsafe racyCopy(to: pool.address(of: target), from: pool.address(of: head), count: pool.frameByteCount << order)
      }
      if keeps(.copiedBeforeMoved) { copy() }
      let metadata = pool.table[target]
      metadata.owner.storeRelaxed(number)
      metadata.page.storeRelaxed(page)
      metadata.setState(.cached, order: order)
      metadata.thaw(to: 1)
      for location in slots {
        // Version 0: the frame has had a grace period since it last had any.
        let old = location.entry
        let offset = (target << UInt64(shift)) + (old.arenaOffset - head << UInt64(shift))
        republish(
          .folio(
            arenaOffset: offset, order: order, version: 0,
            flags: old.word & (Entry.upToDateBit | Entry.accessedBit | Entry.readAheadBit)), in: location)
      }
      if !keeps(.copiedBeforeMoved) { copy() }
      pool.queues.replace(head, with: target)
      return true
    }
  }
}
