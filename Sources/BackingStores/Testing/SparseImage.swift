import Glibc

/// The bytes of an object in memory, as a value: copying it is cheap, and a copy does not change.
///
/// Storage comes in blocks. What was written is in `blocks`, whole. Below lie `runs`: contents that the object was made
/// with, or storage without contents. Where there is neither, there is a hole.
struct SparseImage: Sendable {
  static let blockSize: Int64 = 4096

  /// Block-aligned; all are ordered, and apart. No byte counts that is not below the size.
  struct Run: Sendable {
    var range: Range<Int64>
    var source: Source

    enum Source: Sendable {
      /// The original contents, from this offset on.
      case contents(Int64)
      case zeroes
    }

    /// Copies from an offset in the range on.
    func fill(_ target: UnsafeMutableRawBufferPointer, at offset: Int64, of contents: MemoryStore.Contents) {
      switch source {
      case .contents(let first): unsafe contents.fill(target, at: first + offset - range.lowerBound)
      case .zeroes: unsafe target.clear()
      }
    }

    func part(_ wanted: Range<Int64>) -> Run? {
      let part = range.clamped(to: wanted)
      guard !part.isEmpty else { return nil }
      switch source {
      case .zeroes: return Run(range: part, source: .zeroes)
      case .contents(let offset):
        return Run(range: part, source: .contents(offset + part.lowerBound - range.lowerBound))
      }
    }
  }

  private(set) var contents: MemoryStore.Contents
  private(set) var size: Int64
  private(set) var runs: [Run]
  /// By number. A byte past the size is zero.
  private(set) var blocks: [Int64: [UInt8]] = [:]
  /// How many of them lie over a hole.
  private var blocksOverHoles: Int64 = 0

  init(_ contents: MemoryStore.Contents, size: Int64) {
    self.contents = contents
    self.size = size
    let end =
      switch contents {
      case .bytes(let bytes): Self.roundUp(Int64(bytes.count))
      case .computed: Int64.max / Self.blockSize * Self.blockSize
      }
    runs = end > 0 ? [Run(range: 0..<end, source: .contents(0))] : []
  }

  static func roundUp(_ offset: Int64) -> Int64 {
    let (sum, overflow) = offset.addingReportingOverflow(blockSize - 1)
    return (overflow ? Int64.max : sum) / blockSize * blockSize
  }

  static func blockRange(_ block: Int64) -> Range<Int64> { block * blockSize..<(block + 1) * blockSize }

  static func blocks(of range: Range<Int64>) -> Range<Int64> {
    range.lowerBound / blockSize..<roundUp(range.upperBound) / blockSize
  }

  static func range(ofBlocks blocks: Range<Int64>) -> Range<Int64> {
    blocks.lowerBound * blockSize..<blocks.upperBound * blockSize
  }

  static func isAligned(_ offset: Int64) -> Bool { offset.isMultiple(of: blockSize) }

  // MARK: Reading

  var allBytes: [UInt8] { bytes(in: 0..<size) }

