import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

// What a forked child sees is not tested: Glibc's fork is not to be had in Swift, and a spawned process inherits nothing.
@Suite struct RegistrationTests {
  @Test func aThreadHasOneRecordAndTwoThreadsHaveTwo() throws {
    let domain = try ReadDomain()
    let met = Word()
    let failures = Failures()
    onThreads(3) { index in
      let record = domain.record()
      record.counter(7).storeRelaxed(UInt64(index + 1))
      unsafe record.scratch[0] = UInt64(index)
      unsafe record.scratch[ThreadRecord.scratchCount - 1] = UInt64(index)
      met.add(1)
      _ = eventually { met.value == 3 }
      let again = domain.record()
      failures.check(again.counter(7).loadRelaxed() == UInt64(index + 1), "somebody else's counter")
      unsafe failures.check(again.counter(7).address == record.counter(7).address, "another record")
      unsafe failures.check(again.scratch[0] == UInt64(index), "somebody else's scratch")
      unsafe failures.check(again.scratch[ThreadRecord.scratchCount - 1] == UInt64(index), "somebody else's scratch")
    }
    #expect(failures.all == [])
    #expect(domain.sum(counter: 7) == 6)
  }

  @Test(arguments: [true, false])
  func recordsOfEndedThreadsAreReusedAndTheirCountsKept(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let first = ThreadRecord.counterCount - 1
    onThreads(1) { _ in domain.record().counter(first).addAsOnlyWriter(1) }
    let before = domain.recordCount
    for index in 2...200 {
      onThreads(1) { _ in
        domain.read { domain.record().counter(first).addAsOnlyWriter(UInt64(index)) }
        domain.record().counter(0).addAsOnlyWriter(1)
      }
    }
    #expect(domain.recordCount == before, "one thread at a time needs no second record")
    #expect(domain.sum(counter: first) == 200 * 201 / 2)
    #expect(domain.sum(counter: 0) == 199)
    for _ in 0..<25 {
      onThreads(8) { _ in domain.record().counter(0).addAsOnlyWriter(1) }
    }
    #expect(domain.recordCount <= before + 8)
    #expect(domain.sum(counter: 0) == 399)
  }

  @Test func aRecordTakenOverIsOutsideAndDoesNotHoldUpGracePeriods() throws {
    let domain = try ReadDomain()
    onThreads(4) { _ in domain.read {} }
    onThreads(1) { _ in
      let record = domain.record()
      precondition(!record.isInside)
    }
    let period = domain.ticket()
    #expect(domain.poll(period))
  }

  @Test func aProcessHasSixtyFourDomainsAndGetsThemBack() async {
    await #expect(processExitsWith: .success) {
      var domains: [ReadDomain] = []
      while domains.count < 64 { domains.append(try ReadDomain()) }
      precondition(Set(domains.map(\.slotNumber)).count == 64, "two domains on one slot")
      for _ in 0..<3 {
        do throws(ReadDomain.TooManyDomains) {
          _ = try ReadDomain()
          preconditionFailure("a domain too many")
        } catch { precondition(error.limit == 64) }
      }
      // One goes, one comes, with its slot but without its counts.
      domains[17].record().counter(3).storeRelaxed(99)
      let slot = domains[17].slotNumber
      domains.remove(at: 17)
      let next = try ReadDomain()
      precondition(next.slotNumber == slot)
      precondition(next.sum(counter: 3) == 0, "the counts of the last domain")
      precondition(next.record().counter(3).loadRelaxed() == 0)
      next.synchronize()
      // All of them again.
      domains.removeAll()
      while domains.count < 63 { domains.append(try ReadDomain()) }
    }
  }
}
