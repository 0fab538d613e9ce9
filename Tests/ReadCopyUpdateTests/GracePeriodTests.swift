import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

@Suite struct GracePeriodTests {
  @Test(arguments: [true, false])
  func aGracePeriodWithoutReadersIsOverAtOnce(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let completed = domain.gracePeriodCount
    let period = domain.ticket()
    #expect(!domain.isOver(period), "nobody has run it")
    #expect(domain.poll(period))
    #expect(domain.isOver(period))
    #expect(domain.gracePeriodCount > completed)
    let next = domain.ticket()
    #expect(next > period)
    #expect(!domain.isOver(next))
    domain.wait(for: next)
    #expect(domain.isOver(next))
  }

  @Test func whatIsOverCostsNoOtherGracePeriod() throws {
    let domain = try ReadDomain()
    let period = domain.ticket()
    domain.synchronize()
    let clock = domain.clock.loadRelaxed()
    domain.wait(for: period)
    #expect(domain.poll(period))
    #expect(domain.clock.loadRelaxed() == clock)
  }

  @Test(arguments: [true, false])
  func aReaderThatEnteredBeforeHoldsUpPoll(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let reader = ReaderThread(in: domain)
    let period = domain.ticket()
    for _ in 0..<3 { #expect(!domain.poll(period)) }
    #expect(!domain.isOver(period))
    reader.end()
    #expect(domain.poll(period))
  }

  @Test(arguments: [true, false])
  func aReaderThatEnteredBeforeHoldsUpWait(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let reader = ReaderThread(in: domain)
    let before = domain.clock.loadRelaxed()
    let returned = Word()
    let waiter = Waiter {
      domain.synchronize(); returned.set(1)
    }
    #expect(eventually { domain.clock.loadRelaxed() > before })
    sleepNanoseconds(30_000_000)
    #expect(returned.value == 0)
    reader.end()
    waiter.join()
    #expect(returned.value == 1)
  }

  @Test(arguments: [true, false])
  func aReaderThatEntersLaterDoesNotHoldUpWait(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let early = ReaderThread(in: domain)
    let before = domain.clock.loadRelaxed()
    let returned = Word()
    let waiter = Waiter {
      domain.synchronize(); returned.set(1)
    }
    #expect(eventually { domain.clock.loadRelaxed() > before })
    let late = ReaderThread(in: domain)
    early.end()
    #expect(eventually { returned.value == 1 }, "it waits for a reader that cannot have seen anything")
    late.end()
    waiter.join()
  }

  @Test(arguments: [true, false])
  func readersThatRelieveEachOtherDoNotStarvePoll(usesMembarrier: Bool) throws {
    // There is always one inside, but none for long: what was unlinked at the ticket is unseen after the second.
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    var inside = ReaderThread(in: domain)
    let period = domain.ticket()
    var over = false
    for _ in 0..<20 {
      over = domain.poll(period)
      if over { break }
      let next = ReaderThread(in: domain)
      inside.end()
      inside = next
    }
    #expect(over)
  }

  @Test func oneReaderOfManyIsEnough() throws {
    let domain = try ReadDomain()
    let readers = (0..<6).map { _ in ReaderThread(in: domain) }
    let period = domain.ticket()
    for reader in readers {
      #expect(!domain.poll(period))
      reader.end()
    }
    #expect(domain.poll(period))
  }

  @Test(arguments: [true, false])
  func thoseWhoWaitTogetherShareAGracePeriod(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let reader = ReaderThread(in: domain)
    let before = domain.clock.loadRelaxed()
    let holders = Word()
    let waiters = (0..<8).map { _ in
      Waiter {
        let period = domain.ticket()
        holders.add(1)
        domain.wait(for: period)
        precondition(domain.isOver(period))
      }
    }
    #expect(eventually { holders.value == 8 && domain.clock.loadRelaxed() > before })
    reader.end()
    for waiter in waiters { waiter.join() }
    // The one under way, and one more for those who came after it had begun.
    #expect(domain.clock.loadRelaxed() - before <= 2)
  }

  @Test func pollDoesNotWaitForAnotherThreadsGracePeriod() throws {
    let domain = try ReadDomain()
    let reader = ReaderThread(in: domain)
    let before = domain.clock.loadRelaxed()
    let waiter = Waiter { domain.synchronize() }
    #expect(eventually { domain.clock.loadRelaxed() > before })
    // The lock of grace periods is taken: poll says no and returns.
    #expect(!domain.poll(domain.ticket()))
    reader.end()
    waiter.join()
  }

  private final class Waiter {
    private var thread: JoinableThread?
    init(_ body: @escaping @Sendable () -> Void) { thread = JoinableThread(name: "waiter", body) }
    func join() { thread.take()?.join() }
  }
}
