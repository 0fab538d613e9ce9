import Primitives

/// How many frames slow paths may hold at one time.
///
/// A slow read reserves all it can need in one step, before it holds anything: so two half-served callers cannot block each other at the limit (R12).
/// First come, first served: a large request is not starved by small ones.
final class FrameBudget: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var available: Int
  nonisolated(unsafe) private var waiting: [(count: Int, granted: @Sendable () -> Void)] = []
  nonisolated(unsafe) private var total: Int

  init(capacity: Int) {
    unsafe total = capacity
    unsafe available = capacity
  }

  /// Frames that may be reserved at one time.
  var capacity: Int { monitor.withLock { unsafe total } }

  /// Changes how many frames may be reserved at one time. What is reserved stays so. The largest call must fit.
  func setCapacity(_ capacity: Int) {
    let change = monitor.withLock {
      defer { unsafe total = capacity }
      return capacity - (unsafe total)
    }
    giveBack(change)
  }

  /// Frames that are reserved now.
  var used: Int { monitor.withLock { unsafe total - available } }

  /// Reserves frames and calls back: before this returns if they are there, else when they are.
  func reserve(_ count: Int, granted: @escaping @Sendable () -> Void) {
    let now = monitor.withLock {
      precondition(unsafe count <= total, "the configuration admits no such call")
      if unsafe waiting.isEmpty, unsafe available >= count {
        unsafe available -= count
        return true
      }
      unsafe waiting.append((count, granted))
      return false
    }
    if now { granted() }
  }

  /// Reserves frames, waiting for them.
  func reserve(_ count: Int) {
    guard keeps(.oneStepReservation) || count == 1 else {
      for _ in 0..<count { reserve(1) }
      return
    }
    // Nobody waits, and they are there: nothing to wait on is made.
    if tryReserve(count) { return }
    let event = Event()
    reserve(count) { event.set() }
    event.wait()
  }

  /// Reserves frames if they are there and nobody waits for them: for whoever gives way to others. Waits for nothing: also with a file's lock held.
  /// - Parameter rest: as many must be left.
  func tryReserve(_ count: Int, sparing rest: Int = 0) -> Bool {
    monitor.withLock {
      guard unsafe waiting.isEmpty, unsafe available - count >= rest else { return false }
      unsafe available -= count
      return true
    }
  }

  func giveBack(_ count: Int) {
    var ready: [@Sendable () -> Void] = []
    monitor.withLock {
      unsafe available += count
      while let first = unsafe waiting.first, unsafe first.count <= available {
        unsafe available -= first.count
        ready.append(first.granted)
        unsafe waiting.removeFirst()
      }
    }
    for granted in ready { granted() }
  }
}
