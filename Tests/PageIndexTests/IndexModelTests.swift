import PageIndex
import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

/// Random changes, made to an index and to a plain dictionary.
@Suite struct IndexModelTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let fanOutShift: Int
    let keyShift: Int
    let coveredPages: UInt64
    var testDescription: String { "fan-out 2^\(fanOutShift), pages of 2^\(keyShift), covers \(coveredPages)" }
  }

  static let cases: [Case] = [1, 2, 6, 9].flatMap { fanOutShift in
    [0, 12].map { Case(fanOutShift: fanOutShift, keyShift: $0, coveredPages: $0 == 0 ? 0 : 5000) }
  }

  /// Pages in each of three places: at the start, far out, and at the very end.
  static let pagesInRegion: UInt64 = 1024

  @Test(arguments: cases)
  func itDoesWhatADictionaryDoes(_ shape: Case) throws {
    let geometry = IndexGeometry(fanOutShift: shape.fanOutShift, keyShift: shape.keyShift)
    let harness = try IndexHarness(geometry, coveredPages: shape.coveredPages)
    let index = harness.index
    var random = RandomWords(seed: testSeed &+ UInt64(shape.fanOutShift * 100 + shape.keyShift))
    var model = IndexModel(geometry)
    let regions = [0, 1 << 20, harness.lastPage + 1 - Self.pagesInRegion]
    var mistakes: [String] = []
    func check(_ condition: Bool, _ what: @autoclosure () -> String) {
      if !condition { mistakes.append(what()) }
    }

    for step in 0..<400 where mistakes.isEmpty {
      // The first region is in use from the start, the others come in later: the root grows.
      let region = regions[Int(random.next(below: step < 30 ? 1 : step < 80 ? 2 : 3))]
      let page = region + random.next(below: Self.pagesInRegion)
      let order = Int(random.next(below: 10))
      let first = model.first(page, order)
      let length = random.next(below: 4) == 0 ? random.next(below: 700) : random.next(below: 70)
      let last = min(page + length, region + Self.pagesInRegion - 1)
      let mark = Mark.allCases[Int(random.next(below: 3))]
      switch random.next(below: 16) {
      case 0..<7:
        let entry = makeEntry(first, order: order, keyShift: shape.keyShift, &random)
        harness.store(first, order: order, entry)
        model.store(first, order: order, entry)
      case 7..<10:
        let erased = harness.erase(from: page, through: last)
        let expected = model.erase(from: page, through: last)
        check(erased == expected, "\(step): erased \(erased) for \(expected)")
      case 10..<12:
        guard let found = harness.found(page) else { break }
        index.withLock { index.eraseSlot(of: found) }
        _ = model.erase(from: found.page, through: found.lastPage)
      case 12..<15:
        index.withLock { index.setMark(page, mark, to: true) }
        model.change(page) { $0.marks.insert(mark) }
      default:
        index.withLock { index.setMark(page, mark, to: false) }
        model.change(page) { $0.marks.remove(mark) }
      }

      for _ in 0..<4 {
        let page = region + random.next(below: Self.pagesInRegion)
        comparePage(page, harness, model, check)
      }
      comparePage(page, harness, model, check)
      compareIteration(from: page, through: last, harness, model, check)
      if step % 80 == 79 || !mistakes.isEmpty {
        for region in regions {
          for page in region..<region + Self.pagesInRegion { comparePage(page, harness, model, check) }
        }
        compareIteration(from: regions[0], through: regions[0] + Self.pagesInRegion - 1, harness, model, check)
        compareIteration(from: regions[1] - 5, through: regions[1] + Self.pagesInRegion - 1, harness, model, check)
        for mark in Mark.allCases {
          let expected = model.cells.values.contains { $0.marks.contains(mark) }
          check(index.hasAny(mark) == expected, "\(step): any \(mark)")
        }
      }
      if !mistakes.isEmpty { mistakes.insert("step \(step), \(shape.testDescription)", at: 0) }
    }

    var removed: [Slot] = []
    index.withLock { index.removeAll { removed.append(Slot($0)) } }
    let expected = regions.flatMap { model.iterate(from: $0, through: $0 + Self.pagesInRegion - 1) }
    #expect(removed == expected, "PAGECACHE_SEED=\(testSeed)")
    #expect(harness.root.loadRelaxed() == 0)
    #expect(mistakes.prefix(4) == [], "PAGECACHE_SEED=\(testSeed)")
    try expectNoNodes(harness)
  }

  /// After a grace period the allocator has every node back.
  private func expectNoNodes(_ harness: IndexHarness) throws {
    let heap = try #require(harness.nodes as? HeapNodeAllocator)
    harness.domain.synchronize()
    heap.reclaim()
    #expect(heap.liveNodes == 0, "PAGECACHE_SEED=\(testSeed)")
  }

  /// A folio, whose memory goes on from slot to slot, a hole or a value.
  private func makeEntry(
    _ first: UInt64, order: Int, keyShift: Int, _ random: inout RandomWords
  ) -> (UInt64) -> Entry {
    let number = random.next(below: 1 << 20)
    switch random.next(below: keyShift >= 7 ? 3 : 2) {
    case 0: return { .value(number << 10 | $0 - first) }
    case 1: return { _ in .hole(version: number) }
    default:
      let head = (number >> UInt64(order)) << UInt64(order)
      return {
        .folio(arenaOffset: (head + $0 - first) << UInt64(keyShift), order: order, version: number)
      }
    }
  }

  private func comparePage(
    _ page: UInt64, _ harness: IndexHarness, _ model: IndexModel, _ check: (Bool, @autoclosure () -> String) -> Void
  ) {
    let index = harness.index
    let expected = model.slot(page)
    let entry = index.entry(at: page)
    check(entry.word == expected?.word ?? 0, "page \(page): \(entry) for \(String(describing: expected))")
    let key = page << UInt64(index.geometry.keyShift)
    let mask = UInt64(index.geometry.fanOut - 1)
    let location = PageIndex.locate(root: harness.root, slotMask: mask, key: key)
    check(location?.entry.word ?? 0 == entry.word, "page \(page): located by key")
    if let expected {
      let shift = Int(location?.shift ?? 99) - index.geometry.keyShift
      check(1 << UInt64(shift) == expected.pageCount, "page \(page): a slot of 2^\(shift) pages for \(expected)")
      for mark in Mark.allCases {
        let marked = model.cells[page]!.marks.contains(mark)
        check(index.isMarked(page, mark) == marked, "page \(page): \(mark) should be \(marked)")
      }
    }
  }

  private func compareIteration(
    from first: UInt64, through last: UInt64, _ harness: IndexHarness, _ model: IndexModel,
    _ check: (Bool, @autoclosure () -> String) -> Void
  ) {
    for mark in [nil] + Mark.allCases.map(Optional.some) {
      let met = harness.iterate(from: first, through: last, marked: mark)
      let expected = model.iterate(from: first, through: last, marked: mark)
      check(
        met == expected, "\(first)...\(last) \(String(describing: mark)): \(met.prefix(3)) for \(expected.prefix(3))")
    }
  }
}
