import Primitives
internal import SystemPackage

/// Bringing back what was cached before a restart, while it goes on: see `PageCache.restoreResidency(from:bytesPerSecond:)`.
public final class ResidencyRestoration: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var report: RestoredResidency
  nonisolated(unsafe) private var isCancelled = false
  nonisolated(unsafe) private var waiting: [@Sendable (RestoredResidency) -> Void] = []

  private init(_ report: RestoredResidency) { unsafe self.report = report }

  static func start(
    _ image: ResidencyImage, in engine: Engine, bytesPerSecond: Int?, path: FilePath
  ) throws(CacheError) -> ResidencyRestoration {
    let (work, report) = RestorationWork.planned(image, in: engine)
    let restoration = ResidencyRestoration(report)
    let thread = JoinableThread(name: "pagecache-warm") {
      restoration.run(work, Pacer(bytesPerSecond: bytesPerSecond))
    }
    guard let thread else {
      throw CacheError(
        operation: .restoreResidency, file: path.string,
        cause: .store(StoreError(operation: .read, store: path.string, cause: .exhausted("threads"))))
    }
    thread.detach()
    return restoration
  }

  /// How far it is, or how it ended.
  /// - Cost: a lock.
  public var progress: RestoredResidency { monitor.withLock { unsafe report } }

  /// Ends it soon: a read of a store that is under way is waited for. What has been read stays. Nothing happens if it has ended.
  /// - Cost: a lock.
  public func cancel() {
    monitor.withLock {
      unsafe isCancelled = true
      monitor.broadcast()
    }
  }

  /// Waits for the end.
  /// - Returns: what has been done, and whether all of it.
  /// - Cost: blocks for as long as the stores take, or the rate allows.
  @discardableResult
  public func wait() -> RestoredResidency {
    monitor.withLock {
      while unsafe report.state == .underWay { monitor.wait() }
      return unsafe report
    }
  }

  /// The same for a task, which gives its thread away meanwhile. If the task is cancelled, so is the restoration.
  /// - Cost: a lock, and an allocation.
  @discardableResult
  nonisolated(nonsending) public func wait() async -> RestoredResidency {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in whenOver { continuation.resume(returning: $0) } }
    } onCancel: {
      cancel()
    }
  }

  private func whenOver(_ call: @escaping @Sendable (RestoredResidency) -> Void) {
    let over = monitor.withLock { () -> RestoredResidency? in
      if unsafe report.state != .underWay { return unsafe report }
      unsafe waiting.append(call)
      return nil
    }
    if let over { call(over) }
  }

  // MARK: On its thread

  private func run(_ work: consuming RestorationWork, _ pacer: Pacer) {
    let state = work.run(pacer: pacer, of: self)
    var calls: [@Sendable (RestoredResidency) -> Void] = []
    let over = monitor.withLock {
      unsafe report.state = state
      unsafe swap(&calls, &waiting)
      monitor.broadcast()
      return unsafe report
    }
    for call in calls { call(over) }
  }

  var isToEnd: Bool { monitor.withLock { unsafe isCancelled } }

  func note(bytes: Int) { monitor.withLock { unsafe report.restoredBytes += Int64(bytes) } }

  func note(_ failure: CacheError) { monitor.withLock { unsafe report.failures.append(failure) } }

  /// Waits so long, or until it is cancelled, or something else is to be looked at: at most a tenth of a second.
  func pause(nanoseconds: UInt64) {
    monitor.withLock {
      if unsafe !isCancelled { monitor.wait(nanoseconds: Int(min(nanoseconds, 100_000_000))) }
    }
  }
}
