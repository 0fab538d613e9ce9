import Primitives
import TestSupport
import Testing

@Suite struct MonitorTests {
  /// A number that only the monitor protects.
  private final class Guarded: Sendable {
    let monitor = Monitor()
    nonisolated(unsafe) var value = 0
  }

  @Test func excludesOthers() {
    let guarded = Guarded()
    onThreads(4) { _ in
      for _ in 0..<20_000 { guarded.monitor.withLock { unsafe guarded.value += 1 } }
    }
    unsafe #expect(guarded.value == 80_000)
  }

  @Test func tryLockRefusesWhileHeldAndTakesAfterwards() {
    let guarded = Guarded()
    let refused = Word()
    guarded.monitor.lock()
    onThreads(1) { _ in refused.set(guarded.monitor.tryLock() ? 2 : 1) }
    #expect(refused.value == 1)
    guarded.monitor.unlock()
    onThreads(1) { _ in
      guard guarded.monitor.tryLock() else { return }
      refused.set(3)
      guarded.monitor.unlock()
    }
    #expect(refused.value == 3)
  }

  @Test func withLockUnlocksWhenTheBodyThrows() {
    struct Mishap: Error {}
    let monitor = Monitor()
    #expect(throws: Mishap.self) { try monitor.withLock { () throws(Mishap) in throw Mishap() } }
    let free = monitor.tryLock()
    #expect(free)
    monitor.unlock()
  }

  @Test func signalsWakeOneWaiterAfterTheOther() {
    // Two threads hand a number back and forth: each waits for its parity.
    let guarded = Guarded()
    onThreads(2) { mine in
      for _ in 0..<500 {
        guarded.monitor.withLock {
          while unsafe guarded.value % 2 != mine { guarded.monitor.wait() }
          unsafe guarded.value += 1
          guarded.monitor.signal()
        }
      }
    }
    unsafe #expect(guarded.value == 1000)
  }

  @Test func broadcastWakesEveryWaiter() {
    let guarded = Guarded()
    let waiting = Word()
    let woken = Word()
    onThreads(5) { index in
      if index == 4 {
        _ = eventually { waiting.value == 4 }
        guarded.monitor.withLock {
          unsafe guarded.value = 1
          guarded.monitor.broadcast()
        }
      } else {
        guarded.monitor.withLock {
          waiting.add(1)
          while unsafe guarded.value == 0 { guarded.monitor.wait() }
        }
        woken.add(1)
      }
    }
    #expect(woken.value == 4)
  }

  @Test func eventHoldsWaitersUntilItHappens() {
    let event = Event()
    let passed = Word()
    let early = Word()
    onThreads(4) { index in
      if index == 3 {
        sleepNanoseconds(20_000_000)
        early.set(passed.value)
        event.set()
      } else {
        event.wait()
        passed.add(1)
      }
    }
    #expect(early.value == 0)
    #expect(passed.value == 3)
    // Afterwards nobody waits, and happening twice is no harm.
    event.wait()
    event.set()
    event.wait()
  }

  @Test func readersShareAReadWriteLockAndWritersDoNot() {
    let lock = SharedLock()
    let together = Word()
    onThreads(2) { _ in
      lock.lock.lockShared()
      together.add(1)
      // Each reader holds its lock until the other has one too.
      if eventually({ together.value & 3 == 2 }) { together.add(4) }
      lock.lock.unlock()
    }
    #expect(together.value == 10)

    onThreads(4) { index in
      for _ in 0..<5_000 {
        lock.lock.lockExclusive()
        unsafe lock.value += 1
        lock.lock.unlock()
      }
    }
    unsafe #expect(lock.value == 20_000)
  }

  private final class SharedLock: Sendable {
    let lock = ReadWriteLock()
    nonisolated(unsafe) var value = 0
  }
}
