import PageIndex
import Primitives
import ReadCopyUpdate
import Testing

/// `nodesNeeded` is the worst case: an operation that wants more traps, hence the processes of their own.
@Suite struct NodeCountTests {
  @Test func storingLowInATallTreeNeedsNoMoreThanItSays() async {
    await #expect(processExitsWith: .success) {
      for fanOutShift in [1, 2, 6, 9] {
        let harness = try IndexHarness(IndexGeometry(fanOutShift: fanOutShift))
        // The root now covers everything, by one path on the far right.
        harness.store(harness.lastPage, order: 0) { _ in .value(1) }
        harness.store(0, order: 0) { _ in .value(2) }
        precondition(harness.index.entry(at: 0) == .value(2))
        precondition(harness.index.entry(at: harness.lastPage) == .value(1))
      }
    }
  }

  @Test func erasingAPageOfALargeEntryNeedsNoMoreThanItSays() async {
    await #expect(processExitsWith: .success) {
      for fanOutShift in [1, 2, 6, 9] {
        let harness = try IndexHarness(IndexGeometry(fanOutShift: fanOutShift))
        // One slot, for which the way to its first page is enough: the worst case of the range is 2^36 pages one by one.
        var reserve = harness.reserve(from: 0, through: 0)
        harness.index.withLock { harness.index.store(0, order: 36, reserve: &reserve) { _ in .hole(version: 3) } }
        harness.erase(from: 5, through: 5)
        precondition(harness.index.entry(at: 5) == .empty)
        precondition(harness.index.entry(at: 4) == .hole(version: 3))
        precondition(harness.index.entry(at: 1 << 36 - 1) == .hole(version: 3))
      }
    }
  }

  @Test(arguments: [1, 2, 6, 9])
  func growingAndSplittingNeedsNoMoreThanItSays(fanOutShift: Int) throws {
    // Every height of the tree meets every height of the page.
    for low in stride(from: 0, to: 40, by: 3) {
      for high in stride(from: low, to: 54, by: 5) {
        let harness = try IndexHarness(IndexGeometry(fanOutShift: fanOutShift))
        harness.store(1 << UInt64(low), order: 0) { .value($0) }
        harness.store(1 << UInt64(high), order: 0) { .value($0) }
        harness.store(0, order: 0) { .value($0) }
        #expect(harness.index.entry(at: 1 << UInt64(low)) == .value(1 << UInt64(low)))
        #expect(harness.index.entry(at: 1 << UInt64(high)) == .value(1 << UInt64(high)))
        #expect(harness.index.entry(at: 0) == .value(0))
      }
    }
  }

  @Test func aReserveGivesBackWhatItDidNotNeed() throws {
    let domain = try ReadDomain()
    let heap = HeapNodeAllocator(domain: domain)
    let harness = try IndexHarness(IndexGeometry()) { _ in heap }
    do {
      let reserve = harness.reserve(from: 0, through: 1 << 20)
      #expect(reserve.count == harness.index.nodesNeeded(from: 0, through: 1 << 20))
      #expect(heap.liveNodes == reserve.count)
    }
    #expect(heap.liveNodes == 0)
    harness.store(77, order: 0) { .value($0) }
    #expect(heap.liveNodes > 0)
    harness.erase(from: 0, through: 100)
    domain.synchronize()
    heap.reclaim()
    #expect(heap.liveNodes == 0, "an empty tree has no nodes")
    #expect(harness.root.loadRelaxed() == 0)
  }

  @Test func aRetiredNodeStaysWhileAReaderIsInside() throws {
    let domain = try ReadDomain()
    let heap = HeapNodeAllocator(domain: domain)
    let harness = try IndexHarness(IndexGeometry()) { _ in heap }
    harness.store(77, order: 0) { .value($0) }
    let live = heap.liveNodes
    domain.read {
      harness.erase(from: 77, through: 77)
      _ = domain.poll(domain.ticket())
      heap.reclaim()
      #expect(heap.liveNodes == live)
    }
    domain.synchronize()
    heap.reclaim()
    #expect(heap.liveNodes == 0)
  }

  @Test func whoStandsInAKilledNodeIsSentBack() throws {
    let harness = try IndexHarness(IndexGeometry(fanOutShift: 2))
    harness.store(5, order: 0) { .value($0) }
    let location = try #require(harness.index.locate(5))
    harness.domain.read {
      harness.erase(from: 5, through: 5)
      #expect(Entry(word: location.slot.loadAcquire()) == .retry)
    }
    harness.store(4, order: 0) { .value($0) }
    let other = try #require(harness.index.locate(4))
    harness.domain.read {
      harness.store(0, order: 4) { _ in .value(9) }
      #expect(Entry(word: other.slot.loadAcquire()) == .retry)
      #expect(harness.index.entry(at: 4) == .value(9))
    }
  }

  @Test(arguments: [1, 2, 6, 9], [0, 12])
  func whatIsCoveredIsFoundWithoutLookingAtTheRoot(fanOutShift: Int, keyShift: Int) throws {
    let mask: UInt64 = 1 << UInt64(fanOutShift) - 1
    for covered in [1, 2, 63, 64, 65, 4096, 4097, 1 << 30] as [UInt64] {
      let geometry = IndexGeometry(fanOutShift: fanOutShift, keyShift: keyShift)
      let harness = try IndexHarness(geometry, coveredPages: covered)
      let early = PageIndex.locateCovered(root: harness.root, slotMask: mask, key: 0)
      #expect(isNothing(early))
      harness.store(0, order: 0) { .value($0) }
      for page in [0, covered / 2, covered - 1] {
        harness.store(page, order: 0) { .value($0) }
        for byte in [0, 1 << UInt64(keyShift) - 1] as [UInt64] {
          let key = page << UInt64(keyShift) | byte
          let one = try #require(PageIndex.locateCovered(root: harness.root, slotMask: mask, key: key))
          let two = try #require(PageIndex.locate(root: harness.root, slotMask: mask, key: key))
          #expect(one.entry == .value(page))
          let same = unsafe one.entry == two.entry && one.shift == two.shift && one.slot.address == two.slot.address
          #expect(same)
        }
      }
    }
  }
}

private func isNothing(_ location: PageIndex.Location?) -> Bool { location.map { _ in false } ?? true }
