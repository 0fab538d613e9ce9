import PageIndex
import Primitives
import ReadCopyUpdate

/// Index nodes in frames of the pool, so that they count towards the limit and lie on huge pages.
///
/// Nodes of one size are cut from chunks of 16 frames (fewer when the pool has no such block left). A chunk's head frame keeps, in its metadata:
/// `owner` the head's number (in every frame of the chunk), `page` nodes in use and nodes ever cut, `spare` the list of freed nodes.
@safe
package final class NodeSlab: NodeAllocator, Sendable {
  let fanOutShift: Int
  private let fanOut: Int
  private let nodeByteCount: Int
  // The pool owns its slabs and outlives them.
  private unowned(unsafe) let pool: FramePool
  private let state = Monitor()
  // Guarded by `state`: chunks with room, linked through their metadata.
  nonisolated(unsafe) private var roomy: UInt64?
  nonisolated(unsafe) private var frames = 0
  nonisolated(unsafe) private var emptyChunks = 0
  nonisolated(unsafe) private var used = 0
  private let retirement = Monitor()
  // Guarded by `retirement`.
  nonisolated(unsafe) private var oldestRetired: Node?
  nonisolated(unsafe) private var newestRetired: Node?

  private static let chunkOrder = 4

  init(pool: FramePool, fanOutShift: Int) {
    unsafe self.pool = pool
    self.fanOutShift = fanOutShift
    fanOut = 1 << fanOutShift
    nodeByteCount = IndexGeometry(fanOutShift: fanOutShift).nodeByteCount
  }

  /// Frames in chunks.
  var chunkFrames: Int { state.withLock { unsafe frames } }

  /// Nodes handed out, and those that wait for a grace period.
  var usedNodes: Int { state.withLock { unsafe used } }

  package func allocateNode(fanOut: Int) -> Node? {
    precondition(fanOut == self.fanOut)
    if let node = cut() { return node }
    reclaimRetired(waiting: false)
    if let node = cut() { return node }
    return addChunk() ? cut() : nil
  }

  package func freeNode(_ node: Node, fanOut: Int) {
    precondition(fanOut == self.fanOut)
    state.withLock { putBack(node) }
  }

  package func retireNode(_ node: Node, fanOut: Int) {
    precondition(fanOut == self.fanOut)
    node.link = 0
    retirement.withLock {
      // Under the lock: see `FramePool.retire`.
      node.gracePeriod = unsafe pool.domain.ticket().number
      if let newest = unsafe newestRetired {
        newest.link = unsafe UInt64(UInt(bitPattern: node.slots))
      } else {
        unsafe oldestRetired = node
      }
      unsafe newestRetired = node
    }
  }

  private func linked(from node: Node) -> Node? {
    // Safe: a link is the address of a node's slots, or 0.
    unsafe UnsafeMutableRawPointer(bitPattern: UInt(node.link)).map { unsafe Node(slots: $0) }
  }

  /// Puts nodes whose grace period is over back into their chunks.
  func reclaimRetired(waiting: Bool) {
    let target: UInt64? = retirement.withLock {
      (waiting ? unsafe newestRetired : unsafe oldestRetired)?.gracePeriod
    }
    guard let target else { return }
    let period = GracePeriod(number: target)
    if waiting { unsafe pool.domain.wait(for: period) } else if !(unsafe pool.domain.poll(period)) { return }
    // The front of the list is cut off, as `FramePool.reclaimRetired` does.
    var next: Node? = retirement.withLock {
      let first = unsafe oldestRetired
      var last: Node?
      while let node = unsafe oldestRetired, unsafe pool.domain.isOver(GracePeriod(number: node.gracePeriod)) {
        last = node
        unsafe oldestRetired = linked(from: node)
      }
      if unsafe oldestRetired == nil { unsafe newestRetired = nil }
      guard let last else { return nil }
      last.link = 0
      return first
    }
    guard next != nil else { return }
    state.withLock {
      while let node = next {
        next = linked(from: node)
        putBack(node)
      }
    }
  }

  // MARK: Chunks. The lock is held, but for `addChunk`.

  private func capacity(order: Int) -> UInt64 { unsafe UInt64(pool.frameByteCount << order / nodeByteCount) }

  private func addChunk() -> Bool {
    var order = NodeSlab.chunkOrder
    while order >= 0, capacity(order: order) > 0 {
      if let head = unsafe pool.allocate(order: order) {
        for frame in head..<head + 1 << UInt64(order) { unsafe pool.table[frame].owner.storeRelaxed(head) }
        let chunk = unsafe pool.table[head]
        chunk.setState(.nodes, order: order)
        chunk.page.storeRelaxed(0)
        chunk.spare.storeRelaxed(0)
        state.withLock {
          unsafe frames += 1 << order
          unsafe emptyChunks += 1
          linkRoomy(head)
        }
        return true
      }
      order -= 1
    }
    return false
  }

  private func cut() -> Node? {
    state.withLock {
      guard let head = unsafe roomy else { return nil }
      let chunk = unsafe pool.table[head]
      let counts = chunk.page.loadRelaxed()
      var used = counts & 0xFFFF_FFFF
      var cutCount = counts >> 32
      let base: UnsafeMutableRawPointer
      if let free = unsafe UnsafeMutableRawPointer(bitPattern: UInt(chunk.spare.loadRelaxed())) {
        unsafe base = free
        chunk.spare.storeRelaxed(unsafe SharedWord(at: free).loadRelaxed())
      } else {
        unsafe base = pool.address(of: head) + Int(cutCount) * nodeByteCount
        cutCount += 1
      }
      if used == 0 { unsafe emptyChunks -= 1 }
      used += 1
      chunk.page.storeRelaxed(cutCount << 32 | used)
      if used == capacity(order: chunk.order) { unlinkRoomy(head) }
      unsafe self.used += 1
      unsafe noteNewOwner(base, count: nodeByteCount)
      return unsafe Node.at(base: base, fanOut: fanOut)
    }
  }

  private func putBack(_ node: Node) {
    let base = unsafe node.base(fanOut: fanOut)
    let head = unsafe pool.table[pool.frame(of: base)].owner.loadRelaxed()
    let chunk = unsafe pool.table[head]
    assert(chunk.kind == .nodes)
    unsafe SharedWord(at: base).storeRelaxed(chunk.spare.loadRelaxed())
    chunk.spare.storeRelaxed(UInt64(UInt(bitPattern: base)))
    let counts = chunk.page.loadRelaxed()
    let used = counts & 0xFFFF_FFFF
    assert(used > 0)
    if used == capacity(order: chunk.order) { linkRoomy(head) }
    chunk.page.storeRelaxed(counts - 1)
    unsafe self.used -= 1
    guard used == 1 else { return }
    // One empty chunk stays, so that a lone node that comes and goes does not take the chunk with it.
    if unsafe emptyChunks > 0 {
      unlinkRoomy(head)
      unsafe frames -= 1 << chunk.order
      unsafe pool.free(head)
    } else {
      unsafe emptyChunks += 1
    }
  }

  private func linkRoomy(_ head: UInt64) {
    let chunk = unsafe pool.table[head]
    chunk.previous = nil
    chunk.next = unsafe roomy
    if let next = unsafe roomy { unsafe pool.table[next].previous = head }
    unsafe roomy = head
  }

  private func unlinkRoomy(_ head: UInt64) {
    let chunk = unsafe pool.table[head]
    if let previous = chunk.previous {
      unsafe pool.table[previous].next = chunk.next
    } else {
      unsafe roomy = chunk.next
    }
    if let next = chunk.next { unsafe pool.table[next].previous = chunk.previous }
  }
}
