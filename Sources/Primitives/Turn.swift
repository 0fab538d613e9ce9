/// One at a time, for what may take long: unlike a lock, it may be had while its owner waits for something else.
package final class Turn: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var isTaken = false

  package init() {}

  package func take() {
    monitor.lock()
    while unsafe isTaken { monitor.wait() }
    unsafe isTaken = true
    monitor.unlock()
  }

  package func end() {
    monitor.withLock {
      unsafe isTaken = false
      monitor.broadcast()
    }
  }
}
