import PageIndex
import Testing

/// Entries that say what was there before, and nothing of their pages.
@Suite struct ShadowTests {
  private func folio(_ frame: UInt64) -> Entry { .folio(arenaOffset: frame << 12, order: 0, version: 0) }

  @Test func nobodyMeetsThemWhoDoesNotAsk() throws {
    let harness = try IndexHarness(IndexGeometry(fanOutShift: 6))
    let index = harness.index
    for page in 0..<200 as Range<UInt64> { harness.store(page, order: 0) { _ in folio(page) } }
    for page in 0..<200 as Range<UInt64> where page != 0 && page != 130 {
      index.withLock {
        guard let found = index.next(from: page, through: page) else { return #expect(Bool(false)) }
        index.replace(found, withValue: page)
      }
    }
    #expect(index.next(from: 1, through: 199)?.page == 130)
    #expect(index.next(from: 131, through: IndexGeometry.maximumPage) == nil)
    #expect(index.next(from: 5, through: 100) == nil)
    #expect(index.entry(at: 77) == .value(77))
    #expect(index.next(from: 77, through: 199, values: true)?.entry == .value(77))
    // What takes their place is met again.
    harness.store(64, order: 6) { _ in .hole(version: 3) }
    #expect(index.next(from: 5, through: 199)?.page == 64)
    #expect(harness.erase(from: 0, through: 199).count == 64 + 1 + 72)
    #expect(harness.root.loadRelaxed() == 0, "nothing is left to look at")
  }

  @Test func theLastOneTakesItsNodeAlong() throws {
    let harness = try IndexHarness(IndexGeometry(fanOutShift: 6))
    let index = harness.index
    harness.store(1 << 30, order: 0) { _ in folio(1) }
    index.withLock {
      guard let found = index.next(from: 0, through: IndexGeometry.maximumPage) else { return #expect(Bool(false)) }
      index.replace(found, withValue: 1)
      guard let shadow = index.next(from: 0, through: IndexGeometry.maximumPage, values: true) else {
        return #expect(Bool(false))
      }
      #expect(shadow.page == 1 << 30)
      index.eraseSlot(of: shadow)
    }
    #expect(harness.root.loadRelaxed() == 0)
  }
}
