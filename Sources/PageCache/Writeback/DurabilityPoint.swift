/// All that has been done to a file up to some moment: something that can be durable, and that other bytes can wait for.
///
/// From `CachedFile.durabilityPoint()`; for `CachedFile.write(toAbsoluteOffset:_:notBefore:)`. It does not keep its file open: the last close makes it
/// durable, if the store lets it.
public struct DurabilityPoint: Sendable {
  let file: FileCore
  package let change: UInt64

  /// Whether all of it is durable.
  ///
  /// Acquire pairs with the release of whoever has made it so.
  /// - Cost: one load.
  public var isReached: Bool { file.durableWord.loadAcquire() >= change }
}

extension DurabilityPoint: Reachable {
  package var sourceNumber: UInt64 { file.number }
}
