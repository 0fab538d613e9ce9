import RaceLaboratory

struct Generator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}

/// Two or three threads of a few steps on two words and a lock.
struct RandomProgram: CustomStringConvertible {
  /// What it has besides loads, stores and read-modify-writes.
  enum Flavour: CaseIterable {
    case fences, locks, tries, waits, signals, spins, longSpins, lockSpins, barriers, all

    fileprivate var kinds: [Step.Kind] {
      switch self {
      case .fences: [.fence]
      case .locks: [.lock, .lock, .lock]
      case .tries: [.lock, .tryLock, .tryLock]
      case .waits: [.wait, .wait, .signal, .signal, .lock]
      // And one thread sleeps until another rouses it.
      case .signals: []
      case .spins: [.spin, .spin, .pass]
      case .longSpins: [.longSpin, .longSpin, .longSpin]
      case .lockSpins: [.lock, .lockSpin, .lockSpin]
      case .barriers: [.fence, .fence, .barrier]
      case .all: [.fence, .barrier, .lock, .tryLock, .wait, .signal, .spin, .longSpin, .lockSpin, .pass]
      }
    }
  }

  struct Step: CustomStringConvertible {
    enum Kind {
      case load, store, add, compareExchange, fence, barrier
      /// Up to `unlock`.
      case lock
      /// The same, and nothing if it fails.
      case tryLock
      case unlock
      /// With the lock, for a signal or a time.
      case wait
      case signal
      /// Until it is roused, in any time.
      case sleep
      /// Says so with the lock, and signals without it.
      case rouse
      /// Until the word is not zero, twice at most.
      case spin
      /// Until either word is not zero, four times at most: more often than a spinning thread may find nothing new.
      case longSpin
      /// Tries to get the lock, as often; up to `unlock`.
      case lockSpin
      case pass
    }
    var kind: Kind
    var word = 0
    var order = MemoryOrder.relaxed

    static func load(_ word: Int) -> Step { Step(kind: .load, word: word) }
    static func store(_ word: Int) -> Step { Step(kind: .store, word: word) }
    static func add(_ word: Int) -> Step { Step(kind: .add, word: word) }

    var description: String { "\(kind) \(word) \(order)" }
  }

  let threads: [[Step]]
  var description: String { threads.map { "\($0)" }.joined(separator: " beside ") }

  init(_ threads: [[Step]]) { self.threads = threads }

  static func locked(_ steps: [Step]) -> [Step] { [Step(kind: .lock)] + steps + [Step(kind: .unlock)] }

  init(_ flavour: Flavour, most: Int, _ random: inout Generator) {
    let count = Int.random(in: 2...3, using: &random)
    let words = Int.random(in: 1...2, using: &random)
    let kinds = [.load, .load, .load, .store, .store, .store, .add, .compareExchange] + flavour.kinds
    var threads = (0..<count).map { _ in
      let length = Int.random(in: 1...(count == 2 ? most : max(2, most * 2 / 3)), using: &random)
      var steps: [Step] = []
      while steps.count < length {
        let kind = kinds[Int.random(in: 0..<kinds.count, using: &random)]
        let orders: [MemoryOrder] =
          switch kind {
          case .load, .spin, .longSpin: [.relaxed, .acquire]
          case .store: [.relaxed, .release]
          default: [.relaxed, .acquire, .release, .acquireRelease]
          }
        let order = orders[Int.random(in: 0..<orders.count, using: &random)]
        steps.append(Step(kind: kind, word: Int.random(in: 0..<words, using: &random), order: order))
        guard kind == .lock || kind == .tryLock || kind == .lockSpin else { continue }
        for _ in 0..<Int.random(in: 1...2, using: &random) {
          let word = Int.random(in: 0..<words, using: &random)
          steps.append(Bool.random(using: &random) ? .load(word) : .store(word))
        }
        steps.append(Step(kind: .unlock))
      }
      return steps
    }
    if flavour == .signals {
      for (thread, kind) in [(0, Step.Kind.sleep), (1, .rouse)] {
        threads[thread].insert(Step(kind: kind), at: Int.random(in: 0...threads[thread].count, using: &random))
      }
    }
    self.threads = threads
  }

