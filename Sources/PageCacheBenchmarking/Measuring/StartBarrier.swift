import Glibc
import Primitives

/// Nanoseconds that the calling thread has had a processor. A system call.
func threadNanoseconds() -> UInt64 {
  var now = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// Nanoseconds that all threads of this process have had a processor. A system call.
func processNanoseconds() -> UInt64 {
  var now = timespec()
  unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

/// Lets threads wait for each other, again and again. Spins, because a thread that sleeps starts late; gives the
/// processor away soon, because there may be more threads than cores.
final class StartBarrier: Sendable {
  private let count: Int
  private let arrived = InlineWord(0)
  private let passes = InlineWord(0)

  init(count: Int) { self.count = count }

  /// Waits for the others. The last to arrive runs the body before anybody goes on.
  func wait(_ last: () -> Void = {}) {
    let pass = passes.loadAcquire()
    // Acquire and release: what each thread did before is seen by the last, and through the store below by all.
    if arrived.fetchAddAcquireRelease(1) + 1 == UInt64(count) {
      arrived.storeRelaxed(0)
      last()
      passes.storeRelease(pass + 1)
      return
    }
    var spins = 0
    while passes.loadAcquire() == pass {
      spins += 1
      if spins < 1000 { spinHint() } else { sched_yield() }
    }
  }
}
