import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  /// Leaving out orders that make no difference leaves out no outcome.
  @Suite struct ReductionTests {
    private struct Step {
      enum Kind: CaseIterable {
        case load, store, add, fence, barrier, locked, tried
      }
      var kind: Kind
      var word: Int
      var order: MemoryOrder
    }

    private struct Random: RandomNumberGenerator {
      var state: UInt64
      mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
      }
    }

    private func program(_ random: inout Random) -> [[Step]] {
      let threads = Int.random(in: 2...3, using: &random)
      return (0..<threads).map { _ in
        (0..<Int.random(in: 1...(threads == 2 ? 4 : 2), using: &random)).map { _ in
          let kinds: [Step.Kind] = [
            .load, .load, .load, .store, .store, .store, .add, .fence, .barrier, .locked, .tried,
          ]
          let kind = kinds.randomElement(using: &random)!
          let orders: [MemoryOrder] =
            switch kind {
            case .load: [.relaxed, .acquire, .sequential]
            case .store: [.relaxed, .release, .sequential]
            default: [.relaxed, .acquire, .release, .acquireRelease, .sequential]
            }
          return Step(
            kind: kind, word: Int.random(in: 0...1, using: &random), order: orders.randomElement(using: &random)!)
        }
      }
    }

    private func run(_ program: [[Step]], reduces: Bool, preemptions: Int?) -> (Set<String>, RaceReport) {
      Explorer.shared.reduces = reduces
      defer { Explorer.shared.reduces = true }
      var found: Set<String> = []
      let report = Explorer.shared.explore(.exhaustive(preemptions: preemptions), limits: Limits(executions: 5_000)) {
        let words = Words(2)
        let lock = ModelMutex()
        let notes = Notes()
        let site = Site("", 0)
        return Program(
          threads: program.enumerated().map { number, steps in
            (
              "\(number)",
              {
                for (place, step) in steps.enumerated() {
                  let name = "\(number).\(place):"
                  switch step.kind {
                  case .load: notes[name] = words.load(step.word, step.order)
                  case .store: words.store(step.word, UInt64(number * 10 + place + 1), step.order)
                  case .add: notes[name] = words.add(step.word, 100, step.order)
                  case .fence: fence(.sequential)
                  case .barrier: Explorer.shared.barrier(site)
                  case .locked:
                    Explorer.shared.lock(lock, site)
                    notes[name] = words.load(step.word)
                    words.store(step.word, UInt64(number * 10 + place + 1))
                    Explorer.shared.unlock(lock, site)
                  case .tried:
                    let isMine = Explorer.shared.tryLock(lock, site)
                    notes[name] = isMine ? 1 : 0
                    if isMine {
                      words.store(step.word, 77)
                      Explorer.shared.unlock(lock, site)
                    }
                  }
                }
              }
            )
          },
          check: {
            found.insert(notes.text + " end \(words.load(0)) \(words.load(1))")
            return nil
          })
      }
      return (found, report)
    }

    @Test func nothingIsLeftOut() {
      var random = Random(state: 7)
      var compared = 0
      var (all, few) = (0, 0)
      for number in 0..<250 {
        let program = program(&random)
        let (everything, full) = run(program, reduces: false, preemptions: nil)
        guard full.isComplete else { continue }
        let (found, report) = run(program, reduces: true, preemptions: nil)
        #expect(report.isComplete && report.failure == nil && full.failure == nil)
        #expect(found == everything, "program \(number): \(program)")
        compared += 1
        all += full.executions
        few += report.executions
        if found != everything { break }
      }
      #expect(compared > 150)
      #expect(few * 5 < all, "\(few) of \(all)")
    }

    @Test func norWithABound() {
      var random = Random(state: 8)
      for number in 0..<150 {
        let program = program(&random)
        let (everything, full) = run(program, reduces: false, preemptions: 2)
        guard full.isComplete else { continue }
        let (found, report) = run(program, reduces: true, preemptions: 2)
        #expect(report.isComplete && report.failure == nil)
        #expect(found == everything, "program \(number): \(program)")
        if found != everything { break }
      }
    }
  }
}
