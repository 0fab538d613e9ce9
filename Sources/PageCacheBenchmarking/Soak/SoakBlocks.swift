import Primitives

/// A file several times as large as the cache, in blocks. Each block has one writer, and each of its cells says which write put it there, so that every byte
/// of every read can be checked with nothing between readers and writers.
///
/// A write is a whole block. Every eighth punches a hole instead.
@safe
package final class SoakBlocks: @unchecked Sendable {
  package static var blockBytes: Int { 16 << 10 }
  static var mostBlocks: Int { 1 << 20 }
  private static var group: Int { 0xFE }

  package let file: SoakFile
  package let blockCount: Int
  package var byteCount: Int { blockCount * Self.blockBytes }

  // Two words a block: the last write that has begun, the last that has ended. Stored by the block's writer.
  private let words: UnsafeMutableRawPointer

  package init(_ file: SoakFile, blockCount: Int) {
    precondition(blockCount > 0 && blockCount <= Self.mostBlocks)
    self.file = file
    self.blockCount = blockCount
    unsafe words = .allocate(byteCount: blockCount * 16, alignment: 64)
    unsafe words.initializeMemory(as: UInt8.self, repeating: 0, count: blockCount * 16)
  }

  deinit { unsafe words.deallocate() }

  private func begun(_ block: Int) -> SharedWord { unsafe SharedWord(at: words + block * 16) }
  private func ended(_ block: Int) -> SharedWord { unsafe SharedWord(at: words + block * 16 + 8) }

  private static func isHole(_ version: UInt64) -> Bool { version % 8 == 0 }

  /// The number that stamps have as that of their write. No two of the file's blocks share one.
  private static func number(_ block: Int, _ version: UInt64) -> UInt64 { version << 20 | UInt64(block) }

  private static func stamp(_ block: Int, _ version: UInt64, cell: Int) -> UInt64 {
    isHole(version) ? 0 : Stamp.make(version: number(block, version), group: group, cell: cell)
  }

  /// Changes a block. For its one writer.
  package func change(_ block: Int, buffer: UnsafeMutableRawBufferPointer, counts: SoakCounts) throws {
    let version = begun(block).loadRelaxed() + 1
    let place = Int64(block * Self.blockBytes)
    let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<Self.blockBytes])
    begun(block).storeRelease(version)
    // Nothing of the change may be seen before its number: pairs with the fence in `newest`.
    sequentialFence()
    if Self.isHole(version) {
      counts.count(.punchBlock)
      try file.punchHole(place..<place + Int64(Self.blockBytes))
    } else {
      counts.count(.writeBlock)
      unsafe Stamp.fill(bytes, version: Self.number(block, version), group: Self.group)
      try unsafe file.write(at: place, .init(bytes))
    }
    // Release pairs with the acquire in `oldest`: whoever sees the number sees what the write did.
    ended(block).storeRelease(version)
  }

  /// The blocks of a range of bytes that is not empty.
  func blocks(_ range: Range<Int>) -> Range<Int> {
    range.lowerBound / Self.blockBytes..<(range.upperBound - 1) / Self.blockBytes + 1
  }

  /// Before a read: the writes that it must have seen, of the blocks from a first one on.
  func oldest(_ blocks: Range<Int>, into oldest: inout [UInt64]) {
    for (place, block) in blocks.enumerated() { oldest[place] = ended(block).loadAcquire() }
    // The read does not begin before the numbers were taken.
    sequentialFence()
  }

  /// Whether bytes that were read are those of a write that may be seen, block by block.
  /// - Parameter oldest: what was taken before the read.
  /// - Returns: nil, or what is wrong.
  func mismatch(_ bytes: UnsafeRawBufferPointer, at offset: Int, oldest: [UInt64]) -> String? {
    sequentialFence()
    var done = 0
    var place = 0
    while done < bytes.count {
      let block = (offset + done) / Self.blockBytes
      let from = (offset + done) % Self.blockBytes
      let part = min(Self.blockBytes - from, bytes.count - done)
      let there = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + part])
      let newest = begun(block).loadAcquire()
      let versions = oldest[place]...max(oldest[place], newest)
      guard versions.contains(where: { unsafe Self.matches(there, from: from, block: block, version: $0) }) else {
        return
          "\(bytes.count) bytes at \(offset): block \(block) from byte \(from) on is of none of the writes \(versions)"
      }
      done += part
      place += 1
    }
    return nil
  }

  private static func matches(_ bytes: UnsafeRawBufferPointer, from start: Int, block: Int, version: UInt64) -> Bool {
    var done = 0
    while done < bytes.count {
      let cell = (start + done) / Stamp.cellBytes
      let from = (start + done) % Stamp.cellBytes
      let part = min(Stamp.cellBytes - from, bytes.count - done)
      let expected = stamp(block, version, cell: cell)
      let there = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + part])
      if part == Stamp.cellBytes, let address = there.baseAddress {
        guard unsafe Stamp.matchesCell(address, stamp: expected) else { return false }
      } else {
        guard unsafe Stamp.matches(there, from: from, stamp: expected) else { return false }
      }
      done += part
    }
    return true
  }

  /// When all is quiet: whether a whole file holds the last write of every block.
  package func mismatch<File: ExercisedFile>(throughout file: File, buffer: UnsafeMutableRawBufferPointer) throws
    -> String?
  {
    let size = try file.size()
    guard size == byteCount else { return "\(size) bytes, and not \(byteCount)" }
    var oldest = [UInt64](repeating: 0, count: 1)
    for block in 0..<blockCount {
      let place = block * Self.blockBytes
      let count = try unsafe file.read(at: Int64(place), into: .init(rebasing: buffer[..<Self.blockBytes]))
      guard count == Self.blockBytes else { return "\(count) bytes of block \(block)" }
      self.oldest(block..<block + 1, into: &oldest)
      if let mismatch = unsafe mismatch(.init(rebasing: buffer[..<count]), at: place, oldest: oldest) {
        return mismatch
      }
    }
    return nil
  }
}
