import ReadCopyUpdate

/// What each thread counts in its own record: nothing shared on a hit (P2), summed when asked.
enum Counter {
  /// Hits by size: one counter for each number of leading zeros that a size can have.
  static let hitSizes = 0
  /// Reads that took the slow path, by size.
  static let slowSizes = 64
  static let retries = 128
  static let misses = 129
  static let fills = 130
  static let filledBytes = 131
  static let failedFills = 132
  static let evictions = 133
  static let evictedFrames = 134
  static let refaults = 135
  static let borrows = 136
  static let borrowCopies = 137
  static let joinedFills = 138
  static let writes = 139
  static let writtenBytes = 140
  static let writtenBackBytes = 141
  static let flushes = 142
  static let failedFlushes = 143
  static let readAheads = 144
  static let moves = 146
  /// Blocks that were not to be had although as many frames were free.
  static let fragmentedAllocations = 145

  /// The counter of a count of at least one byte, among those by size: how many zeros lead the count less one. The lowest bit is set so that
  /// there always is a one, which saves the hit path two instructions, and one and two bytes their difference.
  @inline(__always)
  static func sizeClass(_ count: UInt64) -> Int { ((count &- 1) | 1).leadingZeroBitCount }

  /// Counts by size as they are reported: number 0 is one and two bytes, number n is 2^n+1 ... 2^(n+1) bytes.
  static func bySize(_ first: Int, in domain: ReadDomain) -> [UInt64] {
    (0..<reportedSizes).map { domain.sum(counter: first + 63 - $0) }
  }

  /// Sizes of up to 2^48 bytes.
  private static var reportedSizes: Int { 48 }
}
