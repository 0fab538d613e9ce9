import Primitives

// Putting frames into circulation and taking them out again, while the pool is in use.
extension FramePool {
  /// Frames that fit into a limit, beside the metadata of all frames that have been in circulation.
  package func usableFrames(limit: Int) -> Int {
    let fresh = FramePool.frameCount(limit: limit, frameShift: frameShift)
    let touched = frontier
    return min(frameCount, fresh >= touched ? fresh : max(0, (limit - touched * FolioMetadata.byteCount) >> frameShift))
  }

  /// Takes free frames out of circulation and gives their memory back to the system, large blocks first.
  /// - Parameter target: frames that are to stay in circulation.
  /// - Returns: frames that are in circulation now: more, if not enough of them are free.
  /// - Cost: one lock, and a system call for each block.
  @discardableResult
  package func withdraw(downTo target: Int) -> Int {
    while let (block, order) = takeToWithdraw(downTo: target) {
      let part = bytes(of: block, order: order)
      if order < BuddyAllocator.maximumOrder { arena.allowHugePage(around: part, false) }
      arena.withdraw(part)
      state.withLock { unsafe withdrawn.free(block) }
    }
    return usableFrames
  }

  private func takeToWithdraw(downTo target: Int) -> (UInt64, order: Int)? {
    state.withLock {
      let surplus = usableFrames - target
      for order in stride(from: BuddyAllocator.maximumOrder, through: 0, by: -1) where 1 << order <= surplus {
        guard let block = unsafe buddies.allocate(order: order) else { continue }
        circulating.storeRelaxed(UInt64(usableFrames - 1 << order))
        noteCounts()
        return (block, order)
      }
      return nil
    }
  }

  /// Puts frames into circulation: those that were withdrawn, large blocks first, then new ones.
  /// - Parameter target: frames that are to be in circulation.
  /// - Throws: `ArenaError` if the system does not give memory that is to be locked; then fewer are.
  package func extend(upTo target: Int) throws(ArenaError) {
    while let (block, order) = takeWithdrawn(upTo: target) {
      let part = bytes(of: block, order: order)
      do { try arena.offer(part) } catch {
        state.withLock { unsafe withdrawn.free(block) }
        throw error
      }
      state.withLock {
        unsafe buddies.free(block)
        circulating.storeRelaxed(UInt64(usableFrames + 1 << order))
        noteCounts()
      }
      if order < BuddyAllocator.maximumOrder, hasNothingWithdrawn(around: block) {
        arena.allowHugePage(around: part, true)
      }
    }
    // One caller at a time: see `Engine.setLimit`.
    let start = frontier
    let end = min(frameCount, start + max(0, target - usableFrames))
    guard start < end else { return }
    try metadata.offer(start * FolioMetadata.byteCount..<end * FolioMetadata.byteCount)
    try arena.offer(start << frameShift..<end << frameShift)
    state.withLock {
      unsafe buddies.add(UInt64(start)..<UInt64(end))
      unsafe firstUnused = end
      circulating.storeRelaxed(UInt64(usableFrames + end - start))
      noteCounts()
    }
  }

  private func bytes(of block: UInt64, order: Int) -> Range<Int> {
    Int(block) << frameShift..<(Int(block) + 1 << order) << frameShift
  }

  private func hasNothingWithdrawn(around block: UInt64) -> Bool {
    let count: UInt64 = 1 << UInt64(BuddyAllocator.maximumOrder)
    let first = block / count * count
    let end = min(first + count, UInt64(frameCount))
    return state.withLock { !(first..<end).contains { table[$0].kind == .withdrawn } }
  }

  private func takeWithdrawn(upTo target: Int) -> (UInt64, order: Int)? {
    state.withLock {
      let missing = target - usableFrames
      for order in stride(from: BuddyAllocator.maximumOrder, through: 0, by: -1) where 1 << order <= missing {
        if let block = unsafe withdrawn.allocate(order: order) { return (block, order) }
      }
      return nil
    }
  }
}
