/// What each thread has done, as far as somebody knows: a number for each.
package typealias VectorClock = SIMD8<UInt32>

extension SIMD8<UInt32> {
  @inline(__always)
  mutating func join(_ other: VectorClock) { replace(with: other, where: other .> self) }

  /// Of a store that no thread has seen.
  static var never: VectorClock { VectorClock(repeating: .max) }
}
