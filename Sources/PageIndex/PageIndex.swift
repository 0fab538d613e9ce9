import Primitives
import ReadCopyUpdate

/// Maps page numbers to entries: a radix tree in the manner of the kernel's XArray, with versioned words.
///
/// Lookups take no lock and see every word whole. Changes take the index's lock. An entry that covers 2^n aligned pages sits at the
/// level where it takes fewest slots, and each of these slots holds a complete word of its own.
///
/// It is bad at sparse keys: a lone entry costs a node at each level. It is bad at many writers: there is one lock. It does not own what entries refer to.
///
/// | function | lock |
/// |---|---|
/// | `locate`, `entry(at:)`, `next` | none; inside a read section, or with the lock held |
/// | `hasAny`, `setAccessed`, `nodesNeeded`, `successor` | none |
/// | `withLock` | takes the index lock; outside read sections; waits for nothing else inside |
/// | `store`, `erase`, `eraseSlot`, `replace`, `clearAccessed`, `removeAll`, `isMarked`, `setMark`, `nextHoleVersion` | expects the index lock held |
///
/// Its owner empties it (`removeAll`) before dropping it. Memory: every node is reserved before the lock is taken (`NodeReserve`, `nodesNeeded`) and freed by its allocator after a grace period.
@safe
public final class PageIndex: @unchecked Sendable {
  /// Where lookups start. In the owner's memory, so that a file can keep it on the cache line of its other hot words.
  package let root: SharedWord
  package let geometry: IndexGeometry
  package let nodes: any NodeAllocator
  let fanOutShift: Int
  let keyShift: UInt64
  let fanOut: Int
  private let monitor = Monitor()
  private let minimumShift: Int
  private let isConfined: Bool
  /// Guarded by the lock.
  private var holeVersion: UInt64 = 0

  /// - Parameters:
  ///   - root: a word of the owner's; becomes empty. The owner empties the index before it drops it (`removeAll`).
  ///   - coveredPages: how many pages the root covers from its first entry on, at least: `locateCovered` may be used below that.
  ///   - isConfined: nothing is ever stored that such a root does not cover. The tree then has one height, and `nodesNeeded` asks for little.
  package init(
    geometry: IndexGeometry, nodes: any NodeAllocator, root: SharedWord, coveredPages: UInt64 = 0,
    isConfined: Bool = false
  ) {
    self.isConfined = isConfined
    self.geometry = geometry
    self.nodes = nodes
    self.root = root
    fanOutShift = geometry.fanOutShift
    fanOut = geometry.fanOut
    keyShift = UInt64(geometry.keyShift)
    var shift = 0
    while coveredPages > 1, (coveredPages - 1) >> UInt64(shift) >= UInt64(fanOut) { shift += fanOutShift }
    minimumShift = shift
    root.storeRelaxed(0)
  }

  /// Runs the body with the index lock held.
  package func withLock<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try monitor.withLock(body)
  }

  /// A version for a hole that no hole of this index has had. Expects the lock held.
  package func nextHoleVersion() -> UInt64 {
    holeVersion += 1
    return holeVersion
  }

  /// The version after an entry's own, or nil when it is about to start again from zero: then wait for a grace period first, with
  /// nothing marked, and use zero.
  package func successor(of entry: Entry) -> UInt64? {
    let next = (entry.version + 1) & (1 << UInt64(geometry.versionBits) - 1)
    return next == 0 ? nil : next
  }

  var slotMask: UInt64 { UInt64(fanOut - 1) }

  /// The entry that leads to a node.
  func nodeEntry(for node: Node) -> Entry { .node(node, shift: node.shift + geometry.keyShift) }

  /// How far a page number is shifted to choose a slot of the node that an entry leads to.
  func pageShift(_ entry: Entry) -> UInt64 { entry.nodeShift - keyShift }

  /// The shift of a new root that is to hold a page and entries of a level.
  func rootShift(page: UInt64, level: Int) -> Int {
    var top = max(level, minimumShift)
    while page >> UInt64(top) > slotMask { top += fanOutShift }
    return top
  }

  /// The level at which an entry of this order sits, as the shift of that level.
  func levelShift(order: Int) -> Int {
    let shift = order / fanOutShift * fanOutShift
    return isConfined ? min(shift, minimumShift) : shift
  }

  /// Whether a confined index can hold a page.
  func isWithinConfines(_ page: UInt64) -> Bool { !isConfined || page >> UInt64(minimumShift) <= slotMask }

  /// Most nodes that storing or erasing in this range of pages can use, however tall the tree is by the time the lock is held.
  package func nodesNeeded(from first: UInt64, through last: UInt64) -> Int {
    precondition(first <= last && last <= IndexGeometry.maximumPage)
    var needed = 0
    var shift = fanOutShift
    if isConfined {
      while shift <= minimumShift + fanOutShift {
        needed += Int(last >> UInt64(shift)) - Int(first >> UInt64(shift)) + 1
        shift += fanOutShift
      }
      return needed
    }
    while true {
      // Nodes whose slots have shift `shift - fanOutShift`; one more a level, for an old root that sinks when the tree grows.
      needed += Int(last >> UInt64(shift)) - Int(first >> UInt64(shift)) + 2
      if last >> UInt64(shift) == 0, shift > minimumShift { break }
      shift += fanOutShift
    }
    // Under a taller root, the way down to the range: one more a level.
    while IndexGeometry.maximumPage >> UInt64(shift) > slotMask {
      needed += 1
      shift += fanOutShift
    }
    return needed
  }
}
