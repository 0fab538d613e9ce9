import Primitives
import ReadCopyUpdate

/// The bounded pool: an arena of frames, the array that describes them, and who has which.
///
/// Frames in circulation and their descriptions fill the limit and never exceed it; index nodes live in frames. A block that readers may have seen goes
/// back through `retire`, and is handed on only after a grace period (P5, L15). Memory that waits needs no memory of its own: the list runs
/// through the metadata.
///
/// | function | lock |
/// |---|---|
/// | `allocate`, `free`, counts | takes the pool's lock briefly; anywhere |
/// | `retire` | takes the list's lock briefly; anywhere |
/// | `reclaimRetired(waiting: false)` | never waits for readers; outside read sections |
/// | `reclaimRetired(waiting: true)` | waits for a grace period; outside read sections, with no lock or mark held |
@safe
package final class FramePool: Sendable {
  package let arena: Arena
  package let table: FolioTable
  package let frameShift: Int
  package let domain: ReadDomain
  /// Folios in the index, for reclaim.
  package let queues: FolioQueues
  private let metadata: Arena
  private let defersReuse: Bool
  private let state: Monitor
  // Guarded by `state`.
  nonisolated(unsafe) private var buddies: BuddyAllocator
  nonisolated(unsafe) private var withdrawn: BuddyAllocator
  /// Frames from here on have never been in circulation.
  nonisolated(unsafe) private var firstUnused = 0
  /// Frames in circulation, and those of them that are free: written with the lock held, read without, by who wants to know roughly.
  private let circulating = InlineWord(0)
  private let freeCount = InlineWord(0)
  private let retirement = Monitor()
  // Guarded by `retirement`: a list in order of retirement.
  nonisolated(unsafe) private var oldestRetired: UInt64?
  nonisolated(unsafe) private var newestRetired: UInt64?
  nonisolated(unsafe) private var retiredFrameCount = 0
  nonisolated(unsafe) private var peakRetiredFrameCount = 0
  // Set once, in init, before anybody else has the pool.
  nonisolated(unsafe) private var slabs: [NodeSlab] = []

  /// - Parameters:
  ///   - limit: bytes for frames and their metadata together. At least one frame's worth.
  ///   - maximum: what the limit can become.
  ///   - frameShift: base-2 logarithm of a frame's bytes; 12, but smaller in the laboratory.
  ///   - nodeFanOutShifts: base-2 logarithms of the slots of the nodes that it has to make.
  ///   - defersReuse: else what is retired is free at once: for measurements.
  package init(
    limit: Int, maximum: Int? = nil, kind: ArenaKind = .privateAnonymous, frameShift: Int = 12,
    nodeFanOutShifts: [Int] = [6, 9],
    populate: Bool = false, lock: Bool = false, domain: ReadDomain, defersReuse: Bool = true
  ) throws(ArenaError) {
    let frameCount = FramePool.frameCount(limit: max(limit, maximum ?? limit), frameShift: frameShift)
    let first = FramePool.frameCount(limit: limit, frameShift: frameShift)
    precondition(first > 0)
    arena = try Arena(
      byteCount: frameCount << frameShift, offered: first << frameShift, kind: kind, populate: populate, lock: lock)
    metadata = try Arena(
      byteCount: frameCount * FolioMetadata.byteCount, offered: first * FolioMetadata.byteCount,
      kind: .privateAnonymous, populate: populate, lock: lock)
    table = unsafe FolioTable(base: metadata.base, frameCount: frameCount)
    self.frameShift = frameShift
    self.domain = domain
    self.defersReuse = defersReuse
    unsafe noteSharedMemory(arena.base, count: frameCount << frameShift)
    state = Monitor()
    unsafe buddies = BuddyAllocator(table: table)
    unsafe withdrawn = BuddyAllocator(table: table, freeKind: .withdrawn)
    queues = FolioQueues(table: table)
    unsafe buddies.add(0..<UInt64(first))
    unsafe firstUnused = first
    circulating.storeRelaxed(UInt64(first))
    freeCount.storeRelaxed(UInt64(first))
    unsafe slabs = nodeFanOutShifts.map { NodeSlab(pool: self, fanOutShift: $0) }
  }

  /// Frames that fit into a limit, metadata included.
  package static func frameCount(limit: Int, frameShift: Int) -> Int {
    max(0, limit / (1 << frameShift + FolioMetadata.byteCount))
  }

  /// Frames that there can ever be.
  package var frameCount: Int { table.frameCount }
  /// Frames from this one on have never been in circulation.
  package var frontier: Int { state.withLock { unsafe firstUnused } }
  /// Frames in circulation.
  package var usableFrames: Int { Int(circulating.loadRelaxed()) }
  package var frameByteCount: Int { 1 << frameShift }

  /// Where a frame's bytes are.
  package func address(of frame: UInt64) -> UnsafeMutableRawPointer {
    precondition(frame < UInt64(frameCount), "no such frame")
    // Safe: inside the arena.
    return unsafe arena.base + Int(frame) << frameShift
  }

  /// The frame in which an address of the arena lies.
  func frame(of address: UnsafeMutableRawPointer) -> UInt64 {
    unsafe UInt64((address - arena.base) >> frameShift)
  }

  /// Takes a block of 2^order frames. Its bytes are garbage; its count is frozen.
  /// - Cost: one uncontended lock; no system call; frees nothing and waits for nothing.
  package func allocate(order: Int) -> UInt64? {
    let frame = state.withLock {
      defer { noteCounts() }
      return unsafe buddies.allocate(order: order)
    }
    if let frame {
      let folio = table[frame]
      unsafe noteNewOwner(address(of: frame), count: frameByteCount << order)
      folio.references.storeRelaxed(FolioMetadata.frozenBit)
      folio.pins.storeRelaxed(0)
      folio.owner.storeRelaxed(0)
      folio.page.storeRelaxed(0)
      folio.spare.storeRelaxed(0)
    }
    return frame
  }

  /// Gives back a block that no reader can have seen, or that has had its grace period.
  package func free(_ frame: UInt64) {
    state.withLock {
      unsafe buddies.free(frame)
      noteCounts()
    }
  }

  /// Expects the lock held.
  private func noteCounts() { unsafe freeCount.storeRelaxed(UInt64(buddies.freeFrames)) }

  /// Gives back a block that readers may still be reading. Its count is frozen and no index names it.
  package func retire(_ frame: UInt64) {
    let folio = table[frame]
    assert(folio.references.loadRelaxed() & FolioMetadata.frozenBit != 0)
    let order = folio.order
    queues.remove(frame)
    guard keeps(.deferredReuse), defersReuse else { return free(frame) }
    folio.setState(.leaving, order: order)
    retirement.withLock {
      // Under the lock, so that periods on the list do not go down: a wait for the newest is one for all.
      folio.period.storeRelaxed(domain.ticket().number)
      folio.next = nil
      if let newest = unsafe newestRetired { table[newest].next = frame } else { unsafe oldestRetired = frame }
      unsafe newestRetired = frame
      unsafe retiredFrameCount += 1 << order
      unsafe peakRetiredFrameCount = max(peakRetiredFrameCount, retiredFrameCount)
    }
  }

  /// A part of a folio that comes apart.
  package struct Piece: Sendable {
    package let head: UInt64
    package let page: UInt64
    package let order: Int

    package init(head: UInt64, page: UInt64, order: Int) {
      self.head = head
      self.page = page
      self.order = order
    }
  }

  /// Describes the frames of a folio as several smaller ones, each with the index's reference: but for the first, whose count stays frozen.
  /// - Parameters:
  ///   - head: its count is frozen, and only the index had a reference.
  ///   - pieces: all of it, in order.
  package func split(_ head: UInt64, into pieces: [Piece]) {
    let owner = table[head].owner.loadRelaxed()
    queues.split(head, into: pieces.map(\.head)) {
      for piece in pieces {
        let folio = table[piece.head]
        folio.owner.storeRelaxed(owner)
        folio.page.storeRelaxed(piece.page)
        folio.pins.storeRelaxed(0)
        if piece.head != head { folio.spare.storeRelaxed(0) }
        folio.setState(.cached, order: piece.order)
        if piece.head != head { folio.thaw(to: 1) }
      }
    }
  }

  /// Frees retired blocks, and index nodes, whose grace period is over; tries to end the oldest one, or waits until all that have been retired by
  /// now are over.
  /// - Returns: frames freed.
  @discardableResult
  package func reclaimRetired(waiting: Bool) -> Int {
    let target: UInt64? = retirement.withLock {
      let frame = waiting ? unsafe newestRetired : unsafe oldestRetired
      return frame.map { table[$0].period.loadRelaxed() }
    }
    if let target {
      if waiting {
        domain.wait(for: GracePeriod(number: target))
      } else if !domain.poll(GracePeriod(number: target)) {
        return 0
      }
    }
    let before = freeFrames
    // The front of the list is cut off: no memory is needed to free any amount of it.
    var next: UInt64? = retirement.withLock {
      let first = unsafe oldestRetired
      var last: UInt64?
      while let frame = unsafe oldestRetired, domain.isOver(GracePeriod(number: table[frame].period.loadRelaxed())) {
        last = frame
        unsafe oldestRetired = table[frame].next
        unsafe retiredFrameCount -= 1 << table[frame].order
      }
      if unsafe oldestRetired == nil { unsafe newestRetired = nil }
      guard let last else { return nil }
      table[last].next = nil
      return first
    }
    while next != nil {
      // In steps, so that nobody waits long for the lock.
      state.withLock {
        for _ in 0..<256 {
          guard let frame = next else { break }
          next = table[frame].next
          unsafe buddies.free(frame)
        }
        noteCounts()
      }
    }
    for slab in unsafe slabs { slab.reclaimRetired(waiting: waiting) }
    return max(0, freeFrames - before)
  }

  /// The allocator of index nodes with this fan-out.
  package func nodes(fanOutShift: Int) -> NodeSlab {
    guard let slab = unsafe slabs.first(where: { $0.fanOutShift == fanOutShift }) else {
      preconditionFailure("the pool has no nodes of 2^\(fanOutShift) slots")
    }
    return slab
  }

  // MARK: Compaction

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

  // MARK: The limit

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

  // MARK: Counts

  /// Frames that nobody has.
  package var freeFrames: Int { state.withLock { unsafe buddies.freeFrames } }
  /// The same, a moment ago, without the lock.
  package var freeFramesRoughly: Int { Int(freeCount.loadRelaxed()) }
  /// Free blocks by order.
  package var freeBlocks: [Int] { state.withLock { unsafe buddies.freeBlocks } }
  /// Frames that wait for a grace period.
  package var retiredFrames: Int { retirement.withLock { unsafe retiredFrameCount } }
  /// The most that have ever waited at one time.
  package var peakRetiredFrames: Int { retirement.withLock { unsafe peakRetiredFrameCount } }
  /// Frames that hold index nodes.
  package var nodeFrames: Int { unsafe slabs.reduce(0) { $0 + $1.chunkFrames } }
  /// Index nodes handed out, and those that wait for a grace period.
  package var usedNodes: Int { unsafe slabs.reduce(0) { $0 + $1.usedNodes } }
}
