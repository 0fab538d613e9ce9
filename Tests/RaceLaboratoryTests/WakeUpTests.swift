import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  /// Waits that end for no reason, and signals that wake another waiter than the first.
  @Suite struct WakeUpTests {
    private func site(_ line: UInt = #line) -> Site { Site(#fileID, line) }

    private func explore(
      _ liberties: Liberties, preemptions: Int? = nil, _ make: () -> Program
    ) -> RaceReport {
      Explorer.shared.liberties = liberties
      defer { Explorer.shared.liberties = [] }
      return Explorer.shared.explore(.exhaustive(preemptions: preemptions), make)
    }

    /// Waits for a word to be set, looking again after the wait or not.
    private func waiting(looksAgain: Bool) -> Program {
      let lock = ModelMutex()
      let words = Words(1)
      var went: UInt64?
      return Program(
        threads: [
          (
            "waits",
            {
              Explorer.shared.lock(lock, self.site())
              if looksAgain {
                while words.load(0) == 0 { Explorer.shared.wait(lock, isTimed: false, self.site()) }
              } else if words.load(0) == 0 {
                Explorer.shared.wait(lock, isTimed: false, self.site())
              }
              went = words.load(0)
              Explorer.shared.unlock(lock, self.site())
            }
          ),
          (
            "signals",
            {
              Explorer.shared.lock(lock, self.site())
              words.store(0, 1)
              Explorer.shared.wake(lock, all: false, self.site())
              Explorer.shared.unlock(lock, self.site())
            }
          ),
        ],
        check: { went == 1 ? nil : "went on with \(went ?? 99)" })
    }

    @Test func aWaitThatDoesNotLookAgainIsFound() throws {
      #expect(explore([]) { waiting(looksAgain: false) }.failure == nil)
      let report = explore(.idleWakeUps) { waiting(looksAgain: false) }
      let failure = try #require(report.failure)
      #expect(failure.kind == .check && failure.message == "went on with 0")
      // Again, from its path.
      let path = try #require(Path(failure.path.description))
      Explorer.shared.liberties = .idleWakeUps
      defer { Explorer.shared.liberties = [] }
      #expect(Explorer.shared.explore(.replay(path)) { waiting(looksAgain: false) }.failure?.message == failure.message)
    }

    @Test(arguments: [nil, 0, 1, 2] as [Int?]) func aWaitThatLooksAgainIsRight(preemptions: Int?) {
      let report = explore(.idleWakeUps, preemptions: preemptions) { waiting(looksAgain: true) }
      #expect(report.isComplete && report.failure == nil, "\(report.failure?.message ?? "")")
    }

    @Test func aWakeUpForNoReasonCostsAPreemption() {
      #expect(explore(.idleWakeUps, preemptions: 0) { waiting(looksAgain: false) }.failure == nil)
      #expect(explore(.idleWakeUps, preemptions: 1) { waiting(looksAgain: false) }.failure != nil)
    }

    /// Two that wait with one lock for different things: a signal that is meant for the first of them may wake the
    /// other.
    @Test(arguments: [true, false]) func aSignalForAnotherWaiterIsFound(signalsAll: Bool) throws {
      let report = explore([], preemptions: 2) {
        let lock = ModelMutex()
        // Two things that are waited for, and how many wait.
        let words = Words(3)
        func waiter(_ number: Int) -> () -> Void {
          {
            Explorer.shared.lock(lock, self.site())
            // The second waits only where the first does.
            if words.load(2) == UInt64(number) {
              words.store(2, UInt64(number) + 1)
              while words.load(number) == 0 { Explorer.shared.wait(lock, isTimed: false, self.site()) }
            }
            Explorer.shared.unlock(lock, self.site())
          }
        }
        return Program(threads: [
          ("first", waiter(0)), ("second", waiter(1)),
          (
            "signals",
            {
              for number in 0..<2 {
                Explorer.shared.lock(lock, self.site())
                words.store(number, 1)
                Explorer.shared.wake(lock, all: signalsAll, self.site())
                Explorer.shared.unlock(lock, self.site())
              }
            }
          ),
        ])
      }
      if signalsAll {
        #expect(report.isComplete && report.failure == nil, "\(report.failure?.message ?? "")")
      } else {
        #expect(try #require(report.failure).kind == .deadlock)
      }
    }
  }
}
