import BackingStores
import Primitives

/// What a file knows of its store. Expects the file's lock held.
struct StoreState {
  /// Bytes that the store has: fewer than the file's length while its end has not been written back.
  var size: Int64
  /// Whether the store may be longer than that, after something that it has refused.
  var mayBeLonger = false
  /// When the store last changed, as far as it told; nil once this cache has changed it, until it is asked again.
  var stamp: StoreStatus.ChangeStamp?
  /// Whether there may be holes that are not known.
  var mayHaveHoles: Bool
  /// Whether it was reported that the store's name leads elsewhere.
  var isReplacementReported = false
  /// Whether somebody else has changed it, which has not been accepted yet.
  var isChangedByOthers = false

  init(_ status: StoreStatus) {
    size = status.size
    stamp = status.changeStamp
    mayHaveHoles = status.allocatedBytes.map { $0 < status.size } ?? true
  }

  /// Takes what the store says now for what is known of it.
  mutating func accept(_ status: StoreStatus) {
    size = status.size
    mayBeLonger = false
    stamp = status.changeStamp
    mayHaveHoles = status.allocatedBytes.map { $0 < status.size } ?? true
    isReplacementReported = status.isReplaced
    isChangedByOthers = false
  }

  /// Whether what the store says now is what is known of it, as far as can be told.
  func differs(from version: StoreVersion) -> Bool {
    (mayBeLonger ? version.size < size : version.size != size) || stamp.map { $0 != version.changeStamp } ?? false
  }
}
