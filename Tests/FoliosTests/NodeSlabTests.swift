import Folios
import PageIndex
import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

@Suite struct NodeSlabTests {
  @Test(arguments: [6, 9])
  func nodesDoNotOverlapAndTheirChunksComeBack(fanOutShift: Int) throws {
    let pool = try makePool(frames: 4096)
    let slab = pool.nodes(fanOutShift: fanOutShift)
    let geometry = IndexGeometry(fanOutShift: fanOutShift)
    var random = RandomWords(seed: testSeed &+ UInt64(fanOutShift))
    var nodes: [Node] = []
    for _ in 0..<6000 {
      switch random.next(below: 8) {
      case 0..<5:
        guard let node = slab.allocateNode(fanOut: geometry.fanOut) else { continue }
        nodes.append(node)
      case 5 where !nodes.isEmpty:
        nodes.swapAt(Int(random.next(below: UInt64(nodes.count))), nodes.count - 1)
        slab.freeNode(nodes.removeLast(), fanOut: geometry.fanOut)
      default:
        guard !nodes.isEmpty else { continue }
        nodes.swapAt(Int(random.next(below: UInt64(nodes.count))), nodes.count - 1)
        slab.retireNode(nodes.removeLast(), fanOut: geometry.fanOut)
      }
    }
    let starts = nodes.map { unsafe UInt(bitPattern: $0.base(fanOut: geometry.fanOut)) }.sorted()
    let arena = unsafe UInt(bitPattern: pool.arena.base)
    #expect(starts.allSatisfy { $0 % UInt(Entry.nodeAlignment) == 0 && $0 >= arena })
    #expect(zip(starts, starts.dropFirst()).allSatisfy { $0 + UInt(geometry.nodeByteCount) <= $1 })
    #expect(pool.nodeFrames * 4096 >= nodes.count * geometry.nodeByteCount)
    #expect(pool.nodeFrames + pool.freeFrames == 4096)
    for node in nodes { slab.retireNode(node, fanOut: geometry.fanOut) }
    pool.reclaimRetired(waiting: true)
    // One empty chunk may stay.
    #expect(pool.nodeFrames <= 16)
    #expect(pool.nodeFrames + pool.freeFrames == 4096)
  }

  @Test func aRetiredNodeIsNotHandedOutWhileAReaderIsInside() throws {
    let pool = try makePool(frames: 16)
    let slab = pool.nodes(fanOutShift: 6)
    let node = try #require(slab.allocateNode(fanOut: 64))
    let address = unsafe UInt(bitPattern: node.slots)
    pool.domain.read {
      slab.retireNode(node, fanOut: 64)
      var others: [UInt] = []
      while let other = slab.allocateNode(fanOut: 64) { unsafe others.append(UInt(bitPattern: other.slots)) }
      #expect(!others.isEmpty && !others.contains(address))
    }
    let again = try #require(slab.allocateNode(fanOut: 64))
    unsafe #expect(UInt(bitPattern: again.slots) == address)
  }

  @Test(arguments: [6, 9])
  func aFragmentedPoolGivesSmallerChunks(fanOutShift: Int) throws {
    let pool = try makePool(frames: 64)
    let geometry = IndexGeometry(fanOutShift: fanOutShift)
    let slab = pool.nodes(fanOutShift: fanOutShift)
    let frames = (0..<64).compactMap { _ in pool.allocate(order: 0) }.sorted()
    // Every second pair comes back: no block larger than two frames.
    for frame in frames where frame & 2 == 0 { pool.free(frame) }
    #expect(pool.allocate(order: 2) == nil)
    var nodes: [Node] = []
    while let node = slab.allocateNode(fanOut: geometry.fanOut) { nodes.append(node) }
    #expect(nodes.count == 16 * (8192 / geometry.nodeByteCount))
    #expect(pool.freeFrames == 0 && pool.nodeFrames == 32)
    #expect(slab.allocateNode(fanOut: geometry.fanOut) == nil, "the pool is empty")
    for node in nodes { slab.freeNode(node, fanOut: geometry.fanOut) }
    #expect(pool.freeFrames >= 30)
    #expect(slab.allocateNode(fanOut: geometry.fanOut) != nil)
  }

  @Test func anIndexLivesInThePool() throws {
    let pool = try makePool(frames: 2048)
    let root = unsafe SharedWord(at: .allocate(byteCount: 8, alignment: 8))
    do {
      let index = PageIndex(geometry: IndexGeometry(keyShift: 12), nodes: pool.nodes(fanOutShift: 6), root: root)
      var random = RandomWords(seed: testSeed)
      for _ in 0..<2000 {
        let page = random.next(below: 1 << 24)
        var reserve = NodeReserve(for: index)
        let filled = reserve.fill(to: index.nodesNeeded(from: page, through: page))
        #expect(filled)
        index.withLock { index.store(page, order: 0, reserve: &reserve) { .value($0) } }
        #expect(index.entry(at: page) == .value(page))
      }
      index.withLock { index.removeAll { _ in } }
    }
    unsafe root.address.deallocate()
    pool.reclaimRetired(waiting: true)
    #expect(pool.nodeFrames <= 16, "PAGECACHE_SEED=\(testSeed)")
  }
}
