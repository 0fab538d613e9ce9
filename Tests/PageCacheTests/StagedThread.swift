import Glibc
import Primitives
import Testing

/// Something that one thread brings about and others wait for.
final class Moment: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var isHere = false

  /// How long a test waits for anything: then it has failed, and goes on.
  static let patience: UInt64 = 10_000_000_000

  var hasCome: Bool { monitor.withLock { unsafe isHere } }

  func come() {
    monitor.withLock {
      unsafe isHere = true
      monitor.broadcast()
    }
  }

  func wait(sourceLocation: SourceLocation = #_sourceLocation) {
    let start = monotonicNanoseconds()
    let hasCome = monitor.withLock {
      while unsafe !isHere, monotonicNanoseconds() - start < Moment.patience { monitor.wait(nanoseconds: 100_000_000) }
      return unsafe isHere
    }
    if !hasCome { Issue.record("waited in vain", sourceLocation: sourceLocation) }
  }
}

/// True for the first caller that asks.
final class Once: Sendable {
  private let word = InlineWord(0)
  // Relaxed: nothing but the count.
  func isFirst() -> Bool { word.exchangeRelaxed(1) == 0 }
}

/// A place in which one thread leaves something for another.
final class Handover<Value: Sendable>: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var value: Value?

  func put(_ value: Value) { monitor.withLock { unsafe self.value = value } }
  func take() -> Value? { monitor.withLock { unsafe value } }
}

/// A thread of a test, of which others see whether it sleeps.
///
/// Some orders of two calls can be made by no gate in a store: then one call goes on when the thread of the other
/// sleeps, because it waits for a claim, a transfer or a flush.
final class StagedThread<Value: Sendable>: Sendable {
  private let over = Moment()
  private let number = InlineWord(0)
  // Written before `over` has come, read after that.
  nonisolated(unsafe) private var outcome: Result<Value, any Error>?
  /// Kept here so that it is freed with this object. If `init` dropped the last reference while the thread ends,
  /// ThreadSanitizer would report a race: it does not see Swift's reference counting.
  private let body: @Sendable () throws -> Value

  init(_ name: String, _ body: @escaping @Sendable () throws -> Value) {
    self.body = body
    let thread = JoinableThread(name: name) { [self] in
      // Release pairs with the acquire in `isAsleep`.
      number.storeRelease(StagedThread.currentNumber())
      unsafe outcome = Result { try self.body() }
      over.come()
    }
    guard let thread else { preconditionFailure("the system has no thread") }
    thread.detach()
  }

  /// The system's number of the calling thread: where a link leads whose name is the same for all.
  private static func currentNumber() -> UInt64 {
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
      count = unsafe max(0, readlink("/proc/thread-self", buffer.baseAddress.unsafelyUnwrapped, buffer.count))
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "/").last.flatMap { UInt64($0) } ?? 0
  }

  var isOver: Bool { over.hasCome }

  /// What the thread has come to. Waits for it.
  func value(sourceLocation: SourceLocation = #_sourceLocation) throws -> Value {
    over.wait(sourceLocation: sourceLocation)
    guard over.hasCome, let outcome = unsafe outcome else { throw StuckThread() }
    return try outcome.get()
  }

  /// What the thread has thrown. Waits for it.
  func error(sourceLocation: SourceLocation = #_sourceLocation) -> (any Error)? {
    do {
      _ = try value(sourceLocation: sourceLocation)
      return nil
    } catch { return error }
  }

  /// Returns when the thread is over, or sleeps for as long as ten looks take.
  func waitUntilOverOrAsleep(sourceLocation: SourceLocation = #_sourceLocation) {
    let start = monotonicNanoseconds()
    var (last, looks) = ("", 0)
    while !isOver, looks < 10 {
      let now = switchesWhileAsleep() ?? ""
      looks = now == last && !now.isEmpty ? looks + 1 : 0
      last = now
      sleepNanoseconds(1_000_000)
      guard monotonicNanoseconds() - start < Moment.patience else {
        Issue.record("the thread neither ends nor sleeps", sourceLocation: sourceLocation)
        return
      }
    }
  }

  /// How often the thread has been off its processor, if it sleeps now. A number that stays says that it has slept all
  /// the while.
  private func switchesWhileAsleep() -> String? {
    let thread = number.loadAcquire()
    guard thread > 0, let file = unsafe fopen("/proc/self/task/\(thread)/status", "r") else { return nil }
    defer { unsafe fclose(file) }
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 1 << 14) { buffer, count in
      count = unsafe fread(buffer.baseAddress, 1, buffer.count, file)
    }
    let text = String(decoding: bytes, as: UTF8.self)
    guard text.contains("State:\tS") else { return nil }
    return text.split(separator: "\n").filter { $0.contains("ctxt_switches") }.joined()
  }
}

struct StuckThread: Error {}
