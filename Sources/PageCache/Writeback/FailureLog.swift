import BackingStores

/// What went wrong when a file was written back or flushed, for every handle to be told once (B6). Expects the file's lock held.
struct FailureLog {
  /// The last failures, oldest first.
  private var recent: [StoreError] = []
  /// Failures ever.
  private(set) var count: UInt64 = 0

  /// Failures that are kept word for word.
  private static var mostKept: Int { 32 }

  mutating func add(_ error: StoreError) {
    count += 1
    recent.append(error)
    if recent.count > FailureLog.mostKept { recent.removeFirst() }
  }

  /// What has happened since a handle was last told, and from where it is told next.
  func since(_ cursor: UInt64) -> (failures: [StoreError], unnamed: Int) {
    let news = Int(count - cursor)
    let named = min(news, recent.count)
    return (Array(recent.suffix(named)), news - named)
  }
}
