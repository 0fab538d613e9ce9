import Primitives

/// One file that many threads write at a time, each its own blocks, with nothing between them.
///
/// A block is always written whole, and its versions are numbered by its writer, with the times when each write began and ended. A read may
/// cross blocks of several writers: then there must be one instant at which each block held what the read has of it.
///
/// Blocks are no multiple of a page: two writers often write the same page, and neither may lose what the other wrote.
@safe
final class SharedBlocks<File: ExercisedFile>: @unchecked Sendable {
  static var blockBytes: Int { 193 * Stamp.cellBytes }
  static var blockCount: Int { 64 }
  static var fileBytes: Int { blockBytes * blockCount }
  /// The number that stamps have as that of their group.
  static var group: Int { 0xFF }

  let file: File

  // Of each block, its latest writes: version, begin and end at version % logLength. Stored by the block's writer.
  private let log: UnsafeMutableRawPointer
  private static var logLength: Int { 512 }
  private static var entryBytes: Int { 24 }

  init(_ file: File) {
    self.file = file
    let count = Self.blockCount * Self.logLength * Self.entryBytes
    unsafe log = .allocate(byteCount: count, alignment: 64)
    unsafe log.initializeMemory(as: UInt8.self, repeating: 0, count: count)
  }

  deinit { unsafe log.deallocate() }

  private func word(_ block: Int, _ version: UInt64, _ place: Int) -> SharedWord {
    let entry = block * Self.logLength + Int(version % UInt64(Self.logLength))
    return unsafe SharedWord(at: log + entry * Self.entryBytes + place * 8)
  }

  /// Writes a block. For its one writer, with versions that count up from 1.
  func write(_ block: Int, version: UInt64, buffer: UnsafeMutableRawBufferPointer) throws {
    let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<Self.blockBytes])
    // The block's number is in the cells' numbers, so that a block in the wrong place shows.
    unsafe Stamp.fill(bytes, version: version << 6 | UInt64(block), group: Self.group)
    word(block, version, 0).storeRelaxed(0)
    word(block, version, 2).storeRelease(0)
    word(block, version, 1).storeRelease(monotonicNanoseconds())
    // Release pairs with the acquire in `times`: who sees the version sees its beginning.
    word(block, version, 0).storeRelease(version)
    sequentialFence()
    try unsafe file.write(at: Int64(block * Self.blockBytes), .init(bytes))
    word(block, version, 2).storeRelease(monotonicNanoseconds())
  }

  /// When a write began, and when it ended if it has. Nil if it has not begun, or too many have come after it.
  private func times(_ block: Int, _ version: UInt64) -> (begin: UInt64, end: UInt64?)? {
    guard word(block, version, 0).loadAcquire() == version else { return nil }
    let begin = word(block, version, 1).loadAcquire()
    let end = word(block, version, 2).loadAcquire()
    // Once more, as a sequence lock: the entry was not taken for another write meanwhile.
    guard word(block, version, 0).loadAcquire() == version else { return nil }
    return (begin, end == 0 ? nil : end)
  }

  /// Decides whether some instant explains a read.
  /// - Parameters:
  ///   - seen: the versions that this thread has seen last, of all blocks.
  ///   - start, end: times before and after the read.
  /// - Returns: nil, or what is wrong.
  func explain(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, wanted: Int, start: UInt64, end: UInt64, seen: inout [UInt64]
  ) -> String? {
    let read = "read of \(wanted) bytes at \(offset) of the shared file"
    guard bytes.count == min(wanted, Self.fileBytes - offset) else { return "\(read): \(bytes.count) bytes" }
    // The instant is not before the one and not after the other.
    var notBefore = start
    var notAfter = end
    var account: [String] = []
    var done = 0
    while done < bytes.count {
      let block = (offset + done) / Self.blockBytes
      let from = (offset + done) % Self.blockBytes
      let part = min(Self.blockBytes - from, bytes.count - done)
      let there = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + part])
      done += part
      guard let version = unsafe Self.version(there, block: block, from: from) else {
        return "\(read): block \(block) has parts of several writes"
      }
      guard version != Self.unknown else { continue }
      if version < seen[block] {
        return "\(read): block \(block) shows write \(version), and write \(seen[block]) before"
      }
      seen[block] = version
      account.append("block \(block) write \(version)")
      if version > 0, let write = times(block, version) { notBefore = max(notBefore, write.begin) }
      if let next = times(block, version + 1), let end = next.end { notAfter = min(notAfter, end) }
    }
    guard notBefore <= notAfter else {
      return
        "\(read): never there together, by \(notBefore - notAfter) ns: \(account.prefix(8).joined(separator: ", "))"
    }
    return nil
  }

  private static var unknown: UInt64 { .max }

  /// The write that a part of a block shows; `unknown` if the part is less than a cell; nil if it shows more than one.
  static func version(_ bytes: UnsafeRawBufferPointer, block: Int, from start: Int) -> UInt64? {
    // The first whole cell says which write it must be.
    let skipped = (Stamp.cellBytes - start % Stamp.cellBytes) % Stamp.cellBytes
    guard bytes.count >= skipped + Stamp.cellBytes else { return unknown }
    let stamp = unsafe bytes.loadUnaligned(fromByteOffset: skipped, as: UInt64.self)
    let version = Stamp.version(stamp) >> 6
    guard stamp == 0 || Stamp.version(stamp) & 63 == UInt64(block) else { return nil }
    var done = 0
    while done < bytes.count {
      let cell = (start + done) / Stamp.cellBytes
      let from = (start + done) % Stamp.cellBytes
      let part = min(Stamp.cellBytes - from, bytes.count - done)
      let expected = stamp == 0 ? 0 : Stamp.make(version: Stamp.version(stamp), group: group, cell: cell)
      let there = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + part])
      if part == Stamp.cellBytes {
        guard let address = there.baseAddress, unsafe Stamp.matchesCell(address, stamp: expected) else { return nil }
      } else {
        guard unsafe Stamp.matches(there, from: from, stamp: expected) else { return nil }
      }
      done += part
    }
    return version
  }
}
