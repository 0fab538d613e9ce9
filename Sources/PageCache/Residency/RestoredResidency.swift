/// What a restoration has done.
public struct RestoredResidency: Sendable {
  /// Files that were open, and are the ones that were saved.
  public var files = 0
  /// Bytes of them that were cached then, as far as the files still go.
  public var wantedBytes: Int64 = 0
  /// Bytes that were read from the stores, in whole pages. The others were there already, lie in holes, or were not come to.
  public var restoredBytes: Int64 = 0
  /// Files that were saved and are not open.
  public var missingFiles: [String] = []
  /// Files that are open by the name of one that was saved, and are not that one.
  public var replacedFiles: [String] = []
  /// For each file that could not be read, why. The rest of that file was left out.
  public var failures: [CacheError] = []
  public var state = State.underWay

  public enum State: String, Sendable {
    case underWay = "under way"
    /// Everything has been looked at.
    case complete
    /// No more frames are free. What was left out was the coldest.
    case full
    case cancelled
  }
}
