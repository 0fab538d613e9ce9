import Glibc
import Primitives
import TestSupport
import Testing

@Suite struct ThreadsTests {
  @Test func joinWaitsForTheBody() throws {
    let done = Word()
    let thread = try #require(
      StartedThread("joined") {
        sleepNanoseconds(20_000_000)
        done.set(1)
      })
    thread.join()
    #expect(done.value == 1)
  }

  /// `#require` wants something copyable.
  private final class StartedThread {
    private var thread: JoinableThread?
    init?(_ name: String, _ body: @escaping @Sendable () -> Void) {
      guard let thread = JoinableThread(name: name, body) else { return nil }
      self.thread = consume thread
    }
    func join() { thread.take()?.join() }
    func detach() { thread.take()?.detach() }
  }

  @Test func threadsBearTheFirstFifteenBytesOfTheirName() throws {
    let failures = Failures()
    let thread = StartedThread("a-name-that-is-too-long") {
      var name = [UInt8](repeating: 0, count: 64)
      let file = unsafe open("/proc/thread-self/comm", O_RDONLY)
      let count = unsafe read(file, &name, name.count)
      close(file)
      let text = String(decoding: name.prefix(max(0, count)), as: UTF8.self)
      failures.check(text == "a-name-that-is-\n", text)
    }
    try #require(thread).join()
    #expect(failures.all == [])
  }

  @Test func aDetachedThreadRunsItsBody() throws {
    let done = Word()
    try #require(StartedThread("detached") { done.set(1) }).detach()
    #expect(eventually { done.value == 1 })
  }

  private final class Captured: Sendable {
    let released: Word
    init(_ released: Word) { self.released = released }
    deinit { released.add(1) }
  }

  @Test func whatABodyCapturesIsReleased() throws {
    let released = Word()
    for _ in 0..<20 {
      let captured = Captured(released)
      try #require(StartedThread("captures") { _ = captured.released.value }).join()
    }
    #expect(released.value == 20)
  }

  @Test func onThreadsRunsEveryIndexOnceAndAtTheSameTime() {
    let failures = Failures()
    let here = pthread_self()
    let met = Word()
    let mask = Word()
    onThreads(8) { index in
      failures.check(pthread_equal(here, pthread_self()) == 0, "\(index) ran on the caller's thread")
      mask.add(1 << UInt64(index * 8))
      met.add(1)
      failures.check(eventually { met.value == 8 }, "\(index) waited for the others in vain")
    }
    #expect(mask.value == 0x0101_0101_0101_0101)
    #expect(failures.all == [])
    onThreads(0) { _ in failures.add("a thread nobody asked for") }
    #expect(failures.all == [])
  }

  @Test func coresAreCounted() {
    #expect(availableCores() >= 1)
    #expect(availableCores() <= sysconf(Int32(_SC_NPROCESSORS_CONF)))
  }

  @Test func sleepingTakesAtLeastThatLong() {
    let start = monotonicNanoseconds()
    sleepNanoseconds(3_000_000)
    #expect(monotonicNanoseconds() - start >= 3_000_000)
  }
}
