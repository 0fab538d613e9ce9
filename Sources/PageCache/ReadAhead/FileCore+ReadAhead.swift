import BackingStores
import Primitives

extension FileCore {
  /// Pages of one store read: several are under way at a time.
  private static var pagesOfOneRead: UInt64 { 256 }

  /// Has the threads for I/O bring pages that nobody waits for yet. Does nothing where that would hold somebody up.
  /// - Parameter mark: the page that is to bear the read-ahead mark.
  /// - Cost: a lock and an allocation for each MiB.
  func readAhead(_ pages: ClosedRange<UInt64>, mark: UInt64?) {
    let end = pageCount(length)
    var page = pages.lowerBound
    let step = max(FileCore.pagesOfOneRead, 1 << UInt64(orders.upperBound))
    while page <= pages.upperBound, page < end {
      // In pieces that large folios fill.
      let last = min(page | (step - 1), pages.upperBound, end - 1)
      let range = page...last
      guard engine.readAheads.addReturningNew(1) <= Engine.mostReadAheads else {
        engine.readAheads.add(-1)
        return
      }
      let bears = mark.flatMap { range.contains($0) ? $0 : nil }
      engine.ioThreads.submit {
        self.bring(range, mark: bears)
        self.engine.readAheads.add(-1)
      }
      page = last + 1
    }
  }

  /// Brings what is missing of some pages, on this thread. Gives up where somebody is changing them, or frames are getting few.
  private func bring(_ pages: ClosedRange<UInt64>, mark: UInt64?) {
    let frames = framesNeeded(for: pages)
    guard frames <= budget.capacity / 2, budget.tryReserve(frames, sparing: budget.capacity / 4)
    else { return }
    defer { budget.giveBack(frames) }
    guard let claim = tryClaim(foliosAround(pages), .reading) else { return }
    defer { letGo(claim) }
    // Nobody has asked for it: whoever does will be told of what stands in the way.
    let fills = (try? fillMissing(pages, purpose: .ahead(mark: mark), operation: .read)) ?? 0
    domain.record().counter(Counter.readAheads).addAsOnlyWriter(UInt64(fills))
  }
}

extension Engine {
  /// Pieces that may be read ahead at one time, of all files: what is too much is not read ahead.
  static var mostReadAheads: Int { 64 }
}
