import PageCache
import PageCacheBenchmarking
import SystemPackage
import TestSupport
import Testing

/// A short form of the soak, and whether it would see what it looks for.
@Suite(.serialized) struct SoakTests {
  @Test(arguments: [0...0, 0...4]) func nothingIsWrongForSomeSeconds(orders: ClosedRange<Int>) throws {
    try withTemporaryDirectory { directory in
      var soak = Soak(path: directory.appending("soak"))
      soak.seconds = isSanitized ? 6 : 3
      soak.seed = testSeed
      soak.memoryLimit = 16 << 20
      soak.folioOrders = orders
      // Other tests use memory at the same time.
      soak.judgesMemory = false
      soak.keepsMallocAsItIs = true
      let report = try soak.run()
      #expect(report.isClean, "\(report.lines.joined(separator: "\n"))")
      #expect(report.refusals.isEmpty && report.stamped.isClean)
      #expect(report.samples.count > 4 && report.verifiedBytes > 1 << 20 && report.verifiedAtEnd == 96 << 20)
      for operation in [SoakOperation.read, .write, .resize, .readBlocks, .writeBlock, .reopen] {
        #expect(report.operations.contains { $0.operation == operation && $0.count > 0 }, "\(operation)")
      }
      let picture = try #require(SoakPlot(report).svg)
      #expect(picture.hasPrefix("<svg") && picture.hasSuffix("</svg>\n") && picture.contains("resident"))
    }
  }

  @Test func whatIsWrongInABlockIsSeen() throws {
    try withTemporaryDirectory { directory in
      let path = directory.appending("blocks")
      let counts = SoakCounts()
      let cache = try smallCache()
      let file = SoakFile(path, durability: .writeThrough, counts: counts)
      try file.open(in: cache)
      let blocks = SoakBlocks(file, blockCount: 3)
      try file.resize(to: Int64(blocks.byteCount))
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: SoakBlocks.blockBytes, alignment: 64)
      defer { unsafe buffer.deallocate() }
      for _ in 0..<3 { unsafe try blocks.change(1, buffer: buffer, counts: counts) }
      // The eighth is a hole.
      for _ in 0..<8 { unsafe try blocks.change(2, buffer: buffer, counts: counts) }
      try file.sync(dataOnly: false)
      let stored = try KernelFile(path)
      #expect(unsafe try blocks.mismatch(throughout: stored, buffer: buffer) == nil)
      #expect(unsafe try blocks.mismatch(throughout: file, buffer: buffer) == nil)
      // One byte; a block that is of an earlier write; one that is another; one that is gone; a file that is short.
      let size = SoakBlocks.blockBytes
      func tamper(_ place: Int, _ bytes: [UInt8]) throws {
        var before = [UInt8](repeating: 0, count: bytes.count)
        _ = try unsafe before.withUnsafeMutableBytes { try unsafe stored.read(at: Int64(place), into: $0) }
        try unsafe bytes.withUnsafeBytes { try unsafe stored.write(at: Int64(place), $0) }
        #expect(unsafe try blocks.mismatch(throughout: stored, buffer: buffer) != nil, "\(place)")
        try unsafe before.withUnsafeBytes { try unsafe stored.write(at: Int64(place), $0) }
        #expect(unsafe try blocks.mismatch(throughout: stored, buffer: buffer) == nil)
      }
      var block = [UInt8](repeating: 0, count: size)
      _ = try unsafe block.withUnsafeMutableBytes { try unsafe stored.read(at: Int64(size), into: $0) }
      try tamper(0, [1])
      try tamper(size + 5000, [block[5000] ^ 1])
      try tamper(3 * size - 1, [1])
      try tamper(0, block)
      try tamper(2 * size, block)
      try tamper(size, Array(repeating: 0, count: size))
      unsafe try blocks.change(1, buffer: buffer, counts: counts)
      try file.sync(dataOnly: false)
      try tamper(size, block)
      try stored.resize(to: Int64(3 * size - 1))
      #expect(unsafe try blocks.mismatch(throughout: stored, buffer: buffer) != nil)
      try stored.close()
      try? file.close()
    }
  }
}
