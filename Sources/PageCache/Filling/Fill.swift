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
  nonisolated(unsafe) private var outcome: Result<Void, CacheError>?
  nonisolated(unsafe) private var waiting: [@Sendable (Result<Void, CacheError>) -> Void] = []

  init(first: UInt64, last: UInt64) {
    self.first = first
    self.last = last
  }

  /// Waits for the outcome.
  func wait() throws(CacheError) {
    try monitor.withLock { () throws(CacheError) in
      while true {
        if let outcome = unsafe outcome { return try outcome.get() }
        monitor.wait()
      }
    }
  }

  /// Calls back with the outcome: now if it is known, else when it is.
  func whenOver(_ call: @escaping @Sendable (Result<Void, CacheError>) -> Void) {
    let known = monitor.withLock { () -> Result<Void, CacheError>? in
      if let outcome = unsafe outcome { return outcome }
      unsafe waiting.append(call)
      return nil
    }
    if let known { call(known) }
  }

  /// Announces the outcome, once.
  func finish(_ result: Result<Void, CacheError>) {
    var calls: [@Sendable (Result<Void, CacheError>) -> Void] = []
    monitor.withLock {
      unsafe outcome = result
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
