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
  /// - Returns: whether it did not have to give up.
  @discardableResult
  func bring(_ pages: ClosedRange<UInt64>, mark: UInt64?) -> Bool {
    let frames = framesNeeded(for: pages)
    guard frames <= engine.budget.capacity / 2, engine.budget.tryReserve(frames, sparing: engine.budget.capacity / 4)
    else { return false }
    defer { engine.budget.giveBack(frames) }
    guard let claim = tryClaim(foliosAround(pages), .reading) else { return false }
    defer { letGo(claim) }
    let record = engine.domain.record()
    var page = pages.lowerBound
    while page <= pages.upperBound, page < pageCount(length) {
      guard let missing = firstMissing(from: page, through: pages.upperBound) else { return true }
      page = missing
      let wanted = page...pages.upperBound
      do throws(CacheError) {
        let pool = engine.pool
        let fills = try fill(wanted, execution: .caller, purpose: .ahead(mark: mark), operation: .read) { head in
          pool.giveBackReference(head)
        }
        for fill in fills { try fill.wait() }
        record.counter(Counter.readAheads).addAsOnlyWriter(UInt64(fills.count))
        // In a hole: it is known now, and takes nothing.
        guard let last = fills.last else { continue }
        page = last.last + 1
      } catch {
        // Nobody has asked for it: whoever does will be told.
        return false
      }
    }
    return true
  }

  private func firstMissing(from first: UInt64, through last: UInt64) -> UInt64? {
    guard let present = lastPresent(from: first, through: last) else { return first }
    return present >= last ? nil : present + 1
  }
}

extension Engine {
  /// Pieces that may be read ahead at one time, of all files: what is too much is not read ahead.
  static var mostReadAheads: Int { 64 }
}
