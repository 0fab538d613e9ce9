import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  /// Leaving out orders that make no difference leaves out no outcome: random programs, with everything tried and with the reduction.
  @Suite struct ReductionTests {
    struct Comparison {
      var compared = 0
      var everything = 0
      var reduced = 0
    }

    /// Compares what is found; only programs of which everything can be tried.
    private func compare(
      _ flavour: RandomProgram.Flavour, programs: Int, most: Int, bounds: [Int?], seed: UInt64
    ) -> Comparison {
      var random = Generator(state: seed)
      var result = Comparison()
      for number in 0..<programs {
        let program = RandomProgram(flavour, most: most, &random)
        for bound in bounds {
          let (everything, full) = program.outcomes(reduces: false, preemptions: bound)
          #expect(full.failure == nil)
          guard full.isComplete else { continue }
          let (found, report) = program.outcomes(reduces: true, preemptions: bound)
          #expect(report.isComplete && report.failure == nil)
          #expect(
            found == everything,
            "program \(number) of seed \(seed), bound \(bound.map { "\($0)" } ?? "none"): \(program) never came to \(everything.subtracting(found))"
          )
          result.compared += 1
          result.everything += full.executions
          result.reduced += report.executions
          if found != everything { return result }
        }
      }
      return result
    }

    @Test(arguments: RandomProgram.Flavour.allCases) func nothingIsLeftOut(_ flavour: RandomProgram.Flavour) {
      // A sleeper and whoever rouses it are several steps each: with shorter programs, everything can be tried of as many.
      let result = compare(flavour, programs: 24, most: flavour == .signals ? 2 : 4, bounds: [nil], seed: 7)
      #expect(result.compared > 10)
      #expect(result.reduced * 5 < result.everything, "\(result)")
    }

    @Test(arguments: RandomProgram.Flavour.allCases) func norWithABound(_ flavour: RandomProgram.Flavour) {
      let result = compare(flavour, programs: 10, most: 6, bounds: [0, 1, 2, 3], seed: 8)
      #expect(result.compared > 16)
      #expect(result.reduced < result.everything, "\(result)")
    }

    /// The same where the model may do more.
    @Test(arguments: [
      (RandomProgram.Flavour.barriers, Liberties.staggeredBarriers), (.waits, .idleWakeUps), (.fences, .lateStores),
      (.fences, .earlyStores),
    ])
    func norWithLiberties(_ flavour: RandomProgram.Flavour, _ liberties: Liberties) {
      Explorer.shared.liberties = liberties
      defer { Explorer.shared.liberties = [] }
      let result = compare(flavour, programs: 10, most: 3, bounds: [nil, 2], seed: 9)
      #expect(result.compared > 5)
      #expect(result.reduced < result.everything, "\(result)")
    }

    /// Two locks in a row under a bound: the step that is due must be tried before the first of them too, not only before the last.
    @Test func aStepIsTriedBeforeAllThatCameSinceItWasDue() {
      let locked = RandomProgram.locked
      let program = RandomProgram([
        [.store(0)] + locked([.load(0), .store(0)]) + locked([.load(0), .store(0)]) + [.store(0)],
        [.add(1), .add(0)] + locked([.load(0), .store(0)]),
      ])
      let (everything, _) = program.outcomes(reduces: false, preemptions: 1)
      #expect(program.outcomes(reduces: true, preemptions: 1).0 == everything)
    }
  }
}
