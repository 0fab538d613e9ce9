import Foundation
import Primitives

/// A sequence of accesses to pages, numbered from 0 on.
package struct AccessTrace: Sendable {
  package let name: String
  package let pages: [UInt32]
  package let uniquePages: Int

  /// - Parameter blocks: any numbers; their order is kept, the gaps between them are not.
  init(_ name: String, blocks: [UInt64]) {
    self.name = name
    let ordered = Set(blocks).sorted()
    var numbers: [UInt64: UInt32] = [:]
    numbers.reserveCapacity(ordered.count)
    for (number, block) in ordered.enumerated() { numbers[block] = UInt32(number) }
    pages = blocks.map { numbers[$0, default: 0] }
    uniquePages = ordered.count
  }

  /// Reads a trace of the format oracleGeneral: records of 24 bytes, little-endian, of which bytes 4 to 11 are the block. Sizes and times do not count.
  package init(path: String) throws(TraceError) {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw TraceError(path: path, problem: "cannot be read")
    }
    guard !data.isEmpty, data.count % 24 == 0 else {
      throw TraceError(path: path, problem: "has \(data.count) bytes, which is no whole number of records of 24")
    }
    guard data.count / 24 <= Int(UInt32.max) else { throw TraceError(path: path, problem: "has too many records") }
    let blocks = unsafe data.withUnsafeBytes { bytes in
      (0..<bytes.count / 24).map {
        UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: $0 * 24 + 4, as: UInt64.self))
      }
    }
    self.init(path.split(separator: "/").last.map(String.init) ?? path, blocks: blocks)
  }

  /// Accesses whose frequency falls with the rank of the page (Zipf, exponent 1), to pages in no order.
  package static func zipf(pages: Int = 50_000, accesses: Int = 500_000, seed: UInt64 = 1) -> AccessTrace {
    var random = RandomWords(seed: seed)
    var draw = ZipfDrawing(pages)
    return AccessTrace("zipf", blocks: (0..<accesses).map { _ in scattered(draw.next(&random)) })
  }

  /// The same, and every now and then a run of pages that are read once and never again: half of all accesses.
  package static func scan(pages: Int = 25_000, accesses: Int = 500_000, seed: UInt64 = 2) -> AccessTrace {
    var random = RandomWords(seed: seed)
    var draw = ZipfDrawing(pages)
    var blocks: [UInt64] = []
    var next: UInt64 = 1 << 40
    while blocks.count < accesses {
      for _ in 0..<1000 { blocks.append(scattered(draw.next(&random))) }
      for _ in 0..<1000 {
        blocks.append(next)
        next += 1
      }
    }
    return AccessTrace("scan", blocks: blocks)
  }

  /// All pages one after the other, again and again.
  package static func loop(pages: Int = 20_000, rounds: Int = 20) -> AccessTrace {
    AccessTrace("loop", blocks: (0..<pages * rounds).map { UInt64($0 % pages) })
  }

  /// Neighbours in rank are no neighbours in the file.
  private static func scattered(_ rank: Int) -> UInt64 { UInt64(rank) &* 0x9E37_79B9_7F4A_7C15 >> 24 }

  /// Misses of a cache of so many pages that keeps what was used last. A model, to compare with.
  package func missesOfLeastRecentlyUsed(capacity: Int) -> Int {
    // Each page's place in a ring of two lists of numbers: before and after it.
    var before = [UInt32](repeating: 0, count: uniquePages + 1)
    var after = [UInt32](repeating: 0, count: uniquePages + 1)
    var isCached = [Bool](repeating: false, count: uniquePages + 1)
    var (count, misses) = (0, 0)
    for number in pages {
      let page = Int(number) + 1
      if isCached[page] {
        after[Int(before[page])] = after[page]
        before[Int(after[page])] = before[page]
      } else {
        misses += 1
        if count == capacity {
          let last = Int(before[0])
          after[Int(before[last])] = 0
          before[0] = before[last]
          isCached[last] = false
        } else {
          count += 1
        }
        isCached[page] = true
      }
      after[page] = after[0]
      before[page] = 0
      before[Int(after[0])] = UInt32(page)
      after[0] = UInt32(page)
    }
    return misses
  }
}

package struct TraceError: Error, CustomStringConvertible {
  package let path: String
  package let problem: String
  package var description: String { "\(path): \(problem)" }
}

/// Draws ranks from 0 on, of which each is as likely as 1 / (rank + 1).
private struct ZipfDrawing {
  private let cumulated: [Double]

  init(_ count: Int) {
    var sum = 0.0
    cumulated = (0..<count).map {
      sum += 1 / Double($0 + 1)
      return sum
    }
  }

  mutating func next(_ random: inout RandomWords) -> Int {
    let wanted = Double(random.next(below: 1 << 53)) / Double(1 << 53) * cumulated[cumulated.count - 1]
    var (low, high) = (0, cumulated.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if cumulated[middle] > wanted { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
