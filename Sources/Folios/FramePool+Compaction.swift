import Primitives

// Making one large block of what is free in pieces: whose folios these are, and whether they can be moved, the caller knows.
extension FramePool {
  /// Frames of folios in a piece of the arena, if there is nothing else in it but free frames: a guess, without a lock.
  package func movableFrames(from first: UInt64, order: Int) -> Int? {
    var used = 0
    var frame = first
    let end = first + 1 << UInt64(order)
    while frame < end {
      let folio = table[frame]
      let count: UInt64 = 1 << UInt64(folio.order)
      switch folio.kind {
      case .free where count <= end - first, .leaving: break
      case .cached where frame + count <= end: used += Int(count)
      default: return nil
      }
      frame += count
    }
    return frame == end ? used : nil
  }

  /// Makes one free block of a piece of the arena, if all that is in it can be moved. Waits for a grace period.
  /// - Parameter move: moves a folio away: its frames are retired.
  package func assemble(_ first: UInt64, order: Int, moving move: (_ head: UInt64) -> Bool) -> Bool {
    let range = first..<first + 1 << UInt64(order)
    precondition(first & (1 << UInt64(order) - 1) == 0, "a block begins at a multiple of its size")
    // What is free is taken first, so that nothing is moved into it.
    var taken = take(in: range)
    var frame = range.lowerBound
    var isMoved = true
    while frame < range.upperBound, isMoved {
      let folio = table[frame]
      let count: UInt64 = 1 << UInt64(folio.order)
      if folio.kind == .cached { isMoved = move(frame) }
      frame += count
    }
    if isMoved {
      reclaimRetired(waiting: true)
      taken += take(in: range)
    }
    let frames = taken.reduce(0) { $0 + 1 << table[$1].order }
    state.withLock {
      if frames == range.count {
        for block in taken { table[block].setState(.tail, order: 0) }
        table[first].setState(.allocated, order: order)
        unsafe buddies.free(first)
      } else {
        for block in taken { unsafe buddies.free(block) }
      }
      noteCounts()
    }
    return frames == range.count
  }

  private func take(in range: Range<UInt64>) -> [UInt64] {
    state.withLock {
      defer { noteCounts() }
      return unsafe buddies.take(in: range)
    }
  }
}
