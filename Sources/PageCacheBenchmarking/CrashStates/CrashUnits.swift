/// How a history divides the pages of its files: four *units* a page, each of which has one byte value throughout.
///
/// A history names offsets and sizes by units. So a page is four bytes to the model, a file is sixty at most, and two
/// states are compared in a few instructions; while the cache works on real bytes, with lengths that are not round.
/// Every write has a value of its own, so a unit tells which write it comes from.
package struct CrashUnits: Sendable, Equatable {
  /// Pages are as small as the cache can have them, so that short histories cross many of their edges.
  static let pageShift = 8
  static let pageByteCount = 1 << pageShift
  static let perPage = 4
  /// Pages of a file, at most.
  static let pagesMax = 15
  /// Units of a file, at most.
  static let most = perPage * pagesMax

  /// Where the units of a page begin, and where the last one ends.
  let edges: [Int]

  init(cuts: [Int]) {
    precondition(cuts.count == Self.perPage - 1, "a page has \(Self.perPage) units")
    edges = [0] + cuts + [Self.pageByteCount]
  }

  var cuts: [Int] { Array(edges[1..<Self.perPage]) }

  /// The offset at which a unit begins.
  func byte(_ unit: Int) -> Int64 {
    Int64(unit / Self.perPage * Self.pageByteCount + edges[unit % Self.perPage])
  }

  func bytes(_ units: Range<Int>) -> Range<Int64> { byte(units.lowerBound)..<byte(units.upperBound) }

  /// The unit that begins at an offset; nil if none does.
  func unit(_ byte: Int64) -> Int? {
    guard byte >= 0, byte <= Int64(Self.most / Self.perPage * Self.pageByteCount) else { return nil }
    let (page, rest) = Int(byte).quotientAndRemainder(dividingBy: Self.pageByteCount)
    for place in 0..<Self.perPage where edges[place] == rest { return page * Self.perPage + place }
    return nil
  }
}

/// A state of a page: the value of each of its units, the first one in the lowest byte.
typealias PageState = UInt32

extension PageState {
  /// The bits of some units of a page.
  static func mask(_ units: Range<Int>) -> PageState {
    PageState(
      truncatingIfNeeded: (UInt64(1) << UInt64(8 * units.upperBound)) - (UInt64(1) << UInt64(8 * units.lowerBound)))
  }

  /// All units of one value.
  static func filled(_ value: UInt8) -> PageState { PageState(value) &* 0x0101_0101 }

  /// The bits of the units that are the same in both.
  func agreement(with other: PageState) -> PageState {
    let different = self ^ other
    var mask: PageState = 0
    for place in 0..<4 where different >> PageState(8 * place) & 0xFF == 0 { mask |= 0xFF << PageState(8 * place) }
    return mask
  }
}

/// A file, or what a crash leaves of it.
struct CrashImage: Sendable {
  /// Zero past the end.
  var pages = SIMD16<PageState>(repeating: 0)
  /// Pages without storage, one bit each. No part of the contents.
  var holes: UInt16 = .max
  /// Units.
  var size = 0

  func unit(_ number: Int) -> UInt8 { UInt8(truncatingIfNeeded: pages[number / 4] >> UInt32(8 * (number % 4))) }

  /// Whether readers see the same.
  func reads(as other: CrashImage) -> Bool { size == other.size && pages == other.pages }

  /// Whether a value is anywhere in it.
  func shows(_ value: UInt8) -> Bool {
    for page in 0..<CrashUnits.pagesMax where pages[page] != 0 {
      for place in 0..<4 where UInt8(truncatingIfNeeded: pages[page] >> UInt32(8 * place)) == value { return true }
    }
    return false
  }

  func units(_ range: Range<Int>) -> [UInt8] {
    range.lowerBound < min(range.upperBound, size) ? (range.lowerBound..<min(range.upperBound, size)).map(unit) : []
  }
}

extension CrashImage: CustomStringConvertible {
  /// The units, page by page.
  var description: String {
    var text: [String] = []
    var start = 0
    while start < size {
      let end = min(size, start + 4)
      text.append((start..<end).map { "\(unit($0))" }.joined(separator: " "))
      start = end
    }
    return "\(size) units [\(text.joined(separator: " | "))]"
  }
}
