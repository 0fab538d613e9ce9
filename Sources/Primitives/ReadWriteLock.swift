import Glibc

/// A lock that readers share. The cache does not use it on any path of its own: it is the benchmark's picture of a file system that
/// holds a shared lock across every buffered read, as XFS does.
@safe
package struct ReadWriteLock: ~Copyable, @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_rwlock_t>

  package init() {
    unsafe lock = .allocate(capacity: 1)
    // Safe: freshly allocated; default attributes cannot fail on Linux.
    unsafe pthread_rwlock_init(lock, nil)
  }

  deinit {
    unsafe pthread_rwlock_destroy(lock)
    unsafe lock.deallocate()
  }

  package func lockShared() { unsafe pthread_rwlock_rdlock(lock) }
  package func lockExclusive() { unsafe pthread_rwlock_wrlock(lock) }
  package func unlock() { unsafe pthread_rwlock_unlock(lock) }
}
