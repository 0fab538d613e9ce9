import BackingStores
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

@testable import PageCache

/// What a page is marked with, and how many pages a mark stands for.
@Suite struct KeptFolioTests {
  /// A size of file and a limit of memory with which what is read makes slots of several pages: 512 of them, or 64.
  struct Sizes: Sendable, CustomTestStringConvertible {
    let megabytes: Int
    let limit: Int
    var testDescription: String { "\(megabytes) MiB in \(limit) MiB" }
    static let all = [Sizes(megabytes: 8, limit: 256), Sizes(megabytes: 300, limit: 64)]
  }

  /// X8. What was read when the file was open for reading only does not make more dirty than what is written.
  @Test(arguments: PageCache.Durability.allCases, Sizes.all)
  func aByteOfAFileThatWasReadBefore(_ durability: PageCache.Durability, _ sizes: Sizes) throws {
    let store = MemoryStore(size: Int64(sizes.megabytes) << 20) { UInt8($0 >> 12 & 127) | 1 }
    let cache = try PageCache(.init(memoryLimit: sizes.limit << 20))
    let reader = try cache.open(store: store)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
    defer { unsafe buffer.deallocate() }
    for piece in 0..<8 { try unsafe reader.read(fromAbsoluteOffset: Int64(piece) << 20, into: buffer) }
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
    let writer = try cache.open(
      store: MemoryStore(bytes: [], identity: store.identity), .readWrite(durability: durability))
    try writer.sync()
    try writer.write(toAbsoluteOffset: 6 << 20, [200])
    let owed = try cache.statistics().owedFrames
    #expect(owed == 1, "frames")
    let before = try cache.statistics().writtenBackBytes
    try writer.sync()
    #expect(try cache.statistics().writtenBackBytes - before <= 4096)
    try writer.close()
    try reader.close()
  }

  enum Access: String, CaseIterable { case read, loan, readOfMore, loanOfMore }

  /// X7. The access that takes off the mark of read-ahead has more brought.
  @Test(arguments: Access.allCases) func aMarkIsTakenOff(_ access: Access) throws {
    let size = 4 << 20
    let cache = try PageCache(
      .init(memoryLimit: 64 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 20, readAheadLength: 1 << 20))
    let file = try cache.open(store: patternStore(size))
    // One behind the other: the second one has more brought, and page 8 is marked.
    for offset in [0, 16_384] { _ = try file.read(fromAbsoluteOffset: Int64(offset), count: 16_384) }
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
    let marked = 8
    let before = try cache.statistics().filledBytes
    switch access {
    case .read: _ = try file.read(fromAbsoluteOffset: Int64(marked) << 12, count: 10)
    case .loan: try file.withBytes(atAbsoluteOffset: Int64(marked) << 12, count: 10) { _ in }
    case .readOfMore, .loanOfMore:
      // The page before the mark has gone, so that what is there is held while that is brought.
      let start = Int64(marked - 1) << 12
      try file.advise(.dontNeed, start..<start + 4096)
      if access == .readOfMore {
        _ = try file.read(fromAbsoluteOffset: start, count: 8192)
      } else {
        try file.withBytes(atAbsoluteOffset: start, count: 8192) { _ in }
      }
    }
    while cache.engine.readAheads.value > 0 { sleepNanoseconds(1_000_000) }
    #expect(try cache.statistics().filledBytes - before > 8192, "nothing is read ahead any more")
    try file.close()
  }
}
