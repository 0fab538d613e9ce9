/// All that has been done to a file up to some moment: something that can be durable, and that other bytes can wait for.
///
/// From `CachedFile.durabilityPoint()`; for `CachedFile.write(toAbsoluteOffset:_:notBefore:)`. It does not keep its file open: the last close makes it
/// durable, if the store lets it.
public struct DurabilityPoint: Sendable {
  let file: FileCore
  let change: UInt64

  /// Whether all of it is durable.
  ///
  /// Acquire pairs with the release of whoever has made it so.
  /// - Cost: one load.
  public var isReached: Bool { file.durableWord.loadAcquire() >= change }
}

/// Why a page may not be written back yet. Expects the file's lock held.
struct HoldBack {
  /// Points of other files, one each.
  private(set) var points: [DurabilityPoint]
  /// The file's changes when the page was first held back: those before it do not wait for it.
  let since: UInt64

  init(_ point: DurabilityPoint, since: UInt64) {
    points = [point]
    self.since = since
  }

  mutating func add(_ point: DurabilityPoint) {
    if let place = points.firstIndex(where: { $0.file === point.file }) {
      if points[place].change < point.change { points[place] = point }
    } else {
      points.append(point)
    }
  }
}
