import BackingStores

/// Bytes of an object, in whole blocks: what lies behind the size in the last one is there as well.
struct ScriptedImage: Sendable {
  static let blockSize = 4096
  private(set) var size = 0
  private var storage: [UInt8] = []
  /// Of each block, whether all of it is zero.
  private var isHole: [Bool] = []

  init(_ bytes: [UInt8]) { write(bytes, at: 0) }

  static func range(_ block: Int) -> Range<Int> { block * blockSize..<(block + 1) * blockSize }

  static func blocks(_ range: Range<Int>) -> Range<Int> {
    range.isEmpty ? 0..<0 : range.lowerBound / blockSize..<(range.upperBound + blockSize - 1) / blockSize
  }

  var all: [UInt8] { Array(storage.prefix(size)) }

  func byte(_ offset: Int) -> UInt8? { offset < size ? storage[offset] : nil }

  func bytes(_ range: Range<Int>) -> ArraySlice<UInt8> { storage[range] }

  /// A larger size shows what lies behind the old one in its block: zeros, unless they have been lost.
  mutating func resize(_ new: Int) {
    let blocks = Self.blocks(0..<new).count
    let wanted = blocks * Self.blockSize
    if new < size {
      storage.removeLast(storage.count - wanted)
      isHole.removeLast(isHole.count - blocks)
      storage.replaceSubrange(new..<wanted, with: [UInt8](repeating: 0, count: wanted - new))
      look(at: new..<wanted)
    } else {
      storage += [UInt8](repeating: 0, count: wanted - storage.count)
      isHole += [Bool](repeating: true, count: blocks - isHole.count)
    }
    size = new
  }

  mutating func write(_ bytes: [UInt8], at offset: Int) {
    guard !bytes.isEmpty else { return }
    let range = offset..<offset + bytes.count
    if range.upperBound > size { resize(range.upperBound) }
    storage.replaceSubrange(range, with: bytes)
    look(at: range)
  }

  mutating func shift(_ range: Range<Int>, takesOut: Bool) {
    let blocks = Self.blocks(range)
    if takesOut {
      storage.removeSubrange(range)
      isHole.removeSubrange(blocks)
      size -= range.count
    } else {
      storage.insert(contentsOf: [UInt8](repeating: 0, count: range.count), at: range.lowerBound)
      isHole.insert(contentsOf: [Bool](repeating: true, count: blocks.count), at: blocks.lowerBound)
      size += range.count
    }
  }

  /// Puts back what some blocks are in another image.
  mutating func revert(_ blocks: Set<Int>, to other: ScriptedImage) {
    for block in blocks where Self.range(block).upperBound <= storage.count {
      let range = Self.range(block)
      let old =
        range.upperBound <= other.storage.count
        ? Array(other.storage[range]) : [UInt8](repeating: 0, count: Self.blockSize)
      storage.replaceSubrange(range, with: old)
      look(at: range)
    }
  }

  /// Sees whether blocks that have changed are holes.
  private mutating func look(at range: Range<Int>) {
    let zeros = [UInt8](repeating: 0, count: Self.blockSize)
    for block in Self.blocks(range) { isHole[block] = storage[Self.range(block)] == zeros[...] }
  }

  var allocatedBytes: Int64 { Int64(isHole.filter { !$0 }.count * Self.blockSize) }

  func extent(at offset: Int) -> StoreExtent {
    let first = offset / Self.blockSize
    let end = isHole[first...].firstIndex { $0 != isHole[first] }
    return StoreExtent(isHole: isHole[first], end: end.map { Int64($0 * Self.blockSize) } ?? .max)
  }
}
