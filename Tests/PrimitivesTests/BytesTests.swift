import Primitives
import TestSupport
import Testing

@Suite struct BytesTests {
  static let lengths = Array(0...40) + [63, 64, 65, 127, 128, 129, 255, 256, 257, 4095, 4096, 4097, 65_537]

  @Test func copiesExactlyTheBytesAskedFor() {
    var words = RandomWords(seed: testSeed)
    let source = (0..<70_000).map { _ in UInt8(truncatingIfNeeded: words.next()) }
    for length in Self.lengths {
      for (from, to) in [(0, 0), (1, 0), (0, 3), (7, 5), (8, 8), (13, 1)] {
        var target = [UInt8](repeating: 0xA5, count: length + 32)
        unsafe target.withUnsafeMutableBytes { target in
          unsafe source.withUnsafeBytes { source in
            unsafe racyCopy(to: target.baseAddress! + 8 + to, from: source.baseAddress! + from, count: length)
          }
        }
        let expected =
          [UInt8](repeating: 0xA5, count: 8 + to) + source[from..<from + length]
          + [UInt8](repeating: 0xA5, count: 24 - to)
        #expect(target == expected, "\(length) bytes from \(from) to \(to), PAGECACHE_SEED=\(testSeed)")
      }
    }
  }

  @Test func zeroesExactlyTheBytesAskedFor() {
    for length in Self.lengths {
      for offset in [0, 1, 7, 8] {
        var target = [UInt8](repeating: 0xA5, count: length + 32)
        unsafe target.withUnsafeMutableBytes { unsafe zeroBytes($0.baseAddress! + 8 + offset, count: length) }
        let expected =
          [UInt8](repeating: 0xA5, count: 8 + offset) + [UInt8](repeating: 0, count: length)
          + [UInt8](repeating: 0xA5, count: 24 - offset)
        #expect(target == expected, "\(length) bytes at \(offset)")
      }
    }
  }
}
