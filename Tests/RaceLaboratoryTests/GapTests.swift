import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  /// Small wrong protocols, each wrong for one reason that a coarser model does not see.
  @Suite struct GapTests {
    private func site(_ line: UInt = #line) -> Site { Site(#fileID, line) }

    /// The reader looks, waits for the writer's word, gives up waiting or not, and looks again. Nothing orders its second look.
    @Test(arguments: [MemoryOrder.relaxed, .acquire]) func aStaleValueAfterASpinIsFound(order: MemoryOrder) {
      var found: Set<String> = []
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        let words = Words(2)
        let notes = Notes()
        return Program(
          threads: [
            (
              "writer",
              {
                words.store(0, 1)
                words.store(1, 1, .release)
              }
            ),
            (
              "reader",
              {
                notes["first"] = words.load(0)
                for tries in 0..<4 {
                  notes["tries"] = UInt64(tries)
                  notes["flag"] = words.load(1, order)
                  if notes["flag"] == 1 { break }
                  Explorer.shared.yield(self.site())
                }
                notes["second"] = words.load(0)
              }
            ),
          ],
          check: {
            // Only what has spun: else it is the message without an acquire.
            if notes["flag"] == 1, notes["tries"] > 0 { found.insert("\(notes["first"])\(notes["second"])") }
            return nil
          })
      }
      #expect(report.isComplete && report.failure == nil)
      #expect(found.contains("00") == (order == .relaxed), "\(found)")
      #expect(found.isSuperset(of: ["01", "11"]))
    }
  }
}
