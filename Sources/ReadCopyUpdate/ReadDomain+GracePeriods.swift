import CPrimitives
import Glibc
import Primitives

/// A point in time: the grace period that begins after it.
package struct GracePeriod: Sendable, Comparable {
  package let number: UInt64

  package init(number: UInt64) { self.number = number }

  package static func < (left: GracePeriod, right: GracePeriod) -> Bool { left.number < right.number }
}

extension ReadDomain {
  /// Grace periods begun since the domain was made.
  package var gracePeriodCount: UInt64 { slot.clock.loadRelaxed() - firstClock }

  /// A ticket for a grace period that begins after this call: take it after unlinking, free once `isOver`.
  ///
  /// A read-modify-write, so that the clock's modification order decides: a grace period that advances the clock later has this thread's
  /// unlinking before it. Release pairs with the fence of `advance`, which thus covers the unlinking, and with the acquire of `ThreadRecord.enter`.
  package func ticket() -> GracePeriod { GracePeriod(number: slot.clock.fetchAddRelease(0) + 1) }

  /// Whether the grace period is over: nobody reads any more what was unlinked before the ticket.
  package func isOver(_ period: GracePeriod) -> Bool {
    // Acquire pairs with the release in `advance`: the readers' last loads happened before what the caller does next.
    slot.completed.loadAcquire() >= period.number
  }

  /// Tries to bring the grace period to its end without waiting for anybody.
  /// - Cost: one load when it is over; else a lock attempt, a membarrier(2) and a look at each thread's record.
  package func poll(_ period: GracePeriod) -> Bool {
    if isOver(period) { return true }
    guard gracePeriods.tryLock() else { return false }
    defer { gracePeriods.unlock() }
    if isOver(period) { return true }
    advance(patience: .none)
    return isOver(period)
  }

  /// Waits until the grace period is over. Concurrent callers share one.
  /// - Cost: microseconds at best; as long as the longest read section under way.
  package func wait(for period: GracePeriod) {
    assert(!record().isInside, "a grace period inside a read section never ends")
    if isOver(period) { return }
    gracePeriods.withLock {
      if !isOver(period) { advance(patience: .untilOver) }
    }
  }

  /// Waits until every read section that has begun by now has ended.
  package func synchronize() { wait(for: ticket()) }

  enum Patience {
    case none, untilOver
  }

  /// Runs one grace period. Without patience it may only get as far as the oldest reader's: readers that always overlap would else keep one from
  /// ever ending, since each attempt has a number of its own. Expects the lock held.
  private func advance(patience: Patience) {
    // Relaxed: the fence below acquires what every ticket of this grace period has released. No release is needed either: a reader that enters under
    // the new number reads it from here, and this continues the release sequences of the tickets.
    let target = slot.clock.fetchAddRelaxed(1) + 1
    #if ThreadSanitizer
      _ = unsafe SharedWord(at: sanitizerWords).loadAcquire()
    #endif
    // A reader whose note this barrier does not make visible has not yet loaded anything: it will see the unlinking.
    if readersNeedNoFence {
      // It worked when the domain was made. A kernel short of memory can refuse once; anything else cannot be made good: readers have no
      // fence, and to go on without one would hand out memory that they read.
      while keeps(.fenceOfAllReaders) {
        let error = processFence()
        if error == 0 { break }
        precondition(
          error == ENOMEM,
          "membarrier(2) has stopped working (errno \(error)): a filter was installed after the cache was made")
        sleepNanoseconds(Self.sleepNanosecondsPerAttempt)
      }
    } else {
      sequentialFence()
    }
    var over = target
    slot.forEachRecord { record in over = min(over, waitForReader(record, until: target, patience: patience)) }
    #if ThreadSanitizer
      _ = unsafe SharedWord(at: sanitizerWords).loadAcquire()
    #endif
    if over > slot.completed.loadRelaxed() { slot.completed.storeRelease(over) }
  }

  /// Returns the newest grace period, up to the target, that the reader does not hold up. It entered after what it noted had begun.
  private func waitForReader(_ record: ThreadRecord, until target: UInt64, patience: Patience) -> UInt64 {
    var attempts = 0
    while true {
      // Acquire pairs with the release of `exit`, or of the `enter` that came after it.
      let noted = record.section.loadAcquire()
      if noted == 0 || noted >= target { return target }
      if case .none = patience { return noted }
      attempts += 1
      if attempts < Self.spinLimit {
        spinHint()
      } else {
        // The reader copies a lot or lost its processor. sched_yield(2) would cost this thread its whole slice: measured 20
        // times slower at the median with one reader on each core.
        sleepNanoseconds(Self.sleepNanosecondsPerAttempt)
      }
    }
  }

  static var spinLimit: Int { 2000 }
  static var sleepNanosecondsPerAttempt: Int { 50_000 }
}
