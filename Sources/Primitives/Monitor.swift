#if !RaceLaboratory
  import Glibc

  /// A lock with one condition: mutual exclusion and waiting for a change, for everything off the hit path.
  ///
  /// A plain pthread mutex. `Synchronization.Mutex` is a priority-inheritance futex on Linux in Swift 6.3, two orders of magnitude
  /// slower under contention.
  @safe
  package struct Monitor: ~Copyable, @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
      unsafe mutex = .allocate(capacity: 1)
      unsafe condition = .allocate(capacity: 1)
      // Safe: both are freshly allocated; default attributes cannot fail on Linux.
      unsafe pthread_mutex_init(mutex, nil)
      // By the clock that nobody sets.
      var attributes = pthread_condattr_t()
      unsafe pthread_condattr_init(&attributes)
      unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
      unsafe pthread_cond_init(condition, &attributes)
      unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
      unsafe pthread_cond_destroy(condition)
      unsafe pthread_mutex_destroy(mutex)
      unsafe condition.deallocate()
      unsafe mutex.deallocate()
    }

    package func lock() { unsafe pthread_mutex_lock(mutex) }

    package func tryLock() -> Bool { unsafe pthread_mutex_trylock(mutex) == 0 }

    package func unlock() { unsafe pthread_mutex_unlock(mutex) }

    /// Expects the lock held. Wakes spuriously: look again.
    package func wait() { unsafe pthread_cond_wait(condition, mutex) }

    /// Expects the lock held. Wakes spuriously, and at the latest after so many nanoseconds: look again.
    package func wait(nanoseconds: Int) {
      var deadline = timespec()
      unsafe clock_gettime(CLOCK_MONOTONIC, &deadline)
      let total = Int(deadline.tv_nsec) + nanoseconds % 1_000_000_000
      deadline.tv_sec += nanoseconds / 1_000_000_000 + total / 1_000_000_000
      deadline.tv_nsec = total % 1_000_000_000
      unsafe _ = pthread_cond_timedwait(condition, mutex, &deadline)
    }

    package func signal() { unsafe pthread_cond_signal(condition) }

    package func broadcast() { unsafe pthread_cond_broadcast(condition) }

    package func withLock<Result: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure)
      -> Result
    {
      lock()
      defer { unlock() }
      return try body()
    }
  }
#endif
