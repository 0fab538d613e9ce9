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

    /// Of each thread; behind them, lists of one event each, of calls that do several things in no order.
    private(set) var events: [[Event]]
    /// How many calls of the store fail: so often may each thread be told, and of nothing else.
    private let failures: Int
    private var refusals: [Int]
    /// What must never be, and was.
    private(set) var violation: String?

    init(threads: Int, failures: Int = 0) {
      events = Array(repeating: [], count: threads)
      self.failures = failures
      refusals = Array(repeating: 0, count: threads)
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
      if case .refused(let cause) = outcome {
        refusals[thread] += 1
        if refusals[thread] > failures || !cause.hasSuffix("Input/output error") {
          violation = "\(act) was refused, for which there was no cause: \(cause)"
        }
      }
      // P2: what is served at once takes no lock.
      if case .tryRead = act, case .bytes(let bytes) = outcome, !bytes.isEmpty, Explorer.shared.hasLocked(since: begin)
      {
        violation = "a read that was served at once has taken a lock"
      }
      if case .readMany(let offset, let count, let other, let otherCount, let file) = act,
        case .many(let first, let second) = outcome
      {
        // Two reads, which may have come in either order: each takes its place among the others' acts by itself.
        let end = Explorer.shared.knowledge[thread]
        for (offset, count, bytes) in [(offset, count, first), (other, otherCount, second)] {
          events.append([
            Event(
              thread: thread, act: .read(offset, count, file: file), outcome: .bytes(bytes), known: known, end: end)
          ])
        }
        return
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
      for place in events.indices where done[place] < events[place].count {
        isOver = false
        let event = events[place][done[place]]
        guard comesNext(event, done) else { continue }
        var next = files
        let expected = next.apply(event.act)
        // A read that declined says nothing.
        var isRefused = event.outcome == .declined
        if case .refused = event.outcome { isRefused = true }
        guard event.outcome == expected || isRefused else { continue }
        var nextDone = done
        nextDone[place] += 1
        if explain(isRefused ? files : next, nextDone, end) { return true }
      }
      return isOver && files == end
    }

    /// Whether all that happened before an event is done.
    private func comesNext(_ event: Event, _ done: [Int]) -> Bool {
      for (place, list) in events.enumerated() {
        for other in list[done[place]...] where event.known[other.thread] >= other.end { return false }
      }
      return true
    }

    var text: String {
      events.flatMap { $0 }.map { "thread \($0.thread): \($0.act) -> \($0.outcome)" }.joined(separator: "; ")
    }
  }
#endif
