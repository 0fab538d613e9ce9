/// Runs of pages that have been taken over for the store and have not arrived there. Expects the file's lock held.
///
/// A page of one is marked as written before it is: so a flush must not take the mark off, and who wants to know that everything has been written waits for
/// those that were there when he asked.
struct Transfers {
  private var runs: [(number: UInt64, pages: ClosedRange<UInt64>)] = []
  /// The number of the newest.
  private(set) var last: UInt64 = 0

  mutating func begin(_ pages: ClosedRange<UInt64>) -> UInt64 {
    last += 1
    runs.append((last, pages))
    return last
  }

  mutating func end(_ number: UInt64) { runs.removeAll { $0.number == number } }

  /// Whether any that had begun by then is still under way.
  func isAnyLeft(upTo number: UInt64) -> Bool { runs.contains { $0.number <= number } }

  func covers(_ pages: ClosedRange<UInt64>) -> Bool { runs.contains { $0.pages.overlaps(pages) } }
}
