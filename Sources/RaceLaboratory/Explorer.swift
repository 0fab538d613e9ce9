import CFibers
import CPrimitives
import Glibc

/// Ends the process, because the laboratory or a test of it is wrong: not by a trap, which may be what a mutant does.
package func giveUp(_ message: String) -> Never {
  let line = message + "\n"
  unsafe _ = line.withCString { unsafe write(2, $0, strlen($0)) }
  exit(3)
}

/// Runs a program of a few threads in the orders that make a difference, under the memory model of C11.
///
/// One thread of the system runs all threads of the model, each on a stack of its own. Before every operation that
/// another thread could notice, the running thread asks here who goes on. The answers make a path; the next execution
/// follows it up to the last step where something else was possible, and does that.
///
/// Two things are chosen: who goes on, and, for a load, which of the stores that it may return. A load may return an
/// older store as long as nothing that happened before the load has seen a newer one: that is what a missing acquire or
/// release lets happen on other processors than x86.
///
/// Orders that make no difference are not tried again: only where two steps of different threads touch the same word,
/// and one of them stores, is the later one tried before the earlier (dynamic partial-order reduction, Flanagan and
/// Godefroid, POPL 2005), and a load that came before a store is tried after it, not the other way round, because after
/// it, it can still return what was there before. With a bound on preemptions, the start of the run that would be
/// interrupted is tried as well (Coons et al., OOPSLA 2013).
///
/// Outside an execution (while a program is made or checked) every operation takes effect at once.
@safe
package final class Explorer: @unchecked Sendable {
  /// Everything here happens on one thread of the system.
  package static let shared = Explorer()
  package static var mostThreads: Int { 7 }

  /// Whether threads of the model run.
  package internal(set) var isExploring = false

  var threads: [ModelThread] = []
  var active: [ModelThread] = []
  var current: ModelThread

  // The search.
  var strategy = Strategy.exhaustive(preemptions: nil)
  var limits = Limits()
  var preemptionBound: Int16 = .max
  var nodes: [PathNode] = []
  var depth = 0
  /// Steps that are followed, not chosen.
  var known = 0
  var random: UInt64 = 0
  var priorities: [UInt64] = []
  var changePoints: Set<Int> = []
  /// Threads that need not be tried now: see `PathNode.asleep`.
  var asleep: UInt8 = 0
  /// Only without a bound: what was tried before may have come to its bound earlier than this would.
  var usesSleep = false
  var isBounded: Bool { preemptionBound != .max }
  var isRedundant = false
  /// Earlier steps that the last one could have come before.
  var raced: [Int] = []
  /// Whether orders that make no difference are left out. False only to see that this leaves out nothing else.
  package var reduces = true
  /// Whether the words in the middle of a long copy are moved in one step: a copy of a page that forks at every word
  /// keeps a search in one place.
  package var copiesBriefly = false
  /// What the model may do besides what it always does.
  package var liberties: Liberties = []
  var isSearching: Bool { if case .exhaustive = strategy { true } else { false } }

  // One execution.
  var execution = 0
  var table = LocationTable()
  var sequentialClock = VectorClock.zero
  var fences: [StepMark] = []
  var fencePast = VectorClock.zero
  var barriers: [Barrier] = []
  var fruitlessYields = 0
  /// Whether there is no such execution: see `Explorer.storeEarly(_:_:_:)`.
  var isImpossible = false
  var trace: [TraceEntry] = []
  var failure: RaceFailure?
  var shared: [SharedRegion] = []

  /// The ordering that is weakened, if any.
  package var orderingMutant: OrderingMutant? {
    didSet { weakenedLine = orderingMutant?.line ?? 0 }
  }
  var weakenedLine: UInt = 0
  /// Whether an operation was made weaker in the last search.
  package internal(set) var hasWeakened = false
  /// Every ordered operation that was executed, if it is to be known.
  package var notesSites = false
  package var sites: Set<OrderingMutant> = []

  private let mainFiber: OpaquePointer
  private let mainRecords: UnsafeMutablePointer<UnsafeMutableRawPointer?>

  private init() {
    guard let fiber = unsafe pagecache_fiber_main() else { giveUp("no memory") }
    unsafe mainFiber = fiber
    unsafe mainRecords = .allocate(capacity: ModelThread.recordCount)
    unsafe mainRecords.initialize(repeating: nil, count: ModelThread.recordCount)
    current = ModelThread(number: Explorer.mostThreads)
    trace.reserveCapacity(1 << 12)
    nodes.reserveCapacity(1 << 12)
  }

  private func thread(_ number: Int) -> ModelThread {
    while threads.count <= number { threads.append(ModelThread(number: threads.count)) }
    return threads[number]
  }

  /// Runs a body as the thread with a number would, but at once: so that what belongs to a thread is there before the
  /// execution.
  package func asThread(_ number: Int, _ body: () throws -> Void) rethrows {
    precondition(!isExploring)
    let thread = thread(number)
    unsafe pagecache_exchange_thread_records(mainRecords, thread.records)
    defer { unsafe pagecache_exchange_thread_records(thread.records, mainRecords) }
    try body()
  }

  /// Explores a program.
  /// - Parameter make: makes it anew; it must do the same each time.
  package func explore(_ strategy: Strategy, limits: Limits = Limits(), _ make: () -> Program) -> RaceReport {
    self.strategy = strategy
    self.limits = limits
    preemptionBound = .max
    nodes.removeAll(keepingCapacity: true)
    known = 0
    failure = nil
    hasWeakened = false
    usesSleep = false
    var report = RaceReport()
    var count = limits.executions
    switch strategy {
    case .exhaustive(let bound):
      preemptionBound = bound.map { Int16($0) } ?? .max
      // A load that stores is not what a sleeper was seen to do.
      usesSleep = bound == nil && reduces && !liberties.contains(.earlyStores)
    case .random(let seed, let wanted), .priorities(let seed, let wanted, _):
      random = seed
      count = min(count, wanted)
    case .replay(let path):
      count = 1
      // Who could have gone on is found out by doing it.
      nodes = path.steps.map {
        PathNode(
          thread: $0.thread, enabled: 0, tried: 0, previous: -1, previousGoesOn: false, preemptions: 0, runStart: 0,
          choice: $0.choice == PathNode.early ? 0 : $0.choice)
      }
      for (place, step) in path.steps.enumerated() { nodes[place].isEarly = step.choice == PathNode.early }
      findStoresBehindLoads(make)
      known = nodes.count
    }
    let start = Explorer.now()
    let rehearsed = rehearse(make)
    while report.executions < count {
      if case .priorities(_, _, let depth) = strategy { drawPriorities(depth: depth, length: max(report.longest, 20)) }
      if !isSearching, known == 0 { nodes.removeAll(keepingCapacity: true) }
      runOnce(make)
      if report.executions == 0, let rehearsed, rehearsed != outline { failForWhatOutlives() }
      report.executions += 1
      report.longest = max(report.longest, depth)
      if failure != nil { break }
      if isSearching, !chooseNext() {
        report.isComplete = true
        break
      }
      if report.executions & 63 == 0, Explorer.now() - start > limits.seconds { break }
    }
    report.seconds = Explorer.now() - start
    report.failure = failure
    return report
  }

  /// Runs a program once before its search: what is made once in a process, or once for a thread, is there from then
  /// on, and all executions start alike.
  /// - Returns: what the execution did, if the first one of the search must do the same.
  private func rehearse(_ make: () -> Program) -> Int? {
    guard isSearching else { return nil }
    let seen = (sites, hasWeakened)
    runOnce(make)
    (sites, hasWeakened) = seen
    nodes.removeAll(keepingCapacity: true)
    // Wrong in this order already: so is the first execution of the search.
    defer { failure = nil }
    return failure == nil ? outline : nil
  }

  /// Who did what where in the last execution.
  private var outline: Int {
    var hasher = Hasher()
    for entry in trace {
      hasher.combine(entry.thread)
      hasher.combine(entry.operation)
      hasher.combine(entry.site.line)
    }
    return hasher.finalize()
  }

  /// The same order twice, and the program has done something else: what it found was left by the execution before, and
  /// what it does without that is not explored.
  private func failForWhatOutlives() {
    guard failure == nil else { return }
    fail(.laboratory, "the first execution had not what later ones find: something outlives an execution")
  }

  /// Of a path that is run again: which stores it makes before loads. Each is seen where the path is followed so far
  /// and the load comes first.
  private func findStoresBehindLoads(_ make: () -> Program) {
    let path = nodes
    var found = path
    for place in path.indices where path[place].isEarly {
      nodes = Array(found[...place])
      nodes[place].isEarly = false
      known = nodes.count
      runOnce(make)
      found[place].behind = nodes[place].behind
      failure = nil
    }
    nodes = found
  }

  /// Seconds of a clock that only goes on.
  package static func now() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private func runOnce(_ make: () -> Program) {
    execution += 1
    table.removeAll()
    sequentialClock = .zero
    fences.removeAll(keepingCapacity: true)
    fencePast = .zero
    barriers.removeAll(keepingCapacity: true)
    fruitlessYields = 0
    isImpossible = false
    asleep = 0
    raced.removeAll(keepingCapacity: true)
    isRedundant = false
    trace.removeAll(keepingCapacity: true)
    shared.removeAll(keepingCapacity: true)
    depth = 0
    let program = make()
    active = program.threads.indices.map { thread($0) }
    for (thread, (name, body)) in zip(active, program.threads) { thread.prepare(name, body) }
    isExploring = true
    if let first = chooseThread(previous: nil) { enter(first) }
    isExploring = false
    guard failure == nil, !isImpossible else { return }
    if known > depth {
      fail(.laboratory, "an execution ended before its path did: the program does not do the same each time")
    } else if let message = program.check() {
      fail(.check, message)
    }
  }

  /// From the main stack to a thread's, until all have ended or something is wrong.
  private func enter(_ thread: ModelThread) {
    current = thread
    unsafe pagecache_exchange_thread_records(mainRecords, thread.records)
    unsafe pagecache_fiber_switch(mainFiber, thread.fiber)
  }

  /// From the running thread's stack to another's; returns when somebody chooses it again.
  func go(to thread: ModelThread) {
    let from = current
    current = thread
    unsafe pagecache_exchange_thread_records(from.records, thread.records)
    unsafe pagecache_fiber_switch(from.fiber, thread.fiber)
  }

  private func leave() {
    unsafe pagecache_exchange_thread_records(current.records, mainRecords)
    unsafe pagecache_fiber_switch(current.fiber, mainFiber)
  }

  /// What a stack of the model does: one body after the other, for as long as the process lives.
  func runModelThread(_ number: Int) {
    let thread = threads[number]
    while true {
      thread.body?()
      settle()
      thread.body = nil
      thread.state = .finished
      note(.end, at: Site("", 0))
      if let next = chooseThread(previous: nil) { go(to: next) } else { leave() }
    }
  }

  // MARK: Failing

  /// Ends the execution: it is wrong. On a thread of the model this does not return; its stack, and what is on it, is
  /// given up.
  package func fail(_ kind: RaceFailure.Kind, _ message: String) {
    if failure == nil, !isImpossible {
      failure = RaceFailure(kind: kind, message: message, path: Path(nodes[..<min(depth, nodes.count)]), trace: trace)
    }
    guard isExploring else { return }
    isExploring = false
    // Before the first step there is no stack to give up.
    guard depth > 0 else { return }
    let stack = unsafe current.fiber
    for thread in active where thread.state != .finished || thread === current { thread.abandon() }
    unsafe pagecache_exchange_thread_records(current.records, mainRecords)
    unsafe pagecache_fiber_switch(stack, mainFiber)
    giveUp("a stack that was given up goes on")
  }

  // MARK: The trace

  @inline(__always)
  func note(
    _ operation: TraceEntry.Operation, _ order: MemoryOrder = .relaxed, address: UInt = 0, value: UInt64 = 0,
    other: UInt64 = 0, at site: Site, text: String? = nil
  ) {
    trace.append(
      TraceEntry(
        thread: Int8(current.number), operation: operation, order: order, address: address, value: value, other: other,
        site: site, text: text))
  }

  /// Writes something into the trace.
  package func note(_ text: @autoclosure () -> String, _ site: Site) {
    if isExploring { note(.note, at: site, text: text()) }
  }

  /// The operations of the last execution.
  package var lastTrace: [TraceEntry] { trace }

  /// Operations of the execution so far.
  package var traceLength: Int { trace.count }

  /// Whether the running thread has taken a lock since then, without having been overtaken before: that is, having
  /// changed anything.
  package func hasLocked(since start: Int) -> Bool {
    for entry in trace[start...] where Int(entry.thread) == current.number {
      if entry.operation == .add { return false }
      if entry.operation == .lock || entry.operation == .tryLock { return true }
    }
    return false
  }

  /// What the running thread knows of the others' steps, and its own count.
  package var knowledge: VectorClock { isExploring ? current.clock : .zero }
  package var runningThread: Int { isExploring ? current.number : Explorer.mostThreads }

  /// Names of the threads of the last execution.
  package var threadNames: [String] { active.map(\.name) }
}
