import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  /// Each execution begins with what the first one had.
  @Suite struct StartTests {
    /// The mark of a thread that is there.
    private final class Registry {
      var mark: Words?
    }

    /// A reader marks itself as there, and is known by its mark. Its first mark it makes known too late, behind what it
    /// reads.
    private func program(_ registry: Registry) -> Program {
      let words = Words(2)
      var (isSeen, isFree) = (false, false)
      return Program(
        threads: [
          (
            "reader",
            {
              let mark = registry.mark ?? Words(1)
              mark.store(0, 1)
              fence(.sequential)
              isSeen = words.load(0) == 0
              if registry.mark == nil {
                words.store(1, 1)
                registry.mark = mark
              }
            }
          ),
          (
            "taker",
            {
              words.store(0, 1)
              fence(.sequential)
              _ = words.load(1)
              isFree = registry.mark.map { $0.load(0) == 0 } ?? true
            }
          ),
        ],
        check: { isSeen && isFree ? "the reader has what was taken away" : nil })
    }

    /// The registry outlives the execution: all but the first one find a mark there, with which nothing is wrong.
    @Test func whatOutlivesAnExecutionIsFound() throws {
      let registry = Registry()
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) { self.program(registry) }
      let failure = try #require(report.failure)
      #expect(failure.kind == .laboratory && failure.message.contains("outlives"), "\(failure.message)")
      // Where it is there from the start, the search sees nothing.
      let later = Explorer.shared.explore(.exhaustive(preemptions: nil)) { self.program(registry) }
      #expect(later.isComplete && later.failure == nil, "\(later.failure?.message ?? "")")
    }

    /// Each execution has a registry of its own, with no mark in it.
    @Test func whatIsWrongWithTheFirstMarkIsFound() throws {
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) { self.program(Registry()) }
      #expect(try #require(report.failure).kind == .check)
    }
  }
}
