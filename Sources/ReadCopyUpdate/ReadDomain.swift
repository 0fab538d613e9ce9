import CPrimitives
import Primitives

/// A set of readers and the grace periods that wait for them: read-copy-update for one cache.
///
/// A reader enters a section, follows pointers and copies bytes, and leaves. Whoever unlinks something from what readers can reach takes a
/// `GracePeriod` ticket and may reuse the memory once that grace period is over: every section that could have seen it has ended.
///
/// One 64-bit clock and one phase. A reader notes the clock on entry; a grace period advances the clock, makes every running thread of
/// the process execute a fence (membarrier(2)), and waits until each record is either empty or noted a newer clock. The clock
/// does not wrap in the lifetime of a machine, so the second phase that 32-bit schemes need is not there.
///
/// Measured beside liburcu's membarrier flavour (0.13.2, 2 cores, the same C harness): a read section 0.4 against 1.2 ns; a grace period
/// beside one reader of 256 bytes 15 against 31 µs at the median, beside a reader of 1 MiB 28 against 100 µs. liburcu-bp sleeps
/// 10 ms at a time beside long readers. The price is that a waiting grace period sleeps 50 µs at a time beyond the first 20 µs,
/// where liburcu's readers wake it.
///
/// | function | may be called |
/// |---|---|
/// | `ThreadRecord.enter` / `exit`, `read` | anywhere but inside a section of the same domain (`read` nests) |
/// | `ticket`, `isOver`, `poll` | anywhere; waits for no reader |
/// | `wait`, `synchronize` | outside every read section of this domain, holding no lock that a reader takes |
@safe
package final class ReadDomain: Sendable {
  /// Index of the domain in each thread's tables.
  package let slotNumber: Int
  /// The word readers copy on entry.
  package let clock: SharedWord
  /// Whether readers can do without a fence (membarrier works and was not declined).
  package let readersNeedNoFence: Bool

  let slot: DomainSlot
  let firstClock: UInt64
  let gracePeriods = Monitor()

  /// - Parameter usesMembarrier: false makes readers take a fence each, as where the system call is missing. For tests.
  /// - Throws: `TooManyDomains` when the process has `PAGECACHE_DOMAIN_LIMIT` already.
  package init(usesMembarrier: Bool = true) throws(TooManyDomains) {
    ThreadRegistration.prepareProcess()
    readersNeedNoFence = usesMembarrier && ThreadRegistration.membarrierWorks
    guard let (number, slot) = DomainSlot.lease(readersNeedNoFence: readersNeedNoFence) else { throw TooManyDomains() }
    slotNumber = number
    self.slot = slot
    clock = slot.clock
    firstClock = slot.clock.loadRelaxed()
  }

  deinit { slot.release() }

  package struct TooManyDomains: Error {
    package let limit = Int(PAGECACHE_DOMAIN_LIMIT)
  }

  /// The calling thread's record, registering the thread if it is new here.
  /// - Cost: a few loads; the first call of a thread allocates about 18 KiB.
  package func record() -> ThreadRecord {
    if let base = unsafe pagecache_thread_record(slotNumber) { return unsafe ThreadRecord(base: base) }
    let record = slot.claimRecord()
    unsafe pagecache_set_thread_record(slotNumber, record.section.address, readersNeedNoFence ? 1 : 0)
    ThreadRegistration.watchThreadExit()
    return record
  }

  /// Gives the calling thread's record back, as the end of the thread does. For tests.
  package func giveBackRecord() { ThreadRegistration.releaseRecord(slotNumber) }

  /// Frees all records, which everybody has given back. For tests.
  package func freeRecords() { slot.freeRecords() }

  /// Runs the body inside a read section. May be nested.
  /// - Cost: as `ThreadRecord.enter`; a full fence where membarrier does not work.
  package func read<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let record = record()
    guard !record.isInside else { return try body() }
    enter(record)
    defer { record.exit() }
    return try body()
  }

  /// Enters a section on a record that may need the fence.
  package func enter(_ record: ThreadRecord) {
    record.enter(clock)
    // Pairs with the fence of a grace period where no membarrier supplies it.
    if !readersNeedNoFence { sequentialFence() }
  }

  /// Sum of one counter over all threads, living and ended.
  package func sum(counter: Int) -> UInt64 {
    var total: UInt64 = 0
    slot.forEachRecord { total &+= $0.counter(counter).loadRelaxed() }
    return total
  }

  /// Threads that have ever been registered at one time.
  package var recordCount: Int {
    var count = 0
    slot.forEachRecord { _ in count += 1 }
    return count
  }
}
