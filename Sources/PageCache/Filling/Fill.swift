import BackingStores
import Folios
import PageIndex
import Primitives

/// One read from the store into fresh folios, for however many callers wait for it.
///
/// Pages `first...last` of one file; no other fill of the file covers any of them while this one is in the file's table.
final class Fill: Sendable {
  let first: UInt64
  let last: UInt64
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var known: Result<Void, CacheError>?
  nonisolated(unsafe) private var waiting: [@Sendable (Result<Void, CacheError>) -> Void] = []

  /// The page whose entry is to bear the read-ahead mark.
  let mark: UInt64?

  init(first: UInt64, last: UInt64, mark: UInt64? = nil) {
    self.first = first
    self.last = last
    self.mark = mark.flatMap { first <= $0 && $0 <= last ? $0 : nil }
  }

  /// Waits for the outcome.
  func wait() throws(CacheError) {
    try monitor.withLock { () throws(CacheError) in
      while true {
        if let known = unsafe known { return try known.get() }
        monitor.wait()
      }
    }
  }

  /// Suspends until the outcome is known.
  nonisolated(nonsending) func outcome() async throws(CacheError) {
    let result = await withCheckedContinuation { continuation in
      whenOver { continuation.resume(returning: $0) }
    }
    try result.get()
  }

  /// Calls back with the outcome: now if it is known, else when it is.
  func whenOver(_ call: @escaping @Sendable (Result<Void, CacheError>) -> Void) {
    let result = monitor.withLock { () -> Result<Void, CacheError>? in
      if let known = unsafe known { return known }
      unsafe waiting.append(call)
      return nil
    }
    if let result { call(result) }
  }

  /// Announces the outcome, once.
  func finish(_ result: Result<Void, CacheError>) {
    var calls: [@Sendable (Result<Void, CacheError>) -> Void] = []
    monitor.withLock {
      unsafe known = result
      unsafe swap(&calls, &waiting)
      monitor.broadcast()
    }
    for call in calls { call(result) }
  }
}

/// A folio of a fill: where it goes in the file, and its frames.
struct FillFolio {
  let page: UInt64
  let order: Int
  let frame: UInt64
}
