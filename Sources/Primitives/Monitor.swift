#if !RaceLaboratory
  import CPrimitives
  import Glibc
  import Synchronization

  /// A lock with one condition: mutual exclusion and waiting for a change, for everything off the hit path.
  ///
  /// Three words, which the kernel looks at only when a thread has to sleep or to be woken (futex(2)): the lock is one exchange to take and one to free, and
  /// whoever announces a change that nobody waits for makes no system call. A pthread mutex with a condition is a call into another library
  /// each time, and two allocations of a hundred bytes. `Synchronization.Mutex` is a priority-inheritance futex on Linux in Swift 6.3, two orders of magnitude
  /// slower under contention.
  ///
  /// ```
  ///   byte 0   state      0 free, 1 taken, 2 taken and somebody may sleep
  ///        4   changes    counted at each signal and broadcast that somebody waits for: what waiters sleep on
  ///        8   waiting    threads in `wait`; changes with the lock held
  /// ```
  @safe @frozen
  public struct Monitor: ~Copyable, @unchecked Sendable {
    // Words of their own in memory: whoever sleeps tells the kernel where they are.
    @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt32>>

    private static var wordCount: Int { 3 }
    /// Looks at a lock that is taken before a thread sleeps: about as long as most are held.
    private static var spins: Int { 40 }

    package init() {
      // From malloc: what Swift allocates for a type from another module it aligns by hand, which takes longer.
      guard let memory = unsafe malloc(16) else { preconditionFailure("no memory for a lock") }
      unsafe words = memory.bindMemory(to: Atomic<UInt32>.self, capacity: Monitor.wordCount)
      for number in 0..<Monitor.wordCount { unsafe (words + number).initialize(to: Atomic(0)) }
    }

    deinit {
      unsafe words.deinitialize(count: Monitor.wordCount)
      unsafe free(words)
    }

    // Safe, below: the words live as long as the monitor.

    @inlinable @inline(__always)
    package func lock() {
      // Acquire pairs with the release in `unlock`: what the last owner did comes before.
      if unsafe !words[0].compareExchange(
        expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed
      ).exchanged {
        lockSlowly()
      }
    }

    @inline(never) @usableFromInline
    func lockSlowly() {
      for _ in 0..<Monitor.spins {
        pagecache_spin_hint()
        // Relaxed: a guess, which the exchange confirms. Where others sleep already, nobody spins past them.
        let state = unsafe words[0].load(ordering: .relaxed)
        if state == 2 { break }
        if state == 0, tryLock() { return }
      }
      // Acquire as above. From here on 2, though maybe nobody else sleeps: then the next one to unlock wakes nobody, once.
      while unsafe words[0].exchange(2, ordering: .acquiring) != 0 {
        unsafe sleep(on: words, while: 2, nanoseconds: -1)
      }
    }

    @inlinable @inline(__always)
    package func tryLock() -> Bool {
      // Acquire as in `lock`.
      unsafe words[0].compareExchange(expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed)
        .exchanged
    }

    @inlinable @inline(__always)
    package func unlock() {
      // Release pairs with the acquires of `lock`, `lockSlowly` and `tryLock`.
      if unsafe words[0].exchange(0, ordering: .releasing) == 2 {
        // Whoever has the lock by now may have let go of this memory: then the kernel wakes nobody there, or somebody who looks again.
        unsafe wake(words, count: 1)
      }
    }

    /// Expects the lock held. Wakes spuriously: look again.
    package func wait() { sleepUntilChange(nanoseconds: -1) }

    /// Expects the lock held. Wakes spuriously, and at the latest after so many nanoseconds: look again.
    package func wait(nanoseconds: Int) { sleepUntilChange(nanoseconds: max(0, nanoseconds)) }

    private func sleepUntilChange(nanoseconds: Int) {
      // Relaxed, all three: the lock is held. Who changes what is waited for takes the lock after that, so he sees that somebody waits; and his change of
      // the count comes after this load, so that the kernel finds another number and does not let the thread sleep through it.
      unsafe words[2].wrappingAdd(1, ordering: .relaxed)
      let changes = unsafe words[1].load(ordering: .relaxed)
      unlock()
      unsafe sleep(on: words + 1, while: changes, nanoseconds: nanoseconds)
      lock()
      unsafe words[2].wrappingSubtract(1, ordering: .relaxed)
    }

    /// Expects the lock held, as `broadcast` does.
    package func signal() { announce(to: 1) }

    package func broadcast() { announce(to: .max) }

    @inline(__always)
    private func announce(to count: Int32) {
      // Relaxed: who waited before the caller changed anything, counted himself before he gave the lock away.
      guard unsafe words[2].load(ordering: .relaxed) > 0 else { return }
      unsafe words[1].wrappingAdd(1, ordering: .relaxed)
      unsafe wake(words + 1, count: count)
    }

    @inline(never)
    private func sleep(on word: UnsafeMutablePointer<Atomic<UInt32>>, while value: UInt32, nanoseconds: Int) {
      unsafe pagecache_futex_wait(UnsafeMutableRawPointer(word), value, Int64(nanoseconds))
    }

    @inline(never) @usableFromInline
    func wake(_ word: UnsafeMutablePointer<Atomic<UInt32>>, count: Int32) {
      unsafe pagecache_futex_wake(UnsafeMutableRawPointer(word), count)
    }

    @inlinable @inline(__always)
    package func withLock<Result: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure)
      -> Result
    {
      lock()
      defer { unlock() }
      return try body()
    }
  }
#endif
