import BackingStores
import Primitives

/// The background of a cache: looks which files have something to write back or to flush, and has it done.
///
/// One thread looks, and sleeps while nothing is owed. The work is done on threads of its own, at most one job a file: so a store that does not answer
/// holds up its own file, and others only if there are as many like it as there are threads.
final class Writeback: Sendable {
  private let ageNanoseconds: UInt64
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var files: [UInt64: FileCore] = [:]
  nonisolated(unsafe) private var hasThread = false
  nonisolated(unsafe) private var isStopped = false
  private let workers = IOThreads(count: IOThreads.allowedCounts.upperBound)

  /// How often the thread looks while something is owed.
  private static let tickNanoseconds = 100_000_000

  init(age: Duration) {
    let (seconds, attoseconds) = age.components
    ageNanoseconds = UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }

  /// Ends the thread. Called when no file is left.
  func stop() {
    monitor.withLock {
      unsafe isStopped = true
      unsafe files = [:]
      monitor.broadcast()
    }
  }

  /// Notes that a file owes something. May be called with the file's lock held.
  func watch(_ file: FileCore) {
    monitor.withLock {
      guard unsafe files.updateValue(file, forKey: file.number) == nil else { return }
      if unsafe !hasThread {
        unsafe hasThread = true
        // Without a thread, writers that find no room, syncs and closes still do the work.
        guard let thread = JoinableThread(name: "pagecache-wb", { self.run() }) else {
          unsafe hasThread = false
          return
        }
        thread.detach()
      }
      monitor.broadcast()
    }
  }

  func forget(_ file: FileCore) {
    monitor.withLock { unsafe files[file.number] = nil }
  }

  private func run() {
    while true {
      let watched: [FileCore]? = monitor.withLock {
        while unsafe files.isEmpty, unsafe !isStopped { monitor.wait() }
        if unsafe isStopped { return nil }
        monitor.wait(nanoseconds: Writeback.tickNanoseconds)
        return unsafe Array(files.values)
      }
      guard let watched else { return }
      let now = monotonicNanoseconds()
      for file in watched { look(at: file, now: now) }
    }
  }

  private func look(at file: FileCore, now: UInt64) {
    let (isDue, isDone) = file.index.withLock { () -> (Bool, Bool) in
      if file.owesNothing { return (false, true) }
      let durability = unsafe file.durability
      let since =
        [durability.dirtySince, durability.writtenSince, durability.changedSince].compactMap(\.self).min() ?? now
      return unsafe (since + ageNanoseconds <= now && file.background.retryTime <= now, false)
    }
    if isDone { return forgetIfDone(file) }
    if isDue || file.engine.dirtyBudget.used > file.engine.dirtyBudget.backgroundLimit { start(file) }
  }

  private func forgetIfDone(_ file: FileCore) {
    monitor.withLock {
      // Who makes new debts holds the file's lock, and then asks for this one; so the file's lock may only be tried here.
      guard file.index.tryLock() else { return }
      if file.owesNothing {
        unsafe file.isWatched = false
        unsafe files[file.number] = nil
      }
      file.index.unlock()
    }
  }

  /// Starts a job for a file, if there is none.
  func start(_ file: FileCore) {
    let starts = file.index.withLock { () -> Bool in
      guard unsafe !file.background.hasJob, unsafe !file.isClosing,
        unsafe file.background.retryTime <= monotonicNanoseconds()
      else { return false }
      unsafe file.background.hasJob = true
      return true
    }
    guard starts else { return }
    workers.submit {
      var failure: CacheError?
      do throws(CacheError) {
        try file.makeDurable(dataOnly: true)
        // It is safe now, and here: a store that keeps another copy in memory may let go of it.
        if file.ownership == .exclusive { file.store.dropBehind(0..<file.length) }
      } catch { failure = error }
      file.index.withLock {
        unsafe file.background.hasJob = false
        if let failure {
          // Not at once again: what failed now will fail then. Who waits for room is told.
          unsafe file.background.retryTime = monotonicNanoseconds() + Writeback.retryNanoseconds
          unsafe file.background.failedJobs += 1
          unsafe file.background.lastError = failure
        }
        file.index.broadcast()
      }
    }
  }

  private static let retryNanoseconds: UInt64 = 500_000_000
}
