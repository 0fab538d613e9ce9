import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  /// Stores that change places with what stands beside them.
  @Suite struct ReorderingTests {
    private func site(_ line: UInt = #line) -> Site { Site(#fileID, line) }

    private func find(_ liberties: Liberties, _ threads: [(Words, Notes) -> Void]) -> (Set<String>, RaceReport) {
      Explorer.shared.liberties = liberties
      defer { Explorer.shared.liberties = [] }
      var found: Set<String> = []
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let memory = Words(2)
        let notes = Notes()
        return Program(
          threads: threads.enumerated().map { number, body in ("thread \(number)", { body(memory, notes) }) },
          check: {
            found.insert(notes.text + (notes.text.isEmpty ? "" : " ") + "end \(memory.load(0)) \(memory.load(1))")
            return nil
          })
      }
      return (found, report)
    }

    /// 2+2W: each thread sees its own first store last.
    @Test(arguments: [Liberties(), .lateStores], [MemoryOrder.relaxed, .release])
    func twoStoresEach(liberties: Liberties, order: MemoryOrder) {
      let (found, report) = find(
        liberties,
        [
          { words, _ in
            words.store(0, 1)
            words.store(1, 2, order)
          },
          { words, _ in
            words.store(1, 1)
            words.store(0, 2, order)
          },
        ])
      #expect(report.isComplete && report.failure == nil, "\(report.failure?.message ?? "")")
      let isFound = liberties.contains(.lateStores) && order == .relaxed
      #expect(found.contains("end 1 1") == isFound, "\(found)")
      #expect(found.isSuperset(of: ["end 2 1", "end 1 2", "end 2 2"]))
      #expect(found.count == (isFound ? 4 : 3))
    }

    /// Load buffering: both loads return what is stored behind them. Not if what is stored depends on the load, nor if
    /// the load acquires.
    @Test(arguments: [Liberties(), .earlyStores], [MemoryOrder.relaxed, .acquire])
    func loadBuffering(liberties: Liberties, order: MemoryOrder) {
      let (found, report) = find(
        liberties,
        [
          { words, notes in
            notes["a"] = words.load(0, order)
            words.store(1, 1)
          },
          { words, notes in
            notes["b"] = words.load(1, order)
            words.store(0, 1)
          },
        ])
      #expect(report.isComplete && report.failure == nil, "\(report.failure?.message ?? "")")
      let isFound = liberties.contains(.earlyStores) && order == .relaxed
      #expect(found.contains("a1 b1 end 1 1") == isFound, "\(found)")
      #expect(found.isSuperset(of: ["a0 b0 end 1 1", "a1 b0 end 1 1", "a0 b1 end 1 1"]))
    }

    /// One thread stores what it has read. If the other does too, there is nothing but what was there before.
    @Test(arguments: [true, false]) func nothingComesOutOfThinAir(otherToo: Bool) {
      let (found, report) = find(
        .earlyStores,
        [
          { words, notes in
            notes["a"] = words.load(0)
            words.store(1, notes["a"])
          },
          { words, notes in
            notes["b"] = words.load(1)
            words.store(0, otherToo ? notes["b"] : 1)
          },
        ])
      #expect(report.isComplete && report.failure == nil, "\(report.failure?.message ?? "")")
      let right: Set = otherToo ? ["a0 b0 end 0 0"] : ["a0 b0 end 1 0", "a1 b0 end 1 1", "a1 b1 end 1 1"]
      #expect(found == right, "\(found)")
    }

    @Test func anEarlyStoreIsRunAgainFromItsPath() throws {
      func make() -> Program {
        let words = Words(2)
        let notes = Notes()
        return Program(
          threads: [
            (
              "one",
              {
                notes["a"] = words.load(0)
                words.store(1, 1)
              }
            ),
            (
              "other",
              {
                notes["b"] = words.load(1)
                words.store(0, 1)
              }
            ),
          ],
          check: { notes.text == "a1 b1" ? "both are from the future" : nil })
      }
      Explorer.shared.liberties = .earlyStores
      defer { Explorer.shared.liberties = [] }
      let failure = try #require(Explorer.shared.explore(.exhaustive(preemptions: 3), make).failure)
      #expect(Explorer.shared.explore(.exhaustive(preemptions: 0), make).failure == nil)
      let path = try #require(Path(failure.path.description))
      #expect(Explorer.shared.explore(.replay(path), make).failure?.message == failure.message)
    }

    /// A reader that says that it is inside, and then looks; and who takes the thing away, has everybody execute a
    /// fence, and looks who is inside. Without its fence for the compiler the reader may look first, and be interrupted
    /// by the barrier before it says so.
    @Test(arguments: [Liberties(), .lateStores], [true, false])
    func aCompilersFenceThatIsNotThere(liberties: Liberties, isFenced: Bool) {
      Explorer.shared.liberties = liberties
      defer { Explorer.shared.liberties = [] }
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let words = Words(2)
        var (isSeen, isFree) = (false, false)
        return Program(
          threads: [
            (
              "reader",
              {
                words.store(0, 1, .release)
                if isFenced { Explorer.shared.compilerFence(self.site()) }
                isSeen = words.load(1, .acquire) == 0
              }
            ),
            (
              "taker",
              {
                words.store(1, 1)
                Explorer.shared.barrier(self.site())
                isFree = words.load(0, .acquire) == 0
              }
            ),
          ],
          check: { isSeen && isFree ? "the reader has what was taken away" : nil })
      }
      let isFound = report.failure?.kind == .check
      #expect(isFound == (liberties.contains(.lateStores) && !isFenced), "\(report.failure?.message ?? "not found")")
      #expect(isFound || report.isComplete)
    }
  }
}
