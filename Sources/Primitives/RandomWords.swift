/// A small, fast, repeatable source of random words (wyrand). Not for secrets.
@frozen
public struct RandomWords: RandomNumberGenerator, Sendable {
  @usableFromInline var state: UInt64

  @inlinable @inline(__always)
  package init(seed: UInt64) { state = seed }

  @inlinable @inline(__always)
  public mutating func next() -> UInt64 {
    state &+= 0xA076_1D64_78BD_642F
    let product = state.multipliedFullWidth(by: state ^ 0xE703_7ED1_A0B4_28DB)
    return product.high ^ product.low
  }

  /// A word in `0..<bound`. Biased by less than `bound / 2^64`.
  @inlinable @inline(__always)
  package mutating func next(below bound: UInt64) -> UInt64 {
    next().multipliedFullWidth(by: bound).high
  }
}
