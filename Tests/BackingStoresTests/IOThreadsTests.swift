import BackingStores
import Glibc
import Primitives
import Synchronization
import Testing

@Suite("Threads for background reads", .timeLimit(.minutes(30)))
struct IOThreadsTests {
  /// Counts the threads it starts, and stops at a limit.
  private final class Source: Sendable {
    let started = Atomic(0)
    let limit: Int
    init(limit: Int) { self.limit = limit }

    func start(_ body: @escaping @Sendable () -> Void) -> JoinableThread? {
      guard started.load(ordering: .relaxed) < limit else { return nil }
      started.wrappingAdd(1, ordering: .relaxed)
      return JoinableThread(name: "counted", body)
    }
  }

  private func makeThreads(_ count: Int, from source: Source) -> IOThreads {
    IOThreads(count: count, startThread: { source.start($0) })
  }

  @Test func threadsStartWithTheWorkAndNeverOutnumberTheCount() {
    let source = Source(limit: .max)
    let threads = makeThreads(4, from: source)
    #expect(source.started.load(ordering: .relaxed) == 0)
    let ran = Promise<pthread_t>()
    let entered = Promise<Void>()
    let leave = Promise<Void>()
    for _ in 0..<100 {
      threads.submit {
        entered.fulfil(())
        leave.wait()
        ran.fulfil(pthread_self())
      }
    }
    // All four at a time, and no fifth while they are held.
    #expect(entered.wait(for: 4).count == 4)
    #expect(source.started.load(ordering: .relaxed) == 4)
    leave.fulfil(())
    let who = Set(ran.wait(for: 100))
    #expect(who.count <= 4)
    #expect(!who.contains(pthread_self()))
    #expect(source.started.load(ordering: .relaxed) == 4)
    threads.shutDown()
  }

  @Test func oneThreadIsEnoughForOneWorkAtATime() {
    let source = Source(limit: .max)
    let threads = makeThreads(8, from: source)
    for _ in 0..<20 {
      let done = Promise<Void>()
      threads.submit { done.fulfil(()) }
      done.wait()
      // Until the thread is back at the queue, the next submission has reason to start another one.
      sleepNanoseconds(2_000_000)
    }
    #expect(source.started.load(ordering: .relaxed) < 8)
    threads.shutDown()
  }

  @Test func oneThreadKeepsTheOrder() {
    let threads = IOThreads(count: 1)
    let order = Promise<Int>()
    for number in 0..<1000 { threads.submit { order.fulfil(number) } }
    #expect(order.wait(for: 1000) == Array(0..<1000))
    threads.shutDown()
  }

  @Test func shutDownDrainsTheQueue() {
    let threads = IOThreads(count: 2)
    let done = Promise<Int>()
    for number in 0..<300 {
      threads.submit {
        if number < 4 { sleepNanoseconds(10_000_000) }
        done.fulfil(number)
      }
    }
    threads.shutDown()
    #expect(done.count == 300)
    threads.shutDown()

    let who = Promise<pthread_t>()
    threads.submit { who.fulfil(pthread_self()) }
    #expect(who.all == [pthread_self()], "after the end the caller does the work")
  }

  @Test func everyConcurrentShutDownWaits() {
    let threads = IOThreads(count: 2)
    let done = Atomic(0)
    for _ in 0..<50 {
      threads.submit {
        sleepNanoseconds(1_000_000)
        done.wrappingAdd(1, ordering: .relaxed)
      }
    }
    let seen = Promise<Int>()
    onThreads(4) { _ in
      threads.shutDown()
      seen.fulfil(done.load(ordering: .relaxed))
    }
    #expect(seen.all == [50, 50, 50, 50])
  }

  @Test func shutDownOnAThreadOfItsOwnDoesNotWaitForItself() {
    let threads = IOThreads(count: 2)
    let done = Promise<Void>()
    threads.submit {
      threads.shutDown()
      done.fulfil(())
    }
    done.wait()
    threads.shutDown()
  }

  @Test func withoutAnyThreadTheCallerDoesTheWork() {
    let threads = makeThreads(4, from: Source(limit: 0))
    let who = Promise<pthread_t>()
    threads.submit {
      // Nested, so that a lock held around the work would be found out.
      threads.submit { who.fulfil(pthread_self()) }
    }
    #expect(who.all == [pthread_self()])
    threads.shutDown()
  }

  @Test func fewerThreadsThanAskedForDoAllTheWork() {
    let source = Source(limit: 1)
    let threads = makeThreads(4, from: source)
    let who = Promise<pthread_t>()
    for _ in 0..<100 { threads.submit { who.fulfil(pthread_self()) } }
    let ran = Set(who.wait(for: 100))
    #expect(ran.count == 1)
    #expect(!ran.contains(pthread_self()))
    threads.shutDown()
  }

  @Test func lastReferenceMayGoOnOneOfItsThreads() {
    final class Holder: @unchecked Sendable {
      // Safe: written by one thread, then by the work it submitted.
      var threads: IOThreads?
    }
    for _ in 0..<50 {
      let holder = Holder()
      holder.threads = IOThreads(count: 2)
      weak let weakThreads = holder.threads
      let mayGo = Promise<Void>()
      let gone = Promise<Bool>()
      holder.threads?.submit {
        mayGo.wait()
        holder.threads = nil
        gone.fulfil(weakThreads == nil)
      }
      mayGo.fulfil(())
      #expect(gone.wait())
    }
  }

  @Test func droppedThreadsFinishWhatWasSubmitted() {
    let done = Promise<Void>()
    do {
      let threads = IOThreads(count: 1)
      for _ in 0..<50 {
        threads.submit {
          sleepNanoseconds(100_000)
          done.fulfil(())
        }
      }
    }
    #expect(done.wait(for: 50).count == 50)
  }
}
