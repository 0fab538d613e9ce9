import Glibc
import Primitives

/// What a file must hold: bytes in plain arrays.
///
/// An array for each page that was ever written and not removed since, so that files with bytes at far offsets are as cheap as they are
/// on a disk. Everything else is zero. Bytes behind the size are zero, in every page.
struct FileModel {
  static let pageBytes = 4096

  private(set) var size: Int64 = 0
  private(set) var pages: [Int64: [UInt8]] = [:]

  private static let zeroPage = [UInt8](repeating: 0, count: pageBytes)

  // MARK: Changing

  /// - Parameters: as the caller has checked: no byte before the start, none past the largest offset.
  mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    forEachPage(offset..<offset + Int64(bytes.count)) { model, page, part, done in
      let source = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + part.count])
      unsafe model.pages[page, default: FileModel.zeroPage].withUnsafeMutableBytes {
        unsafe UnsafeMutableRawBufferPointer(rebasing: $0[part]).copyMemory(from: source)
      }
    }
    if unsafe !bytes.isEmpty { size = max(size, offset + Int64(bytes.count)) }
  }

  /// Zero bytes, as far as the file goes.
  mutating func zero(_ range: Range<Int64>) {
    let range = range.clamped(to: 0..<Int64.max)
    // A range may be longer than the file has pages.
    let whole = (range.lowerBound + 4095) / 4096..<max((range.lowerBound + 4095) / 4096, range.upperBound / 4096)
    if whole.count > 4096 {
      pages = pages.filter { !whole.contains($0.key) }
    } else {
      for page in whole { pages[page] = nil }
    }
    clear(range.lowerBound..<min(range.upperBound, whole.lowerBound * 4096))
    clear(max(whole.upperBound * 4096, range.lowerBound)..<max(range.upperBound, whole.upperBound * 4096))
  }

  /// Of at most two pages.
  private mutating func clear(_ range: Range<Int64>) {
    forEachPage(range) { model, page, part, _ in
      guard model.pages[page] != nil else { return }
      unsafe model.pages[page, default: []].withUnsafeMutableBytes {
        unsafe _ = UnsafeMutableRawBufferPointer(rebasing: $0[part]).initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
  }

  mutating func resize(to newSize: Int64) {
    if newSize < size { zero(newSize..<(size + 4095) / 4096 * 4096) }
    size = newSize
  }

  /// - Parameter range: of whole pages, and ends before the file does.
  mutating func collapse(_ range: Range<Int64>) {
    zero(range)
    movePages(from: range.upperBound / 4096, by: -Int64(range.count) / 4096)
    size -= Int64(range.count)
  }

  /// - Parameter range: of whole pages, and begins before the file ends.
  mutating func insert(_ range: Range<Int64>) {
    movePages(from: range.lowerBound / 4096, by: Int64(range.count) / 4096)
    size += Int64(range.count)
  }

  private mutating func movePages(from first: Int64, by distance: Int64) {
    let moved = pages.filter { $0.key >= first }
    for page in moved.keys { pages[page] = nil }
    for (page, bytes) in moved { pages[page + distance] = bytes }
  }

  // MARK: Looking

  /// Bytes of a range; zero where there is nothing.
  func bytes(_ range: Range<Int64>) -> [UInt8] {
    var all = [UInt8](repeating: 0, count: range.count)
    FileModel.forEachPart(range) { page, part, done in
      if let bytes = pages[page] { all.replaceSubrange(done..<done + part.count, with: bytes[part]) }
    }
    return all
  }

  /// Place of the first byte of a buffer that differs, with both bytes.
  func difference(_ found: UnsafeRawBufferPointer, at offset: Int64) -> (offset: Int64, found: UInt8, expected: UInt8)?
  {
    var result: (Int64, UInt8, UInt8)?
    FileModel.forEachPart(offset..<offset + Int64(found.count)) { page, part, done in
      guard result == nil else { return }
      let there = unsafe UnsafeRawBufferPointer(rebasing: found[done..<done + part.count])
      // Safe: both have as many bytes as the part.
      unsafe (pages[page] ?? FileModel.zeroPage).withUnsafeBytes { expected in
        let wanted = unsafe UnsafeRawBufferPointer(rebasing: expected[part])
        guard let found = there.baseAddress, let known = wanted.baseAddress else { return }
        guard unsafe memcmp(found, known, part.count) != 0 else { return }
        for index in 0..<part.count where unsafe there[index] != wanted[index] {
          result = unsafe (offset + Int64(done + index), there[index], wanted[index])
          return
        }
      }
    }
    return result
  }

  /// Whether every byte of a range is zero.
  func isZero(_ range: Range<Int64>) -> Bool {
    if range.count > 64 << 20 {
      return pages.allSatisfy { page, bytes in
        let part = range.clamped(to: page * 4096..<(page + 1) * 4096)
        return part.isEmpty
          || bytes[Int(part.lowerBound - page * 4096)..<Int(part.upperBound - page * 4096)].allSatisfy { $0 == 0 }
      }
    }
    var isZero = true
    FileModel.forEachPart(range) { page, part, _ in
      if isZero, let bytes = pages[page] { isZero = bytes[part].allSatisfy { $0 == 0 } }
    }
    return isZero
  }

  // MARK: Pages

  private static func forEachPart(
    _ range: Range<Int64>, _ body: (_ page: Int64, _ part: Range<Int>, _ done: Int) -> Void
  ) {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let page = offset / 4096
      let start = Int(offset - page * 4096)
      let end = Int(min(range.upperBound - page * 4096, 4096))
      body(page, start..<end, Int(offset - range.lowerBound))
      offset += Int64(end - start)
    }
  }

  private mutating func forEachPage(
    _ range: Range<Int64>, _ body: (inout FileModel, _ page: Int64, _ part: Range<Int>, _ done: Int) -> Void
  ) {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let page = offset / 4096
      let start = Int(offset - page * 4096)
      let end = Int(min(range.upperBound - page * 4096, 4096))
      body(&self, page, start..<end, Int(offset - range.lowerBound))
      offset += Int64(end - start)
    }
  }
}
