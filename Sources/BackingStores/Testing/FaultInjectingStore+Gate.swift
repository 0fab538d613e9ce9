import Primitives

extension FaultInjectingStore {
  /// Holds calls until it is opened. Open for good then.
  package final class Gate: Sendable {
    private let monitor = Monitor()
    // Safe: read and written with the monitor held only.
    private nonisolated(unsafe) var isOpen = false
    private nonisolated(unsafe) var arrivals = 0
    private nonisolated(unsafe) var parked: [@Sendable () -> Void] = []

    package init() {}

    /// How many calls have come to the gate, those that went through included.
    package var arrivalCount: Int { monitor.withLock { unsafe arrivals } }

    /// Returns when this many calls have come to the gate.
    package func waitForArrivals(_ count: Int) {
      monitor.withLock { while unsafe arrivals < count { monitor.wait() } }
    }

    /// Lets all calls through, and all that follow. Background reads that were held go on on this thread.
    package func release() {
      let waiting = monitor.withLock {
        unsafe isOpen = true
        monitor.broadcast()
        defer { unsafe parked = [] }
        return unsafe parked
      }
      for work in waiting { work() }
    }

    /// Holds up the calling thread.
    func pass() {
      monitor.withLock {
        arrive()
        while unsafe !isOpen { monitor.wait() }
      }
    }

    /// Keeps the work until the gate opens. The calling thread goes on.
    func pass(_ work: @escaping @Sendable () -> Void) {
      let opened = monitor.withLock {
        arrive()
        if unsafe !isOpen { unsafe parked.append(work) }
        return unsafe isOpen
      }
      if opened { work() }
    }

    private func arrive() {
      unsafe arrivals += 1
      monitor.broadcast()
    }
  }
}
