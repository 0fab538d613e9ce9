/// The fills of one file that are under way, by page: they never overlap. Expects its owner's lock held.
struct FillTable {
  // In order of their pages.
  private var fills: [Fill] = []

  var isEmpty: Bool { fills.isEmpty }

  /// Index of the first fill that ends at or after a page.
  private func position(of page: UInt64) -> Int {
    var low = 0
    var high = fills.count
    while low < high {
      let middle = (low + high) / 2
      if fills[middle].last < page { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The first fill that covers a page in the range.
  func first(from first: UInt64, through last: UInt64) -> Fill? {
    let position = position(of: first)
    guard position < fills.count, fills[position].first <= last else { return nil }
    return fills[position]
  }

  mutating func insert(_ fill: Fill) {
    let position = position(of: fill.first)
    assert(position == fills.count || fills[position].first > fill.last)
    fills.insert(fill, at: position)
  }

  mutating func remove(_ fill: Fill) {
    let position = position(of: fill.first)
    precondition(position < fills.count && fills[position] === fill)
    fills.remove(at: position)
  }
}
