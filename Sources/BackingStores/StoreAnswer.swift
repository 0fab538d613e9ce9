import Primitives

/// A store's answer to a read, for whoever waits for it on a thread. The first one counts.
package final class StoreAnswer: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  private nonisolated(unsafe) var result: Result<Int, StoreError>?

  package init() {}

  package func set(_ answer: Result<Int, StoreError>) {
    monitor.withLock {
      guard unsafe result == nil else { return }
      unsafe result = answer
      monitor.broadcast()
    }
  }

  package func wait() -> Result<Int, StoreError> {
    monitor.withLock {
      while true {
        if let result = unsafe result { return result }
        monitor.wait()
      }
    }
  }
}
