import PageIndex
import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

/// Readers without a lock beside a writer. Each word is a function of the pages it is for, so a reader can check any that it meets.
@Suite(.serialized) struct IndexConcurrencyTests {
  static let pageCount: UInt64 = 1 << 14
  static let keyShift = 12

  /// A folio's memory lies where its page does; a value names the block of 512 pages, within which every entry stays.
  static func isRight(_ entry: Entry, slotPage: UInt64) -> Bool {
    switch entry.kind {
    case .empty: true
    case .folio: entry.arenaOffset == slotPage << UInt64(keyShift)
    case .value: entry.value >> 20 == slotPage >> 9
    case .hole, .node, .retry: false
    }
  }

  /// Never erased: the first page of every fourth block.
  static func isPermanent(_ page: UInt64) -> Bool { page & 2047 == 0 }

  @Test(arguments: [1, 2, 6, 9])
  func readersOnlyMeetWhatWasStored(fanOutShift: Int) throws {
    let geometry = IndexGeometry(fanOutShift: fanOutShift, keyShift: Self.keyShift)
    let harness = try IndexHarness(geometry) { PoisoningAllocator(domain: $0) }
    let nodes = try #require(harness.nodes as? PoisoningAllocator)
    let failures = Failures()
    let lookups = Word()
    let iterations = Word()
    for page in stride(from: 0, to: Self.pageCount, by: 2048) { harness.store(page, order: 0) { Self.entry($0, 0) } }
    let end = monotonicNanoseconds() + 600_000_000
    // A busy machine gets more time, so that something has happened by the end.
    let deadline = end + 10_000_000_000
    onThreads(3) { index in
      var random = RandomWords(seed: testSeed &+ UInt64(index * 16 + fanOutShift))
      while monotonicNanoseconds() < end || (nodes.poisonedNodes <= 10 && monotonicNanoseconds() < deadline) {
        if index == 2 {
          for _ in 0..<20 { Self.change(harness, nodes, &random) }
          continue
        }
        for _ in 0..<30 { Self.look(harness, &random, failures) }
        lookups.add(30)
        Self.iterate(harness, &random, failures)
        iterations.add(1)
      }
    }
    #expect(failures.all == [])
    #expect(lookups.value > 100 && iterations.value > 5)
    #expect(nodes.poisonedNodes > (isSanitized ? -1 : 10))
  }

  private static func entry(_ page: UInt64, _ tag: UInt64) -> Entry {
    tag & 1 == 0
      ? .folio(arenaOffset: page << UInt64(keyShift), order: 0, version: tag & 0xFFFFF)
      : .value((page >> 9) << 20 | tag & 0xFFFFF)
  }

  private static func change(_ harness: IndexHarness, _ nodes: PoisoningAllocator, _ random: inout RandomWords) {
    let order = Int(random.next(below: 10))
    let page = (random.next(below: pageCount) >> UInt64(order)) << UInt64(order)
    let tag = random.next()
    switch random.next(below: 4) {
    case 0, 1:
      harness.store(page, order: order) { entry($0, tag) }
    case 2:
      // All between two permanent pages, or a part of it.
      let first = (page & ~2047) + 1
      harness.erase(from: tag & 2 == 0 ? first : max(first, page), through: first + 2046 - 1)
    default:
      if !isPermanent(page) { harness.erase(from: page, through: page) }
    }
    nodes.reclaim()
  }

  private static func look(_ harness: IndexHarness, _ random: inout RandomWords, _ failures: Failures) {
    let page = random.next(below: pageCount)
    let permanent = page & ~2047
    harness.domain.read {
      guard let location = harness.index.locate(page) else { return failures.add("no node for \(page)") }
      let slotPage = (page >> location.shift) << location.shift
      failures.check(isRight(location.entry, slotPage: slotPage), "page \(page): \(location.entry)")
      if location.entry.isFolio { _ = location.noteAccess() }
      for _ in 0..<random.next(below: 64) { spinHint() }
      // The slot's node may have left the tree meanwhile, but not its memory.
      let now = Entry(word: location.slot.loadAcquire())
      failures.check(now == .retry || now.isNode || isRight(now, slotPage: slotPage), "page \(page) became \(now)")
      failures.check(!harness.index.entry(at: permanent).isEmpty, "page \(permanent) is gone")
    }
  }

  private static func iterate(_ harness: IndexHarness, _ random: inout RandomWords, _ failures: Failures) {
    let first = random.next(below: pageCount / 2048) * 2048
    let last = first + 4096
    harness.domain.read {
      var permanent = first
      var page = first
      while let found = harness.index.next(from: page, through: last, values: true) {
        failures.check(isRight(found.entry, slotPage: found.page), "met \(found.entry) at \(found.page)")
        failures.check(found.lastPage >= page, "iteration goes back to \(found.page) from \(page)")
        if found.page <= permanent, found.lastPage >= permanent { permanent += 2048 }
        if found.lastPage >= last { break }
        page = found.lastPage + 1
      }
      failures.check(permanent > min(last, pageCount - 1), "iteration missed page \(permanent)")
    }
  }
}
