/// What `bench scan` measures.
package struct ScanPlan: Sendable {
  package var fileBytes = 1 << 30
  /// The limit of the cache. Smaller than the file, so that making room is in what is measured.
  package var limit = 256 << 20
  /// The order of the folios that the cache may make at most.
  package var largestOrder = 0
  package var rounds = 7
  package var seed: UInt64 = 1
  package var shapes = ScanShape.all

  package static let allowedFileBytes = 16 << 20...1 << 40
  package static let allowedLimits = 16 << 20...64 << 30
  package static let allowedRounds = 1...1000

  package init() {}
}

/// The order in which blocks of a file are read.
package struct ScanShape: Sendable, Codable, Equatable {
  package var name: String
  package var blockBytes: Int
  /// From the start of one block to the start of the next.
  package var strideBytes: Int
  package var isRandom = false

  package init(_ name: String, blockBytes: Int, strideBytes: Int, isRandom: Bool = false) {
    self.name = name
    self.blockBytes = blockBytes
    self.strideBytes = strideBytes
    self.isRandom = isRandom
  }

  package static let all = [
    ScanShape("sequential, 128 KiB", blockBytes: 128 << 10, strideBytes: 128 << 10),
    ScanShape("sequential, 1 MiB", blockBytes: 1 << 20, strideBytes: 1 << 20),
    ScanShape("16 KiB every 64 KiB", blockBytes: 16 << 10, strideBytes: 64 << 10),
    ScanShape("random, 4 KiB", blockBytes: 4096, strideBytes: 4096, isRandom: true),
  ]

  /// Blocks that are read: all there are, but of those at random only some, as a disk takes long for them.
  package func blockCount(fileBytes: Int) -> Int {
    let all = fileBytes / strideBytes
    return isRandom ? min(all, 16384) : all
  }

  /// Reads under way at one time in fio's arm: four MiB, which keeps any one disk at work, and at most 64, behind which a queue only waits.
  package var depth: Int { max(1, min(64, (4 << 20) / blockBytes)) }
}
