import Primitives

/// Whether all threads read one file or each has its own.
package enum Placement: String, Sendable, Codable, CaseIterable {
  case same, different
}

/// What `bench reads` measures, and for how long.
package struct ReadPlan: Sendable {
  package var fileBytes = [4 << 10, 1 << 20, 1 << 30]
  package var blockBytes = [1, 32, 256, 1024, 4096, 32768]
  package var threads: [Int]
  package var arms = ReadArmKind.allCases
  /// Rounds that count; one more, before them, does not.
  package var rounds = 9
  package var millisecondsPerRound = 25
  /// Where a directory for the files is made; nil for a likely place.
  package var directory: String?

  package init() {
    threads = []
    for count in [1, availableCores(), 16] where !threads.contains(count) { threads.append(count) }
  }

  /// Shorter rounds and fewer of them.
  package mutating func makeQuick() {
    rounds = 5
    millisecondsPerRound = 5
  }

  package static let allowedFileBytes = 1...(1 << 40)
  package static let allowedBlockBytes = 1...(1 << 30)
  package static let allowedThreads = 1...256
  package static let allowedRounds = 1...1000
  package static let allowedMilliseconds = 1...60_000

  /// The largest orders of folios with which the arms over a cache are measured: one of order 9 is 2 MiB. How large they are is the cache's choice.
  static func folioOrders(forFile fileBytes: Int) -> [Int] { fileBytes >= 2 << 20 ? [0, 9] : [0] }

  static func placements(threads: Int) -> [Placement] { threads == 1 ? [.same] : [.same, .different] }

  func ordersOfCaches(forFile fileBytes: Int) -> [Int] {
    arms.contains(where: \.usesCache) ? ReadPlan.folioOrders(forFile: fileBytes) : []
  }

  /// Bytes that a cache for so many files is given: their folios, the quarter that a cache sets aside counts as room for fills,
  /// metadata, nodes.
  static func cacheBytes(fileBytes: Int, files: Int, order: Int) -> Int {
    let folioBytes = 4096 << order
    let rounded = (fileBytes + folioBytes - 1) / folioBytes * folioBytes
    return files * rounded + files * rounded / 8 + 64 << 20
  }

  /// Bytes of memory that so many files take: in the kernel's cache, and in ours.
  func memoryNeeded(fileBytes: Int, files: Int) -> Int {
    ordersOfCaches(forFile: fileBytes).reduce(files * fileBytes + 256 << 20) {
      $0 + ReadPlan.cacheBytes(fileBytes: fileBytes, files: files, order: $1)
    }
  }
}

/// Why a benchmark could not be run to its end.
package struct BenchmarkError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
