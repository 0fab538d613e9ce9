import Glibc
import Primitives

/// A fixed number of threads that do blocking reads for callers who must not block.
///
/// The threads are its own, not a pool's: they start as work arrives, up to the number asked for, and none exits while
/// this object lives (io_uring requests die with the thread that submitted them, and a retired thread would have to be
/// paid for again).
///
/// Work is done in the order in which it was submitted, on as many threads as there are. The queue has no limit of its
/// own: every entry belongs to a read that already holds frames, so the number of frames bounds it, or is one of the
/// few pieces that are read ahead at a time.
///
/// Dropping the last reference is `shutDown()` without the wait: work that was submitted is still done, on threads that
/// then exit.
public final class IOThreads: Sendable {
  /// How many threads there can be: 1...64.
  public static let allowedCounts = 1...64

  /// How many threads there are when all are busy.
  public let count: Int
  private let crew: Crew

  /// Allocates the queue, and starts nothing.
  /// - Parameter count: Threads at most. A count outside `allowedCounts` is a programming error and stops the program.
  /// - Cost: a few allocations, no system call.
  public convenience init(count: Int) {
    self.init(count: count) { JoinableThread(name: "pagecache-io", $0) }
  }

  /// The same with another source of threads, so that tests can have a system that gives none.
  package init(
    count: Int, startThread: @escaping @Sendable (_ body: @escaping @Sendable () -> Void) -> JoinableThread?
  ) {
    precondition(Self.allowedCounts.contains(count), "IOThreads has \(Self.allowedCounts) threads, not \(count)")
    self.count = count
    self.crew = Crew(limit: count, startThread: startThread)
  }

  // The threads hold the crew, never this object. So its last reference can go on one of them, inside a work item, and
  // nobody joins himself: the threads are detached and finish the queue alone.
  deinit { crew.abandon() }

  /// Has the work done on one of the threads, at once if one is idle.
  ///
  /// After `shutDown()`, and when the system gives not even one thread, the work is done on the calling thread before
  /// this returns: it is never dropped.
  /// - Cost: one lock, one allocation at most, a futex call if a thread has to be woken; the first few also start a
  ///   thread.
  public func submit(_ work: @escaping @Sendable () -> Void) {
    // Outside the crew's lock: the work may submit more.
    if !crew.accept(work) { work() }
  }

  /// Takes no more work, waits until all that was submitted is done, and joins the threads.
  ///
  /// Idempotent, and safe from several threads at a time: each returns when all is done. Called from one of its own
  /// threads it cannot wait for itself: it then only closes the queue.
  /// - Cost: blocks for as long as the work takes.
  public func shutDown() { crew.shutDown() }
}

/// What the threads share: a queue, and who is there to serve it.
private final class Crew: @unchecked Sendable {
  // Safe: every mutable property is read and written with the monitor held.
  private let monitor = Monitor()
  private let limit: Int
  private let startThread: @Sendable (_ body: @escaping @Sendable () -> Void) -> JoinableThread?

  private var queue: [(@Sendable () -> Void)?] = []
  /// Where the queue begins: what lies before it was taken.
  private var head = 0
  private var isClosed = false
  private var handles: [Handle] = []
  /// Threads started and not yet at their end.
  private var running = 0
  /// Threads that wait for work.
  private var idle = 0
  /// Who they are. A thread enters itself before it takes its first work.
  private var members: [pthread_t] = []

  /// A thread in an array: arrays hold no noncopyable elements.
  private final class Handle {
    private var thread: JoinableThread?
    init(_ thread: consuming JoinableThread) { self.thread = consume thread }
    func join() { if let thread = thread.take() { thread.join() } }
    func detach() { if let thread = thread.take() { thread.detach() } }
  }

  init(
    limit: Int, startThread: @escaping @Sendable (_ body: @escaping @Sendable () -> Void) -> JoinableThread?
  ) {
    self.limit = limit
    self.startThread = startThread
  }

  /// Returns false if the caller has to do the work.
  func accept(_ work: @escaping @Sendable () -> Void) -> Bool {
    monitor.withLock {
      guard !isClosed else { return false }
      let waiting = queue.count - head
      // An idle thread that was signalled still counts as idle until it has the lock, hence the comparison with what
      // waits.
      if running < limit, idle <= waiting, let thread = startThread({ self.run() }) {
        running += 1
        handles.append(Handle(thread))
      }
      guard running > 0 else { return false }
      queue.append(work)
      monitor.signal()
      return true
    }
  }

  func shutDown() {
    let toJoin: [Handle] = monitor.withLock {
      close()
      guard !isMember else { return [] }
      defer { handles = [] }
      return handles
    }
    for handle in toJoin { handle.join() }
    // Another caller may have taken the handles and still be joining.
    monitor.withLock { while running > 0, !isMember { monitor.wait() } }
  }

  func abandon() {
    monitor.withLock {
      close()
      for handle in handles { handle.detach() }
      handles = []
    }
  }

  private func close() {
    isClosed = true
    monitor.broadcast()
  }

  private var isMember: Bool {
    let me = pthread_self()
    return members.contains { pthread_equal($0, me) != 0 }
  }

  // MARK: On the threads

  private func run() {
    monitor.withLock { members.append(pthread_self()) }
    // The work is released at the end of each turn, outside the lock: it may hold the last reference to the threads.
    while let work = next() { work() }
    monitor.withLock {
      members.removeAll { pthread_equal($0, pthread_self()) != 0 }
      running -= 1
      monitor.broadcast()
    }
  }

  /// Waits for work. Returns nil when there is none and will be none.
  private func next() -> (@Sendable () -> Void)? {
    monitor.withLock {
      while head == queue.count {
        if isClosed { return nil }
        idle += 1
        monitor.wait()
        idle -= 1
      }
      let work = queue[head].take()
      head += 1
      if head == queue.count {
        queue.removeAll(keepingCapacity: true)
        head = 0
      } else if head >= 64, head * 2 >= queue.count {
        // A queue that never runs empty must not grow forever. Half of it is moved at most once per half: constant per
        // entry.
        queue.removeFirst(head)
        head = 0
      }
      return work
    }
  }
}
