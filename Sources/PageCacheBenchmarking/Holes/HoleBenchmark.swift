import Glibc
import PageCache
import Primitives
import SystemPackage

/// A sparse file of one hole: what reading it takes, in time beside memset, and in frames and index nodes.
package struct HoleBenchmark: Sendable {
  package var fileBytes: Int64 = 1 << 40
  /// Read from the start on, a piece at a time.
  package var sequentialBytes: Int64 = 10 << 30
  package var pieceBytes = 1 << 20
  /// Reads of 4 KiB all over the file, before that.
  package var samples = 100_000

  package init() {}

  package struct Report: Sendable {
    package var lines: [String]
    /// Whether every byte was zero, and no frame was used for data.
    package var isClean: Bool
  }

  package func run(directory: String) throws -> Report {
    let path = FilePath("\(directory)/pagecache-holes-\(getpid())")
    let cache = try PageCache(.init(memoryLimit: 64 << 20))
    let file = try cache.open(path, .readWrite(creation: .exclusively))
    defer { unsafe _ = path.withPlatformString { unsafe unlink($0) } }
    try file.resize(to: fileBytes)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0xC5)
    var wrong = 0
    var random = RandomWords(seed: 1)
    for _ in 0..<samples {
      let offset = Int64(random.next(below: UInt64(fileBytes - 4096)))
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<4096])
      unsafe part[0] = 1
      unsafe part[4095] = 1
      if try unsafe file.read(fromAbsoluteOffset: offset, into: part) != 4096 { wrong += 1 }
      if unsafe part[0] != 0 || part[4095] != 0 { wrong += 1 }
    }
    // In rounds of 64 MiB each, one after the other.
    var ratios: [Double] = []
    var read = 0.0
    var filled = 0.0
    let round = 64 << 20
    for start in stride(from: 0, to: sequentialBytes, by: round) {
      let began = monotonicNanoseconds()
      for piece in stride(from: start, to: start + Int64(round), by: pieceBytes) {
        if try unsafe file.read(fromAbsoluteOffset: piece, into: buffer) != pieceBytes { wrong += 1 }
      }
      let between = monotonicNanoseconds()
      for _ in 0..<round / pieceBytes {
        unsafe _ = memset(buffer.baseAddress.unsafelyUnwrapped, 0, pieceBytes)
        keep(UInt64(UInt(bitPattern: buffer.baseAddress)))
      }
      let end = monotonicNanoseconds()
      read += Double(between - began)
      filled += Double(end - between)
      ratios.append(Double(end - between) / Double(between - began))
    }
    let statistics = try cache.statistics()
    let dataFrames = statistics.cachedFramesByOrder.reduce(0, +)
    let interval = Interval(ratios)
    try file.close()
    return Report(
      lines: [
        "a hole of \(fileBytes >> 30) GiB: \(samples) reads of 4 KiB all over it, then \(sequentialBytes >> 30) GiB in pieces of "
          + "\(pieceBytes >> 10) KiB; \(wrong) wrong",
        "\(fixed(Double(sequentialBytes) / read, 1)) GB/s; memset \(fixed(Double(sequentialBytes) / filled, 1)) GB/s; "
          + "relative speed \(fixed(interval.median, 2)) (\(fixed(interval.low, 2))-\(fixed(interval.high, 2)))",
        "frames of data \(dataFrames); of index nodes \(statistics.nodeFrames) "
          + "(\(statistics.nodeFrames * statistics.frameByteCount / 1024) KiB)",
      ], isClean: wrong == 0 && dataFrames == 0)
  }
}