  /// All outcomes that a search finds: what was read, and what is there in the end.
  func outcomes(reduces: Bool, preemptions: Int?, most: Int = 1_500) -> (Set<String>, RaceReport) {
    Explorer.shared.reduces = reduces
    defer { Explorer.shared.reduces = true }
    var found: Set<String> = []
    let report = Explorer.shared.explore(
      .exhaustive(preemptions: preemptions), limits: Limits(executions: most)
    ) {
      // The third says that somebody is roused.
      let words = Words(3)
      let lock = ModelMutex()
      let notes = threads.map { _ in Notes() }
      return Program(
        threads: threads.enumerated().map { number, steps in
          ("\(number)", { run(number, steps, words, lock, notes[number]) })
        },
        check: {
          found.insert(notes.map(\.text).joined(separator: " | ") + " end \(words.load(0)) \(words.load(1))")
          return nil
        })
    }
    return (found, report)
  }

  private func run(_ number: Int, _ steps: [Step], _ words: Words, _ lock: ModelMutex, _ notes: Notes) {
    let site = Site("", 0)
    var isIn = true
    for (place, step) in steps.enumerated() {
      let name = "\(place):"
      let value = UInt64(number * 10 + place + 1)
      switch step.kind {
      case .load: if isIn { notes[name] = words.load(step.word, step.order) }
      case .store: if isIn { words.store(step.word, value, step.order) }
      case .add: notes[name] = words.add(step.word, 100, step.order)
      case .compareExchange: notes[name] = words.replace(step.word, 0, with: value, step.order)
      case .fence: fence(.sequential)
      case .barrier: Explorer.shared.barrier(site)
      case .lock: Explorer.shared.lock(lock, site)
      case .tryLock:
        isIn = Explorer.shared.tryLock(lock, site)
        notes[name] = isIn ? 1 : 0
      case .unlock:
        if isIn { Explorer.shared.unlock(lock, site) }
        isIn = true
      case .wait:
        Explorer.shared.lock(lock, site)
        notes[name] = words.load(step.word)
        if notes[name] == 0 { Explorer.shared.wait(lock, isTimed: true, site) }
        notes["\(name)then:"] = words.load(step.word)
        Explorer.shared.unlock(lock, site)
      case .signal: Explorer.shared.wake(lock, all: false, site)
      case .sleep:
        Explorer.shared.lock(lock, site)
        notes[name] = words.load(2)
        if notes[name] == 0 { Explorer.shared.wait(lock, isTimed: false, site) }
        Explorer.shared.unlock(lock, site)
      case .rouse:
        Explorer.shared.lock(lock, site)
        words.store(2, 1)
        Explorer.shared.unlock(lock, site)
        Explorer.shared.wake(lock, all: true, site)
      case .spin:
        var rounds: UInt64 = 0
        while rounds < 2 {
          notes["\(name)\(rounds):"] = words.load(step.word, step.order)
          if notes["\(name)\(rounds):"] != 0 { break }
          Explorer.shared.yield(site)
          rounds += 1
        }
      case .longSpin:
        for round in 0..<4 {
          notes["\(name)\(round):"] = words.load(0, step.order)
          notes["\(name)\(round)':"] = words.load(1, step.order)
          if notes["\(name)\(round):"] != 0 || notes["\(name)\(round)':"] != 0 { break }
          Explorer.shared.yield(site)
        }
      case .lockSpin:
        isIn = false
        for round in 0..<4 {
          isIn = Explorer.shared.tryLock(lock, site)
          notes["\(name)\(round):"] = isIn ? 1 : 0
          if isIn { break }
          Explorer.shared.yield(site)
        }
      case .pass: Explorer.shared.yield(site)
      }
    }
  }
}
