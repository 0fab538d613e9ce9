import Folios
import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

@Suite struct RetirementTests {
  @Test func aRetiredFrameIsNotHandedOutWhileAReaderIsInside() throws {
    let pool = try makePool(frames: 4)
    let frame = try #require(pool.allocate(order: 1))
    let entered = Event()
    let leave = Event()
    let domain = pool.domain
    let reader = JoinableThread(name: "reader") {
      domain.read {
        entered.set()
        leave.wait()
      }
    }
    entered.wait()
    pool.retire(frame)
    #expect(pool.retiredFrames == 2 && pool.freeFrames == 2)
    for _ in 0..<5 { #expect(pool.reclaimRetired(waiting: false) == 0) }
    let others = (0..<4).compactMap { _ in pool.allocate(order: 0) }
    #expect(others.count == 2 && !others.contains(frame) && !others.contains(frame + 1))
    #expect(pool.allocate(order: 0) == nil)
    leave.set()
    reader?.join()
    #expect(pool.reclaimRetired(waiting: false) == 2)
    #expect(pool.retiredFrames == 0)
    #expect(pool.peakRetiredFrames == 2)
    #expect(pool.allocate(order: 1) == frame)
  }

  @Test func whoeverRetiresTogetherIsReclaimedByOneWait() throws {
    // The list is in order of retirement, and a wait for its newest must be enough for all of it.
    let pool = try makePool(frames: 64, frameShift: 7)
    var left = 0
    for _ in 0..<40 {
      let stop = Word()
      onThreads(4) { index in
        if index == 3 {
          while stop.value < 3 { pool.domain.synchronize() }
          return
        }
        for _ in 0..<200 {
          guard let frame = pool.allocate(order: 0) else { break }
          pool.retire(frame)
          if index == 0 { pool.reclaimRetired(waiting: false) }
        }
        stop.add(1)
      }
      pool.reclaimRetired(waiting: true)
      left += pool.retiredFrames
      pool.domain.synchronize()
      pool.reclaimRetired(waiting: true)
      #expect(pool.freeFrames == 64)
    }
    #expect(left == 0, "frames were still waiting after a wait for all")
  }

  @Test func manyRetireAndAllComeBack() throws {
    let pool = try makePool(frames: 500, frameShift: 7)
    let initialBlocks = pool.freeBlocks
    var random = RandomWords(seed: testSeed)
    for _ in 0..<3000 {
      if let frame = pool.allocate(order: Int(random.next(below: 5))) { pool.retire(frame) }
      if random.next(below: 10) == 0 { pool.reclaimRetired(waiting: random.next(below: 4) == 0) }
    }
    pool.reclaimRetired(waiting: true)
    #expect(pool.retiredFrames == 0)
    #expect(pool.freeBlocks == initialBlocks, "PAGECACHE_SEED=\(testSeed)")
    #expect(pool.peakRetiredFrames <= 500)
  }
}
