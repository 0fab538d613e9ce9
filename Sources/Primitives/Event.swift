/// Something that happens once, and can be waited for.
package final class Event: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var happened = false

  package init() {}

  package func set() {
    monitor.withLock {
      unsafe happened = true
      monitor.broadcast()
    }
  }

  package func wait() {
    monitor.withLock {
      while unsafe !happened { monitor.wait() }
    }
  }
}
