/// Says when the next bytes may be asked for, so that no more than so many a second are.
///
/// Time in which nothing was asked for is not saved up: there is no burst after it.
package struct Pacer {
  /// At most; nil for as many as there are.
  package let bytesPerSecond: Int?
  /// When the bytes that were asked for last are paid for.
  private var paidAt: UInt64 = 0

  package init(bytesPerSecond: Int?) { self.bytesPerSecond = bytesPerSecond }

  /// Nanoseconds until more may be asked for.
  package func wait(now: UInt64) -> UInt64 { paidAt > now ? paidAt - now : 0 }

  /// Notes bytes that were asked for from some time on.
  package mutating func note(_ byteCount: Int, since start: UInt64) {
    guard let bytesPerSecond else { return }
    let cost = Double(byteCount) / Double(bytesPerSecond) * 1e9
    // A century, at most.
    paidAt = max(paidAt, start) + UInt64(min(cost, 3e18))
  }

  /// Bytes that one read may have: an eighth of a second's worth, so that reads of others find gaps.
  package func mostAtOnce(_ most: Int) -> Int { bytesPerSecond.map { max(1, min(most, $0 / 8)) } ?? most }
}
