import Primitives

/// A store that misbehaves on demand, over one that does not. For tests.
///
/// Each read asks a function what is to go wrong with it. What does not go wrong, the store underneath does.
package final class FaultInjectingStore: BackingStore {
  /// What goes wrong with one read.
  package indirect enum Fault: Sendable {
    /// The read fails. Nothing was read.
    case fail(StoreError.Cause)
    /// The read delivers at most this many bytes; what lies behind them in the segments is `poison`.
    case short(Int)
    /// Waits, then does what follows: nil is an honest read.
    case delay(milliseconds: Int, then: Fault?)
    /// Waits until the gate is opened, then does what follows: nil is an honest read.
    case hold(Gate, then: Fault?)
  }

  /// Holds reads until it is opened. Open for good then.
  package final class Gate: Sendable {
    private let monitor = Monitor()
    // Safe: read and written with the monitor held only.
    private nonisolated(unsafe) var isOpen = false
    private nonisolated(unsafe) var arrivals = 0
    private nonisolated(unsafe) var parked: [@Sendable () -> Void] = []

    package init() {}

    /// How many reads have come to the gate, those that went through included.
    package var arrivalCount: Int { monitor.withLock { unsafe arrivals } }

    /// Returns when this many reads have come to the gate.
    package func waitForArrivals(_ count: Int) {
      monitor.withLock { while unsafe arrivals < count { monitor.wait() } }
    }

    /// Lets all reads through, and all that follow. Background reads that were held go on on this thread.
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
    fileprivate func pass() {
      monitor.withLock {
        arrive()
        while unsafe !isOpen { monitor.wait() }
      }
    }

    /// Keeps the work until the gate opens. The calling thread goes on.
    fileprivate func pass(_ work: @escaping @Sendable () -> Void) {
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

  /// What a short read leaves in the memory that it did not fill, so that a reader who trusts it is found out.
  package static let poison: UInt8 = 0xA5

  private let store: any BackingStore
  private let faults: @Sendable (_ callNumber: Int, _ request: StoreReadRequest) -> Fault?
  /// Who sleeps for background reads that are delayed: as many at a time as there are threads.
  private let sleepers = IOThreads(count: 16)
  private let monitor = Monitor()
  // Safe: read and written with the monitor held only.
  private nonisolated(unsafe) var reads = 0
  private nonisolated(unsafe) var statusFault: StoreError.Cause?
  private nonisolated(unsafe) var closes = 0

  /// - Parameter faults: Called once for each read, on the reading thread, with the read's number (the first is 1). Nil
  ///   is an honest read.
  package init(
    _ store: any BackingStore,
    faults: @escaping @Sendable (_ callNumber: Int, _ request: StoreReadRequest) -> Fault? = { _, _ in nil }
  ) {
    self.store = store
    self.faults = faults
  }

  package var name: String { store.name }
  package var identity: StoreIdentity { store.identity }

  /// How many reads have begun.
  package var readCount: Int { monitor.withLock { unsafe reads } }

  /// How often the store was closed.
  package var closeCount: Int { monitor.withLock { unsafe closes } }

  /// From now on `status` fails with this; nil makes it honest again.
  package func failStatus(with cause: StoreError.Cause?) { monitor.withLock { unsafe statusFault = cause } }

  package func status() throws(StoreError) -> StoreStatus {
    if let cause = monitor.withLock({ unsafe statusFault }) {
      throw StoreError(operation: .status, store: name, cause: cause)
    }
    return try store.status()
  }

  package func read(
    _ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void
  ) {
    let number = monitor.withLock {
      unsafe reads += 1
      return unsafe reads
    }
    perform(faults(number, request), request, completion)
  }

  package func close() {
    monitor.withLock { unsafe closes += 1 }
    store.close()
  }

  private func perform(
    _ fault: Fault?, _ request: StoreReadRequest, _ completion: @escaping @Sendable (Result<Int, StoreError>) -> Void
  ) {
    switch (fault, request.execution) {
    case (nil, _):
      store.read(request, completion: completion)
    case (.fail(let cause), _):
      completion(.failure(StoreError(operation: .read, store: name, range: request.range, cause: cause)))
    case (.short(let count), _):
      store.read(request) { completion($0.map { Self.cut(request, read: $0, to: count) }) }
    case (.delay(let milliseconds, let next), .caller):
      sleepNanoseconds(milliseconds * 1_000_000)
      perform(next, request, completion)
    case (.delay(let milliseconds, let next), .background):
      sleepers.submit {
        sleepNanoseconds(milliseconds * 1_000_000)
        self.perform(next, request, completion)
      }
    case (.hold(let gate, let next), .caller):
      gate.pass()
      perform(next, request, completion)
    case (.hold(let gate, let next), .background):
      gate.pass { self.perform(next, request, completion) }
    }
  }

  private static func cut(_ request: StoreReadRequest, read: Int, to limit: Int) -> Int {
    let kept = max(0, min(read, limit))
    var offset = 0
    for next in unsafe request.segments.indices {
      let segment = unsafe request.segments[next]
      let first = min(max(kept - offset, 0), segment.count)
      for index in first..<segment.count { unsafe segment[index] = poison }
      offset += segment.count
    }
    return kept
  }
}
