import ReadCopyUpdate

/// What each thread counts in its own record: nothing shared on a hit (P2), summed when asked.
enum Counter {
  /// Hits by size: number 0 is one and two bytes, number n is 2^n+1 ... 2^(n+1) bytes.
  static let hitSizes = 0
  /// Reads that took the slow path, by size.
  static let slowSizes = 48
  static let sizeClasses = 48
  static let retries = 96
  static let misses = 97
  static let fills = 98
  static let filledBytes = 99
  static let failedFills = 100
  static let evictions = 101
  static let evictedFrames = 102
  static let firstAccesses = 103
  static let borrows = 104
  static let borrowCopies = 105
  static let joinedFills = 106

  /// The size class of a count of at least one byte: where its topmost bit is, rounding up. The lowest bit is set so that there always is one, which
  /// saves the hit path two instructions, and one and two bytes their difference.
  @inline(__always)
  static func sizeClass(_ count: UInt64) -> Int {
    63 ^ ((count &- 1) | 1).leadingZeroBitCount
  }
}
