import Glibc
import Primitives

/// Draws the pages that threads read, before anything is measured.
///
/// Other programs draw the same (`Peers/hyperclock/hyperclock.cpp`), so all of it is simple: wyrand, a table of sums searched by halves, a shuffle. Doubles
/// are only added, multiplied, divided and raised to a power, in this order, by the C library; `AccessStream.checksum` shows that nothing differs.
package struct AccessDrawing {
  package let distribution: AccessDistribution
  package let pageCount: Int
  private let seed: UInt64
  // Of zipf only: sums of the frequencies of ranks, and the page of each rank.
  private let cumulated: [Double]
  private let pageOfRank: [UInt32]

  /// - Parameter pageCount: 1 to 2^31.
  package init(_ distribution: AccessDistribution, pageCount: Int, seed: UInt64) {
    self.distribution = distribution
    self.pageCount = pageCount
    self.seed = seed
    guard distribution == .zipf else {
      cumulated = []
      pageOfRank = []
      return
    }
    var sum = 0.0
    cumulated = (0..<pageCount).map {
      sum += 1 / pow(Double($0 + 1), AccessDistribution.exponent)
      return sum
    }
    // Neighbours in rank are no neighbours in the file. Shuffled, and not hashed: a hash leaves out a third of the pages.
    var pages = (0..<UInt32(pageCount)).map { $0 }
    var random = RandomWords(seed: seed)
    for place in stride(from: pageCount - 1, to: 0, by: -1) {
      pages.swapAt(place, Int(random.next(below: UInt64(place + 1))))
    }
    pageOfRank = pages
  }

  /// What one thread reads.
  package func stream(thread: Int, count: Int) -> AccessStream {
    var random = RandomWords(seed: seed &+ UInt64(thread + 1) &* 0x9E37_79B9_7F4A_7C15)
    let pages = (0..<count).map { _ -> UInt32 in
      switch distribution {
      case .uniform: UInt32(random.next(below: UInt64(pageCount)))
      case .zipf: pageOfRank[rank(&random)]
      }
    }
    return AccessStream(pages: pages)
  }

  private func rank(_ random: inout RandomWords) -> Int {
    let wanted = Double(random.next(below: 1 << 53)) / Double(1 << 53) * cumulated[cumulated.count - 1]
    var (low, high) = (0, cumulated.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if cumulated[middle] > wanted { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

/// The pages that one thread reads, one after the other.
package struct AccessStream: Sendable {
  package let pages: [UInt32]

  /// FNV-1a over the numbers, of all threads one after the other: two programs with one of these have drawn the same.
  package static func checksum(_ streams: [AccessStream]) -> UInt64 {
    var sum: UInt64 = 0xCBF2_9CE4_8422_2325
    for stream in streams {
      for page in stream.pages { sum = (sum ^ UInt64(page)) &* 0x100_0000_01B3 }
    }
    return sum
  }
}
