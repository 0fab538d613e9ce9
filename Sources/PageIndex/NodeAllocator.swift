import Primitives
import ReadCopyUpdate

/// Where an index gets the memory of its nodes.
///
/// Memory is 128-byte aligned, `nodeByteCount` bytes of it, contents undefined.
package protocol NodeAllocator: AnyObject, Sendable {
  /// Memory for one node, or nil when there is none. Does not wait.
  func allocateNode(fanOut: Int) -> Node?
  /// Takes back a node that no reader has ever been able to reach.
  func freeNode(_ node: Node, fanOut: Int)
  /// Takes back a node that has left the tree: it may be reused after a grace period. Does not wait.
  func retireNode(_ node: Node, fanOut: Int)
}

/// Nodes that an operation has in hand before it takes the index lock, so that nothing is allocated, and nothing waits, while the lock is held.
package struct NodeReserve: ~Copyable {
  private let allocator: any NodeAllocator
  private let fanOut: Int
  private var nodes: [Node] = []

  /// An empty reserve for an index.
  package init(for index: PageIndex) {
    allocator = index.nodes
    fanOut = index.geometry.fanOut
  }

  deinit {
    for node in nodes { allocator.freeNode(node, fanOut: fanOut) }
  }

  package var count: Int { nodes.count }

  /// Fills the reserve up to `count` nodes. Returns false, keeping what it has, when the allocator has no more.
  package mutating func fill(to count: Int) -> Bool {
    while nodes.count < count {
      guard let node = allocator.allocateNode(fanOut: fanOut) else { return false }
      nodes.append(node)
    }
    return true
  }

  /// Gives all of it back.
  package mutating func giveBack() {
    for node in nodes { allocator.freeNode(node, fanOut: fanOut) }
    nodes.removeAll()
  }

  /// The worst case was reserved before the lock was taken: an empty reserve here is a mistake of this package.
  mutating func take() -> Node { nodes.removeLast() }
}

/// Nodes from the heap: for an index that stands alone.
@safe
package final class HeapNodeAllocator: NodeAllocator {
  private let domain: ReadDomain
  private let retired = Monitor()
  // Guarded by `retired`.
  nonisolated(unsafe) private var waiting: [(node: Node, fanOut: Int, period: GracePeriod)] = []
  private let live = SharedCounter()

  package init(domain: ReadDomain) { self.domain = domain }

  deinit {
    domain.synchronize()
    reclaim()
  }

  /// Nodes handed out and not yet freed.
  package var liveNodes: Int { Int(live.value) }

  package func allocateNode(fanOut: Int) -> Node? {
    reclaim()
    live.add(1)
    return unsafe Node.at(
      base: .allocate(byteCount: Node.byteCount(fanOut: fanOut), alignment: Entry.nodeAlignment), fanOut: fanOut)
  }

  package func freeNode(_ node: Node, fanOut: Int) {
    unsafe node.base(fanOut: fanOut).deallocate()
    live.add(-1)
  }

  package func retireNode(_ node: Node, fanOut: Int) {
    let period = domain.ticket()
    retired.withLock { unsafe waiting.append((node, fanOut, period)) }
  }

  /// Frees what no reader can see any more. Does not wait.
  package func reclaim() {
    let over = retired.withLock {
      let first = unsafe waiting.firstIndex { !domain.isOver($0.period) } ?? waiting.endIndex
      let over = unsafe Array(waiting[..<first])
      unsafe waiting.removeFirst(first)
      return over
    }
    for (node, fanOut, _) in over { freeNode(node, fanOut: fanOut) }
  }
}
