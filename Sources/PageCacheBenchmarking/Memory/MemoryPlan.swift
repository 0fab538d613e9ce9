import Primitives

/// What `bench memory` measures.
package struct MemoryPlan: Sendable {
  /// Bytes that each arm may keep.
  package var limit = 256 << 20
  /// The file by the limit.
  package var fileFactor = 4
  package var threads = availableCores()
  package var seconds = 2.0
  package var rounds = 7
  package var seed: UInt64 = 1
  package var distributions = AccessDistribution.allCases
  package var arms = MemoryArmKind.allCases

  package static let allowedLimits = 8 << 20...16 << 30
  package static let allowedThreads = 1...256
  package static let allowedRounds = 1...1000
  static let pageBytes = 4096

  package init() {}

  package var fileBytes: Int { limit * fileFactor }
  package var pageCount: Int { fileBytes / Self.pageBytes }

  /// Accesses in the stream of each thread; then it begins again. Many times what is cached, so that no policy can learn it.
  package var streamCount: Int { max(1 << 16, min(1 << 21, 16 * pageCount)) }

  /// Reads of each thread before the first round: four times the pages that fit, so that what is cached has settled.
  var warmReads: Int { max(1, 4 * (limit / Self.pageBytes) / threads) }

  /// Where in the streams a round begins, the same for all arms. The warm-up has the end of the streams.
  func start(round: Int) -> Int { streamCount / (rounds + 1) * round }
  var warmStart: Int { max(0, streamCount - warmReads) }
}
