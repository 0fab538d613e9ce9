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
/// | `hasAny`, `noteAccess`, `nodesNeeded`, `boundaryNodesNeeded`, `successor` | none |
/// | `withLock`, `lock` | takes the index lock; outside read sections |
/// | `store`, `storeHole`, `replace`, `erase`, `eraseSlot`, `clearAccessed`, `setReadAheadMark`, `removeAll`, `cover`, `marks`, `isMarked`, `setMark`, `nextHoleVersion`, `nodesToStore`, `unlock`, `broadcast` | expects the index lock held |
/// | `wait` | expects the index lock held, gives it away meanwhile |
///
/// The lock is also the lock of whatever belongs to the same file: its owner guards its own tables with it, and waits on it for changes of them.
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
  @usableFromInline let monitor = Monitor()
  /// Shift of the lowest root that covers what `locateCovered` may be asked for. Changed with the lock held, only upwards; read without it by who
  /// makes a reserve, and looks again with the lock held. So relaxed: with the lock it is ordered, and without it is a guess.
  private let lowestRootShift = InlineWord(0)
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
    root.storeRelaxed(0)
    lowestRootShift.storeRelaxed(UInt64(rootShift(coveringPages: coveredPages)))
  }

  private func rootShift(coveringPages pages: UInt64) -> Int {
    var shift = 0
    while pages > 1, (pages - 1) >> UInt64(shift) >= UInt64(fanOut) { shift += fanOutShift }
    return shift
  }

  var minimumShift: Int { Int(lowestRootShift.loadRelaxed()) }

  /// Most nodes that `cover` takes from a reserve. More than one call may be needed at a time: it is the same for all of them.
  package func nodesToCover(pages: UInt64) -> Int {
    let needed = rootShift(coveringPages: pages)
    return needed > minimumShift ? needed / fanOutShift + 1 : 0
  }

  /// Makes every root from now on cover so many pages: the index may then be asked for them, and hold them, also if it is confined. Expects the
  /// lock held; publish a size that needs it afterwards, by a release store.
  package func cover(pages: UInt64, reserve: inout NodeReserve) {
    precondition(pages == 0 || pages - 1 <= geometry.maximumPage)
    let needed = rootShift(coveringPages: pages)
    guard needed > minimumShift else { return }
    lowestRootShift.storeRelaxed(UInt64(needed))
    if root.loadRelaxed() != 0 { grow(toCover: pages - 1, shift: needed, reserve: &reserve) }
  }

  /// Runs the body with the index lock held.
  @inlinable @inline(__always)
  package func withLock<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try monitor.withLock(body)
  }

  /// Takes the lock. Prefer `withLock`.
  @inlinable @inline(__always)
  package func lock() { monitor.lock() }

  package func tryLock() -> Bool { monitor.tryLock() }

  @inlinable @inline(__always)
  package func unlock() { monitor.unlock() }

  /// Waits for a `broadcast`, without the lock meanwhile. Wakes spuriously: look again.
  package func wait() { monitor.wait() }

  /// The same, for so many nanoseconds at most.
  package func wait(nanoseconds: Int) { monitor.wait(nanoseconds: nanoseconds) }

  package func broadcast() { monitor.broadcast() }

  /// A version for a hole that no hole of this index has had. Expects the lock held.
  package func nextHoleVersion() -> UInt64 {
    if keeps(.holeVersions) { holeVersion += 1 }
    return holeVersion
  }

  /// The version after an entry's own, or nil when half of all versions have been used since it was nil the last time: then wait for a grace period first, and use
  /// `successorAfterGracePeriod`.
  ///
  /// Twice a round and not once: a reader may have come after a grace period began and still have found the old version, because nothing is marked while it is
  /// awaited. Before that version comes again there is another grace period, which began after the version had gone, and so waits for this reader.
  package func successor(of entry: Entry) -> UInt64? {
    let next = successorAfterGracePeriod(of: entry)
    return next & (1 << UInt64(geometry.versionBits - 1) - 1) == 0 && keeps(.gracePeriodBeforeWrap) ? nil : next
  }

  /// The version after an entry's own, for whoever has waited for a grace period while nobody else could change it.
  package func successorAfterGracePeriod(of entry: Entry) -> UInt64 {
    (entry.version + 1) & (1 << UInt64(geometry.versionBits) - 1)
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
  /// - Parameter pages: how many pages it covers by then (`cover`), if that is more than now.
  package func nodesNeeded(from first: UInt64, through last: UInt64, covering pages: UInt64 = 0) -> Int {
    precondition(first <= last && last <= IndexGeometry.maximumPage)
    var needed = 0
    var shift = fanOutShift
    if isConfined {
      let highest = max(minimumShift, rootShift(coveringPages: pages)) + fanOutShift
      while shift <= highest {
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

  /// Nodes that storing entries for single pages, or for folios within a node, in this range can use as the tree is now: none where there is a node for all of
  /// them, else `nodesNeeded`. Expects the lock held; ask again whenever it was not.
  package func nodesToStore(from first: UInt64, through last: UInt64) -> Int {
    // An entry over a whole node sits at the level above.
    if last - first < slotMask, first >> UInt64(fanOutShift) == last >> UInt64(fanOutShift) {
      var entry = Entry(word: root.loadRelaxed())
      if entry.isNode, last >> pageShift(entry) <= slotMask {
        while entry.isNode {
          let node = unsafe Node(
            slots: UnsafeMutableRawPointer(bitPattern: entry.nodeSlots).unsafelyUnwrapped)
          if node.shift == 0 { return 0 }
          entry = Entry(word: node.slot(Int(first >> UInt64(node.shift) & slotMask)).loadRelaxed())
        }
      }
    }
    return nodesNeeded(from: first, through: last)
  }

  /// Most nodes that `storeHole`, or erasing, can use in a range of a confined index: those on the ways to its two ends.
  /// - Parameter pages: how many pages it covers by then (`cover`), if that is more than now.
  package func boundaryNodesNeeded(from first: UInt64, through last: UInt64, covering pages: UInt64 = 0) -> Int {
    precondition(isConfined && first <= last && last <= IndexGeometry.maximumPage)
    var needed = 0
    var shift = fanOutShift
    let highest = max(minimumShift, rootShift(coveringPages: pages)) + fanOutShift
    while shift <= highest {
      needed += last >> UInt64(shift) == first >> UInt64(shift) ? 1 : 2
      shift += fanOutShift
    }
    return needed
  }
}
