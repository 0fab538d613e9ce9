/// One change of a file, as a store does it and as the model of a history has it.
///
/// Bytes are written page by page, and a crash keeps any of them, in each page in their order. All else is structure:
/// it is there in its order.
enum CrashChange: Sendable {
  /// A part of one page gets new bytes, and the file is at least so long.
  case bytes(page: Int, mask: PageState, value: PageState, end: Int)
  /// The file becomes shorter.
  case cut(to: Int)
  /// The file becomes longer.
  case grow(from: Int, to: Int)
  /// Whole pages become zero, with storage behind them or without.
  case clear(pages: UInt16, isHole: Bool)
  case collapse(from: Int, count: Int)
  case insert(from: Int, count: Int)
  /// Pages become what others are, by sharing their storage; and a file that ended there ends at another place.
  case share(pages: UInt16, values: SIMD16<PageState>, from: Int, to: Int)
  /// Some pages have been made durable, and the file is at least so long. Of the model only.
  case settle(pages: UInt16, size: Int)

  var isStructure: Bool {
    switch self {
    case .bytes, .settle: false
    default: true
    }
  }

  /// Pages whose later bytes cannot be there without it.
  var touched: UInt16 {
    switch self {
    case .bytes, .settle: 0
    // What is written behind the old end makes the file longer as well, and sizes are kept in order.
    case .cut(let size), .grow(let size, _): Self.pages(from: size / 4)
    case .clear(let pages, _): pages
    case .share(let pages, _, let from, let to): to > from ? pages | Self.pages(from: from / 4) : pages
    case .collapse(let first, _), .insert(let first, _): Self.pages(from: first)
    }
  }

  /// Pages whose earlier bytes are there if it is: what a file system writes back before it changes what lies below.
  var forced: UInt16 {
    switch self {
    case .bytes, .settle, .clear: 0
    case .cut(let size), .grow(let size, _): size % 4 == 0 ? 0 : 1 << UInt16(size / 4)
    case .share(let pages, _, _, _): pages
    case .collapse(let first, _), .insert(let first, _): Self.pages(from: first)
    }
  }

  static func pages(from first: Int) -> UInt16 { first >= 16 ? 0 : UInt16.max << UInt16(first) }

  func apply(to image: inout CrashImage) {
    switch self {
    case .bytes(let page, let mask, let value, let end):
      image.pages[page] = image.pages[page] & ~mask | value & mask
      image.holes &= ~(1 << UInt16(page))
      image.size = max(image.size, end)
    case .cut(let size):
      if size % 4 != 0 { image.pages[size / 4] &= PageState.mask(0..<size % 4) }
      for page in (size + 3) / 4..<CrashUnits.pagesMax { image.pages[page] = 0 }
      image.holes |= Self.pages(from: (size + 3) / 4)
      image.size = size
    case .grow(_, let size):
      image.size = max(image.size, size)
    case .clear(let pages, let isHole):
      for page in 0..<CrashUnits.pagesMax where pages & 1 << UInt16(page) != 0 { image.pages[page] = 0 }
      if isHole { image.holes |= pages } else { image.holes &= ~pages }
    case .collapse(let first, let count):
      for page in first..<CrashUnits.pagesMax {
        image.pages[page] = page + count < CrashUnits.pagesMax ? image.pages[page + count] : 0
      }
      image.holes = image.holes & ~Self.pages(from: first) | image.holes >> UInt16(count) & Self.pages(from: first)
      image.holes |= Self.pages(from: CrashUnits.pagesMax - count)
      image.size -= 4 * count
    case .insert(let first, let count):
      for page in (first..<CrashUnits.pagesMax).reversed() {
        image.pages[page] = page - count >= first ? image.pages[page - count] : 0
      }
      let moved = image.holes << UInt16(count) & Self.pages(from: first + count)
      let made = Self.pages(from: first) & ~Self.pages(from: first + count)
      image.holes = image.holes & ~Self.pages(from: first) | moved | made
      image.size += 4 * count
    case .share(let pages, let values, _, let end):
      for page in 0..<CrashUnits.pagesMax where pages & 1 << UInt16(page) != 0 { image.pages[page] = values[page] }
      image.holes &= ~pages
      image.size = max(image.size, end)
    case .settle:
      break
    }
  }

  /// What a write comes to, page by page.
  static func writing(_ units: Range<Int>, _ value: (Int) -> UInt8) -> [CrashChange] {
    guard !units.isEmpty else { return [] }
    return (units.lowerBound / 4...(units.upperBound - 1) / 4).map { page in
      let part = units.clamped(to: 4 * page..<4 * page + 4)
      var state: PageState = 0
      for unit in part { state |= PageState(value(unit)) << PageState(8 * (unit - 4 * page)) }
      return .bytes(
        page: page, mask: .mask(part.lowerBound - 4 * page..<part.upperBound - 4 * page), value: state,
        end: part.upperBound)
    }
  }

  /// What zeroing a range within a file comes to: whole pages are structure, the edges are bytes.
  static func zeroing(_ units: Range<Int>, isHole: Bool) -> [CrashChange] {
    guard !units.isEmpty else { return [] }
    var changes: [CrashChange] = []
    var whole: UInt16 = 0
    for page in units.lowerBound / 4...(units.upperBound - 1) / 4 {
      let part = units.clamped(to: 4 * page..<4 * page + 4)
      if part.count == 4 {
        whole |= 1 << UInt16(page)
      } else {
        changes += writing(part) { _ in 0 }
      }
    }
    if whole != 0 { changes.append(.clear(pages: whole, isHole: isHole)) }
    return changes
  }
}
