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
  let metadata: Arena
  private let defersReuse: Bool
  let state: Monitor
  // Guarded by `state`.
  nonisolated(unsafe) var buddies: BuddyAllocator
  nonisolated(unsafe) var withdrawn: BuddyAllocator
  /// Frames from here on have never been in circulation.
  nonisolated(unsafe) var firstUnused = 0
  /// Frames in circulation, and those of them that are free: written with the lock held, read without, by who wants to know roughly.
  let circulating = InlineWord(0)
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

  /// Makes single frames of a block that is handed out and in no index: they are given back one by one.
  package func breakUp(_ head: UInt64) {
    state.withLock {
      for frame in head..<head + 1 << UInt64(table[head].order) {
        let folio = table[frame]
        folio.references.storeRelaxed(FolioMetadata.frozenBit)
        folio.pins.storeRelaxed(0)
        folio.spare.storeRelaxed(0)
        folio.setState(.allocated, order: 0)
      }
    }
  }

  /// Gives back a block that no reader can have seen, or that has had its grace period.
  package func free(_ frame: UInt64) {
    state.withLock {
      unsafe buddies.free(frame)
      noteCounts()
    }
  }

  /// Expects the lock held.
  func noteCounts() { unsafe freeCount.storeRelaxed(UInt64(buddies.freeFrames)) }

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
