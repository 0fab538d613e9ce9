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
    /// Of calls that tell of what failed before, which is told once more than by the call that it happened to.
    private var tellings: [Int]
    /// What must never be, and was.
    private(set) var violation: String?
    /// What was said to be durable.
    private(set) var pledges: [Pledge] = []
    /// What each thread knew when it took its durability point, and of which file that is.
    private var points: [Int: (file: Int, known: SIMD8<UInt32>)] = [:]
    private var lastPoint: (file: Int, known: SIMD8<UInt32>)?
    /// Whether the trace tells of acts: a search of many programs does without, which is quicker.
    private let isTold: Bool

    init(threads: Int, failures: Int = 0, isTold: Bool = true) {
      events = Array(repeating: [], count: threads)
      self.failures = failures
      self.isTold = isTold
      refusals = Array(repeating: 0, count: threads)
      tellings = refusals
    }

    /// Takes up what is held back, or waited for, by what was done before the threads: they all know of that.
    func begin(in world: World) {
      var point: (file: Int, known: SIMD8<UInt32>)?
      for act in world.start.before {
        if case .point(let file) = act { point = (file, .zero) }
        if let point { watch(act, point, world) }
      }
      lastPoint = point
    }

    /// Wherever it is that the store gets bytes that are held back, what they wait for must be durable.
    private func watch(_ act: Act, _ point: (file: Int, known: SIMD8<UInt32>), _ world: World) {
      guard case .heldWrite(let offset, let bytes, let file) = act, let byte = bytes.first else { return }
      let store = world.stores[point.file]
      func watch(_ what: String) -> () -> Void {
        { [weak self, weak store] in
          guard let self, let store else { return }
          pledges.append(Pledge(point.file, known: point.known, image: store.durable, said: what))
        }
      }
      world.stores[file].heldBytes[byte] = watch("held bytes are written")
      // Tests begin with files that end elsewhere.
      world.stores[file].heldEnds[offset + bytes.count] = watch("the store is made as long as held bytes go")
    }

    /// Does acts in their order, up to a message that has not come.
    func perform(_ acts: [Act], on world: World) {
      for act in acts where !perform(act, on: world) { return }
    }

    /// Does an act and writes down what came of it.
    /// - Returns: whether the thread goes on.
    @discardableResult
    func perform(_ act: Act, on world: World) -> Bool {
      let thread = Explorer.shared.runningThread
      let known = Explorer.shared.knowledge
      let begin = Explorer.shared.traceLength
      if isTold { Explorer.shared.note("\(act)", Site("", 0)) }
      // Judged by the point that is looked at, though another may be the last by the time of the look.
      switch act {
      case .reached, .heldWrite: points[thread] = points[thread] ?? lastPoint
      default: break
      }
      if let point = points[thread] { watch(act, point, world) }
      let outcome = world.perform(act)
      if isTold { Explorer.shared.note("-> \(outcome)", Site("", 0)) }
      notePledge(act, outcome, known, world)
      if case .failed(let message) = outcome { violation = message }
      if outcome == .closed, !world.hasClosed { violation = "\(act) finds the file closed, which it is not" }
      if case .refused(let cause) = outcome {
        if act.tellsOfFailures { tellings[thread] += 1 } else { refusals[thread] += 1 }
        if refusals[thread] > failures || tellings[thread] > failures || !cause.hasSuffix("Input/output error") {
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
        return true
      }
      // An act without a step is one that no other thread can know of.
      let end = Explorer.shared.knowledge[thread]
      events[thread].append(
        Event(thread: thread, act: act, outcome: outcome, known: known, end: end == known[thread] ? .max : end))
      if case .receive = act { return outcome == .done }
      return true
    }

    /// What a call that has succeeded says of what is durable.
    private func notePledge(_ act: Act, _ outcome: Outcome, _ known: SIMD8<UInt32>, _ world: World) {
      let thread = Explorer.shared.runningThread
      guard outcome == .done else { return }
      switch act {
      case .point(let file):
        points[thread] = (file, known)
        lastPoint = (file, known)
      case .sync(let file):
        pledges.append(Pledge(file, known: known, image: world.stores[file].durable, said: "sync has returned"))
      case .flush(let range, let file):
        pledges.append(
          Pledge(file, known: known, image: world.stores[file].durable, range: range, said: "flush has returned"))
      case .reached:
        guard let point = points[thread] ?? lastPoint else { return }
        pledges.append(
          Pledge(point.file, known: point.known, image: world.stores[point.file].durable, said: "the point is reached"))
      default: break
      }
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
        guard comesNext(event, of: place, done) else { continue }
        var next = files
        // What was declined, or refused by a store that fails, has changed nothing and says nothing.
        var isRefused = event.outcome == .declined || event.outcome == .closed
        if case .refused = event.outcome { isRefused = true }
        guard isRefused || next.accepts(event.outcome, of: event.act) else { continue }
        var nextDone = done
        nextDone[place] += 1
        if explain(isRefused ? files : next, nextDone, end) { return true }
      }
      return isOver && files == end
    }

    /// Whether all that happened before an event is done.
    private func comesNext(_ event: Event, of place: Int, _ done: [Int]) -> Bool {
      for (otherPlace, list) in events.enumerated() where otherPlace != place {
        for other in list[done[otherPlace]...] where event.known[other.thread] >= other.end { return false }
      }
      return true
    }

    var text: String {
      events.flatMap { $0 }.map { "thread \($0.thread): \($0.act) -> \($0.outcome)" }.joined(separator: "; ")
    }
  }
#endif