  func bytes(in range: Range<Int64>) -> [UInt8] {
    let part = range.clamped(to: 0..<size)
    var bytes = [UInt8](repeating: 0, count: part.count)
    unsafe bytes.withUnsafeMutableBytes { bytes in
      for piece in pieces(part) {
        let (start, end) = (piece.range.lowerBound - part.lowerBound, piece.range.upperBound - part.lowerBound)
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[Int(start)..<Int(end)])
        unsafe piece.fill(target, at: piece.range.lowerBound, of: contents)
      }
    }
    return bytes
  }

  /// What lies in a range, in one block, one run or one hole.
  struct Placed: Sendable {
    var range: Range<Int64>
    var source: Source

    enum Source: Sendable {
      /// The block that the range lies in.
      case block([UInt8])
      case run(Run)
      case hole
    }

    /// Copies from an offset in the range on.
    func fill(_ target: UnsafeMutableRawBufferPointer, at offset: Int64, of contents: MemoryStore.Contents) {
      switch source {
      case .block(let bytes):
        let start = Int(offset % blockSize)
        unsafe target.copyBytes(from: bytes[start..<start + target.count])
      case .run(let run):
        unsafe run.fill(target, at: offset, of: contents)
      case .hole:
        unsafe target.clear()
      }
    }
  }

  /// What lies in a range, in order, up to the size.
  func pieces(_ range: Range<Int64>) -> [Placed] {
    var pieces: [Placed] = []
    var offset = range.lowerBound
    let end = min(range.upperBound, size)
    while offset < end {
      let block = offset / Self.blockSize
      var next = min(end, Self.blockRange(block).upperBound)
      let source: Placed.Source
      if let bytes = blocks[block] {
        source = .block(bytes)
      } else if let run = run(at: offset) {
        if blocks.isEmpty { next = min(end, run.range.upperBound) }
        source = .run(run)
      } else {
        source = .hole
      }
      pieces.append(Placed(range: offset..<next, source: source))
      offset = next
    }
    return pieces
  }

  private func run(at offset: Int64) -> Run? {
    var (low, high) = (0, runs.count)
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].range.upperBound <= offset { low = middle + 1 } else { high = middle }
    }
    return low < runs.count && runs[low].range.contains(offset) ? runs[low] : nil
  }

  /// What a block holds; nil if it is a hole.
  func bytes(ofBlock block: Int64) -> [UInt8]? {
    if let bytes = blocks[block] { return bytes }
    let start = block * Self.blockSize
    guard let run = run(at: start) else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(Self.blockSize))
    let kept = Int(max(0, min(size - start, Self.blockSize)))
    unsafe bytes.withUnsafeMutableBytes {
      unsafe run.fill(UnsafeMutableRawBufferPointer(rebasing: $0[..<kept]), at: start, of: contents)
    }
    return bytes
  }

  // MARK: Storage

  /// Bytes of storage.
  var allocated: Int64 {
    let end = Self.roundUp(size)
    let below = runs.reduce(0) { $0 + Int64($1.range.clamped(to: 0..<max(end, $1.range.lowerBound)).count) }
    return below + blocksOverHoles * Self.blockSize
  }

  /// Whether the byte is in a hole, and where that ends.
  func extent(at offset: Int64) -> StoreExtent {
    var end = offset
    while end < size {
      if blocks[end / Self.blockSize] != nil {
        end = (end / Self.blockSize + 1) * Self.blockSize
      } else if let run = run(at: end) {
        end = run.range.upperBound
      } else {
        break
      }
    }
    if end > offset { return StoreExtent(isHole: false, end: end >= size ? .max : end) }
    let nextRun = runs.first { $0.range.lowerBound > offset }?.range.lowerBound ?? .max
    let nextBlock = blocks.keys.lazy.filter { $0 > offset / Self.blockSize }.min().map { $0 * Self.blockSize } ?? .max
    let next = min(nextRun, nextBlock)
    return StoreExtent(isHole: true, end: next >= size ? .max : next)
  }

  func isHole(_ block: Int64) -> Bool { blocks[block] == nil && run(at: block * Self.blockSize) == nil }

  // MARK: Changing

  /// Changes a block's bytes; makes it if it was a hole.
  /// - Parameter isReplaced: The body changes all of them.
  mutating func edit(block: Int64, isReplaced: Bool = false, _ body: (inout [UInt8]) -> Void) {
    if blocks[block] == nil {
      if run(at: block * Self.blockSize) == nil { blocksOverHoles += 1 }
      let present = isReplaced ? nil : bytes(ofBlock: block)
      blocks[block] = present ?? [UInt8](repeating: 0, count: Int(Self.blockSize))
    }
    body(&blocks[block]!)
  }

  /// Gives a block these bytes, or makes it a hole.
  mutating func replace(block: Int64, with bytes: [UInt8]?) {
    let range = Self.blockRange(block)
    guard let bytes else {
      remove(range)
      return
    }
    edit(block: block) { $0 = bytes }
    clear(past: size, inBlock: block)
  }

  mutating func setSize(_ size: Int64) {
    if size < self.size {
      let end = Self.roundUp(size)
      remove(end..<Int64.max / Self.blockSize * Self.blockSize)
      if size < end { clear(past: size, inBlock: size / Self.blockSize) }
    } else if size > self.size {
      // What the object was made with and did not reach to must not come up.
      let end = Self.roundUp(self.size)
      if self.size < end, bytes(ofBlock: self.size / Self.blockSize) != nil {
        edit(block: self.size / Self.blockSize) { _ in }
      }
      runs = runs.flatMap { run in
        if case .zeroes = run.source { return [run] }
        return [run.part(0..<end)].compactMap(\.self)
      }
    }
    self.size = size
  }

  /// As another program does it: what the object was made with comes up again when it grows again.
  mutating func setSizeFromOutside(_ size: Int64) {
    let end = Self.roundUp(size)
    if size < self.size {
      drop(blocksIn: end..<Int64.max / Self.blockSize * Self.blockSize)
      if size < end { clear(past: size, inBlock: size / Self.blockSize) }
    }
    self.size = size
  }

  /// A block that was written: zeroes past an offset.
  private mutating func clear(past offset: Int64, inBlock block: Int64) {
    let range = Self.blockRange(block)
    guard offset < range.upperBound, blocks[block] != nil else { return }
    edit(block: block) { bytes in
      unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[Int(max(0, offset - range.lowerBound))...]).clear()
      }
    }
  }

  /// Makes whole blocks holes.
  private mutating func remove(_ range: Range<Int64>) {
    guard !range.isEmpty else { return }
    drop(blocksIn: range)
    cut(range)
  }

  private mutating func drop(blocksIn range: Range<Int64>) {
    let gone = range.lowerBound / Self.blockSize..<range.upperBound / Self.blockSize
    if gone.count < blocks.count {
      for block in gone { blocks[block] = nil }
    } else {
      blocks = blocks.filter { !gone.contains($0.key) }
    }
    recount()
  }

  private mutating func cut(_ range: Range<Int64>) {
    runs = runs.flatMap { run in
      [run.part(0..<range.lowerBound), run.part(range.upperBound..<Int64.max)].compactMap(\.self)
    }
    recount()
  }

  private mutating func recount() {
    blocksOverHoles = Int64(blocks.keys.count { run(at: $0 * Self.blockSize) == nil })
  }

  /// Gives storage to what is a hole in whole blocks.
  mutating func allocate(_ range: Range<Int64>) {
    let wanted = range.lowerBound / Self.blockSize * Self.blockSize..<Self.roundUp(range.upperBound)
    var gaps: [Run] = []
    var offset = wanted.lowerBound
    for run in runs where run.range.overlaps(wanted) {
      if run.range.lowerBound > offset { gaps.append(Run(range: offset..<run.range.lowerBound, source: .zeroes)) }
      offset = run.range.upperBound
    }
    if offset < wanted.upperBound { gaps.append(Run(range: offset..<wanted.upperBound, source: .zeroes)) }
    runs = (runs + gaps).sorted { $0.range.lowerBound < $1.range.lowerBound }
    recount()
  }

  /// The blocks that a range covers. The last block of the object is whole where the range reaches its end.
  func wholeBlocks(of range: Range<Int64>) -> Range<Int64> {
    let end = range.upperBound >= size ? Self.roundUp(range.upperBound) : range.upperBound
    let first = Self.roundUp(range.lowerBound) / Self.blockSize
    return first..<max(first, end / Self.blockSize)
  }

  /// Makes a range read as zero: its whole blocks become holes.
  mutating func punch(_ range: Range<Int64>) {
    let end = range.upperBound >= size ? Self.roundUp(range.upperBound) : range.upperBound
    let first = Self.roundUp(range.lowerBound)
    let last = end / Self.blockSize * Self.blockSize
    if first < last { remove(first..<last) }
    for edge in [range.lowerBound..<min(first, end), max(last, range.lowerBound)..<end] where !edge.isEmpty {
      let block = edge.lowerBound / Self.blockSize
      guard bytes(ofBlock: block) != nil else { continue }
      edit(block: block) { bytes in
        let start = Int(edge.lowerBound % Self.blockSize)
        unsafe bytes.withUnsafeMutableBytes { bytes in
          unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + edge.count]).clear()
        }
      }
    }
  }

  /// Moves everything from an offset on, up or down, by whole blocks; below, what it moves over is gone.
  mutating func shift(from offset: Int64, by distance: Int64) {
    if distance < 0 { remove(offset + distance..<offset) }
    let first = offset / Self.blockSize
    let moved = blocks.map { ($0.key < first ? $0.key : $0.key + distance / Self.blockSize, $0.value) }
    blocks = Dictionary(uniqueKeysWithValues: moved)
    let limit = Int64.max / Self.blockSize * Self.blockSize
    runs = runs.flatMap { run in
      let above = run.part(offset..<limit).map { part in
        let end = part.range.upperBound.addingReportingOverflow(distance)
        let moved = part.range.lowerBound + distance..<(end.overflow ? limit : min(end.partialValue, limit))
        return Run(range: moved, source: part.source)
      }
      return [run.part(0..<offset), above].compactMap(\.self)
    }
    size += distance
    recount()
  }
}

extension UnsafeMutableRawBufferPointer {
  /// By memset: byte by byte it would take a debug build seconds.
  func clear() {
    if let start = baseAddress, unsafe !isEmpty { unsafe memset(start, 0, count) }
  }
}
