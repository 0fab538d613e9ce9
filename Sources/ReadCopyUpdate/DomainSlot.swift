import CPrimitives
import Primitives

/// The words of one domain slot. There are `PAGECACHE_DOMAIN_LIMIT` of them in a process; a `ReadDomain` leases one.
///
/// ```
///   byte 0     clock       number of the newest grace period, from 1; readers copy it on entry
///      128     completed   every grace period up to this number is over
///      256     records     head of the list of thread records; records are only ever pushed
///      264     leased      1 while a ReadDomain uses the slot
///      272     fences      0 never leased yet, else 1 or 2: whether its readers take no fence, or do
/// ```
///
/// The slot and its records outlive the domain: a thread's table may still name the record, and the next domain on the slot takes it over.
/// A thread's table of fast records too: so a slot is only ever leased to domains whose readers agree about fences.
@safe
struct DomainSlot: @unchecked Sendable {
  let base: UnsafeMutableRawPointer

  static let byteCount = 384

  // Safe: offsets are inside the slot's memory, which is never freed.
  var clock: SharedWord { unsafe SharedWord(at: base) }
  var completed: SharedWord { unsafe SharedWord(at: base + 128) }
  var records: SharedWord { unsafe SharedWord(at: base + 256) }
  var leased: SharedWord { unsafe SharedWord(at: base + 264) }
  var fences: SharedWord { unsafe SharedWord(at: base + 272) }

  private static let all: [DomainSlot] = {
    let count = Int(PAGECACHE_DOMAIN_LIMIT)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count * byteCount, alignment: 128)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: count * byteCount)
    return (0..<count).map { number in
      let slot = unsafe DomainSlot(base: memory + number * byteCount)
      slot.clock.storeRelaxed(1)
      return slot
    }
  }()

  /// Takes a free slot, or nil when all are in use.
  static func lease(readersNeedNoFence: Bool) -> (number: Int, slot: DomainSlot)? {
    let wanted: UInt64 = readersNeedNoFence ? 1 : 2
    for (number, slot) in all.enumerated() {
      // Acquire pairs with the release in `release()`: the new lessee sees the records as the last one left them.
      if slot.leased.compareExchangeAcquire(expected: 0, desired: 1).exchanged {
        let fences = slot.fences.loadRelaxed()
        guard fences == 0 || fences == wanted else {
          slot.release()
          continue
        }
        slot.fences.storeRelaxed(wanted)
        // Nobody reads any more what the last lessee unlinked, whether he waited for that or not.
        slot.completed.storeRelaxed(slot.clock.loadRelaxed())
        slot.forEachRecord { record in
          for counter in 0..<ThreadRecord.counterCount { record.counter(counter).storeRelaxed(0) }
        }
        return (number, slot)
      }
    }
    return nil
  }

  /// Gives the slot back. No thread may be in a read section of it, or enter one.
  func release() { leased.storeRelease(0) }

  /// Visits every record that was ever registered, also those without a living owner.
  func forEachRecord<Failure: Error>(_ body: (ThreadRecord) throws(Failure) -> Void) throws(Failure) {
    // Acquire pairs with the release of the push: a record is initialised before it can be reached.
    var address = records.loadAcquire()
    while let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) {
      let record = unsafe ThreadRecord(base: base)
      try body(record)
      address = record.next.loadRelaxed()
    }
  }

  /// Finds a record that no living thread owns, or makes one.
  func claimRecord() -> ThreadRecord {
    var claimed: ThreadRecord?
    forEachRecord { record in
      // Acquire pairs with the release at thread exit: the counters continue from where the last owner left them.
      if claimed == nil, record.owned.loadRelaxed() == 0,
        record.owned.compareExchangeAcquire(expected: 0, desired: 1).exchanged
      {
        claimed = record
      }
    }
    if let claimed { return claimed }
    let base = UnsafeMutableRawPointer.allocate(byteCount: ThreadRecord.byteCount, alignment: 128)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: ThreadRecord.byteCount)
    let record = unsafe ThreadRecord(base: base)
    record.owned.storeRelaxed(1)
    var head = records.loadRelaxed()
    while true {
      record.next.storeRelaxed(head)
      // Release pairs with the acquire of `forEachRecord`: what the record begins with, and the way to the next one.
      let (exchanged, original) = unsafe records.compareExchangeRelease(
        expected: head, desired: UInt64(UInt(bitPattern: record.section.address)))
      if exchanged { return record }
      head = original
    }
  }

  /// Frees all records, which nobody may have. For the race laboratory, where each execution begins with none.
  func freeRecords() {
    var address = records.loadRelaxed()
    records.storeRelaxed(0)
    while let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) {
      let record = unsafe ThreadRecord(base: base)
      precondition(record.owned.loadRelaxed() == 0)
      address = record.next.loadRelaxed()
      unsafe base.deallocate()
    }
  }
}
