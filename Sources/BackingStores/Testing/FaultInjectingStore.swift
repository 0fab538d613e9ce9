import Primitives

/// A store that misbehaves on demand, over one that does not. For tests.
///
/// Each call, or each read, asks a function what is to go wrong with it. What does not go wrong, the store underneath
/// does.
///
/// To fail every call of a program in turn, run it with `failing: 1`, `failing: 2`, ... until `callCount` stays below
/// the number.
package final class FaultInjectingStore: BackingStore {
  /// What can be asked of a store. `close`, `dropBehind` and properties are not: they cannot fail.
  package enum Call: Sendable, Hashable {
    case status, read, write, flush, resize, clone, dedupe, extent, prepareToWrite, claim
    case change(StoreRangeChange)
  }

  /// What goes wrong with one call.
  package indirect enum Fault: Sendable {
    /// The call fails. Nothing was done.
    case fail(StoreError.Cause)
    /// A read delivers at most this many bytes; what lies behind them in the segments is `poison`. A write writes, and
    /// says that it wrote, at most this many. Nothing else can be short: it is done.
    case short(Int)
    /// Waits, then does what follows: nil is honest.
    case delay(milliseconds: Int, then: Fault?)
    /// Waits until the gate is opened, then does what follows: nil is honest.
    case hold(Gate, then: Fault?)
    /// A flush fails, and what was written since the last one is lost, if the store underneath is a `MemoryStore`: as
    /// the kernel does it. To any other call it is `fail`.
    case failAndLose(StoreError.Cause)
  }

  package typealias CallFault = Fault

  /// What a short read leaves in the memory that it did not fill, so that a reader who trusts it is found out.
  package static let poison: UInt8 = 0xA5

  let store: any BackingStore
  private let faults: @Sendable (_ callNumber: Int, _ request: StoreReadRequest) -> Fault?
  private let calls: @Sendable (_ callNumber: Int, _ call: Call) -> Fault?
  /// Who sleeps for background reads that are delayed: as many at a time as there are threads.
  let sleepers = IOThreads(count: 16)
  private let monitor = Monitor()
  // Safe: read and written with the monitor held only.
  private nonisolated(unsafe) var counts: [Call: Int] = [:]
  private nonisolated(unsafe) var total = 0
  private nonisolated(unsafe) var statusFault: StoreError.Cause?
  private nonisolated(unsafe) var closes = 0

  /// Faults of reads only.
  /// - Parameter faults: Called once for each read, on the reading thread, with the read's number (the first is 1). Nil
  ///   is an honest read.
  package init(
    _ store: any BackingStore,
    faults: @escaping @Sendable (_ callNumber: Int, _ request: StoreReadRequest) -> Fault? = { _, _ in nil }
  ) {
    self.store = store
    self.faults = faults
    calls = { _, _ in nil }
  }

  /// Faults of all calls.
  /// - Parameter calls: Called once for each call, on the calling thread, with the number that it has among all calls
  ///   (the first is 1). Nil is an honest call.
  // A closure without a label goes to the other initialiser where it could go to either.
  @_disfavoredOverload
  package init(
    _ store: any BackingStore, calls: @escaping @Sendable (_ callNumber: Int, _ call: Call) -> CallFault?
  ) {
    self.store = store
    faults = { _, _ in nil }
    self.calls = calls
  }

  /// Fails one call by its number among all calls (the first is 1).
  /// - Parameters:
  ///   - goesOn: All later calls fail, too: the device is gone.
  ///   - losing: A flush that fails loses what was written since the last one.
  package convenience init(
    _ store: any BackingStore, failing call: Int, goesOn: Bool = false, cause: StoreError.Cause = .system(.ioError),
    losing: Bool = false
  ) {
    self.init(
      store,
      calls: { number, _ in
        guard goesOn ? number >= call : number == call else { return nil }
        return losing ? .failAndLose(cause) : .fail(cause)
      })
  }

  package var name: String { store.name }
  package var identity: StoreIdentity { store.identity }
  package var maximumSize: Int64 { store.maximumSize }

  /// How many calls have begun, of all kinds.
  package var callCount: Int { monitor.withLock { unsafe total } }

  /// How many calls of a kind have begun.
  package func callCount(of call: Call) -> Int { monitor.withLock { unsafe counts[call, default: 0] } }

  /// How many calls of each kind have begun.
  package var callCounts: [Call: Int] { monitor.withLock { unsafe counts } }

  /// How many reads have begun.
  package var readCount: Int { callCount(of: .read) }

  /// How often the store was closed.
  package var closeCount: Int { monitor.withLock { unsafe closes } }

  /// From now on `status` fails with this; nil makes it honest again.
  package func failStatus(with cause: StoreError.Cause?) { monitor.withLock { unsafe statusFault = cause } }

  package func read(
    _ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void
  ) {
    let (all, reads) = count(.read)
    perform(calls(all, .read) ?? faults(reads, request), request, completion)
  }

  package func close() {
    monitor.withLock { unsafe closes += 1 }
    store.close()
  }

  /// The call's number among all, and among those of its kind.
  private func count(_ call: Call) -> (all: Int, ofKind: Int) {
    monitor.withLock {
      unsafe total += 1
      unsafe counts[call, default: 0] += 1
      return unsafe (total, counts[call, default: 0])
    }
  }

  /// Does what goes wrong with a call that returns when it is done.
  /// - Returns: How many bytes are to be written at most.
  func begin(_ call: Call, _ operation: StoreError.Operation, _ range: Range<Int64>? = nil) throws(StoreError) -> Int? {
    var fault = calls(count(call).all, call)
    if call == .status, let cause = monitor.withLock({ unsafe statusFault }) { fault = .fail(cause) }
    while let next = fault {
      switch next {
      case .fail(let cause):
        throw StoreError(operation: operation, store: name, range: range, cause: cause)
      case .failAndLose(let cause):
        if call == .flush { (store as? MemoryStore)?.loseUnflushedWrites() }
        throw StoreError(operation: operation, store: name, range: range, cause: cause)
      case .short(let count):
        return count
      case .delay(let milliseconds, let then):
        sleepNanoseconds(milliseconds * 1_000_000)
        fault = then
      case .hold(let gate, let then):
        gate.pass()
        fault = then
      }
    }
    return nil
  }

  private func perform(
    _ fault: Fault?, _ request: StoreReadRequest, _ completion: @escaping @Sendable (Result<Int, StoreError>) -> Void
  ) {
    switch (fault, request.execution) {
    case (nil, _):
      store.read(request, completion: completion)
    case (.fail(let cause), _), (.failAndLose(let cause), _):
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
