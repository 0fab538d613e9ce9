#if RaceLaboratory
  import RaceLaboratory

  /// What the threads of one execution did, and what came of it.
  final class History {
    struct Event {
      let thread: Int
      let act: Act
      let outcome: Outcome
      /// What the thread knew of the others when it began.
      let known: SIMD8<UInt32>
      /// Its own count when it ended.
      let end: UInt32
    }

    private(set) var events: [[Event]]
    /// Whether the store may refuse.
    let mayRefuse: Bool
    /// What must never be, and was.
    private(set) var violation: String?

    init(threads: Int, mayRefuse: Bool = false) {
      events = Array(repeating: [], count: threads)
      self.mayRefuse = mayRefuse
    }

    /// Does an act and writes down what came of it.
    func perform(_ act: Act, on world: World) {
      let thread = Explorer.shared.runningThread
      let known = Explorer.shared.knowledge
      let begin = Explorer.shared.traceLength
      Explorer.shared.note("\(act)", Site("", 0))
      let outcome = world.perform(act)
      Explorer.shared.note("-> \(outcome)", Site("", 0))
      if case .failed(let message) = outcome { violation = message }
      // P2: what is served at once takes no lock.
      if case .tryRead = act, case .bytes(let bytes) = outcome, !bytes.isEmpty, Explorer.shared.hasLocked(since: begin)
      {
        violation = "a read that was served at once has taken a lock"
      }
      events[thread].append(
        Event(thread: thread, act: act, outcome: outcome, known: known, end: Explorer.shared.knowledge[thread]))
    }

    /// Whether the acts, each at one instant, in an order that agrees with each thread's own and with what threads knew of each other, explain all outcomes and what
    /// is there in the end (P1).
    func isExplained(from start: ModelFiles, to end: ModelFiles) -> Bool {
      explain(start, Array(repeating: 0, count: events.count), end)
    }

    private func explain(_ files: ModelFiles, _ done: [Int], _ end: ModelFiles) -> Bool {
      var isOver = true
      for thread in events.indices where done[thread] < events[thread].count {
        isOver = false
        let event = events[thread][done[thread]]
        guard comesNext(event, done) else { continue }
        var next = files
        let expected = next.apply(event.act)
        // A read that declined says nothing.
        var isRefused = event.outcome == .declined
        if mayRefuse, case .refused = event.outcome { isRefused = true }
        guard event.outcome == expected || isRefused else { continue }
        var nextDone = done
        nextDone[thread] += 1
        if explain(isRefused ? files : next, nextDone, end) { return true }
      }
      return isOver && files == end
    }

    /// Whether all that happened before an event is done.
    private func comesNext(_ event: Event, _ done: [Int]) -> Bool {
      for thread in events.indices where thread != event.thread {
        for other in events[thread][done[thread]...] where event.known[thread] >= other.end { return false }
      }
      return true
    }

    var text: String {
      events.flatMap { $0 }.map { "thread \($0.thread): \($0.act) -> \($0.outcome)" }.joined(separator: "; ")
    }
  }
#endif
