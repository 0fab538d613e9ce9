import RaceLaboratory
import Testing

extension RaceLaboratoryTests {
  /// Small wrong protocols, each wrong for one reason that a coarser model does not see.
  @Suite struct GapTests {
    private func site(_ line: UInt = #line) -> Site { Site(#fileID, line) }

    /// The reader looks, waits for the writer's word, gives up waiting or not, and looks again. Nothing orders its
    /// second look.
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

    /// Two threads store to one word; the second then finds that the barrier's caller has not stored yet. So it has not
    /// had its fence; and the first has had none either, so the caller must see what it did, if a barrier reaches both
    /// at one time.
    @Test(arguments: [Liberties(), .staggeredBarriers], [nil, 3] as [Int?])
    func aBarrierThatReachesThreadsAtTwoInstantsIsFound(liberties: Liberties, preemptions: Int?) {
      Explorer.shared.liberties = liberties
      defer { Explorer.shared.liberties = [] }
      let report = Explorer.shared.explore(.exhaustive(preemptions: preemptions)) {
        let words = Words(3)
        let notes = Notes()
        return Program(
          threads: [
            (
              "caller",
              {
                words.store(0, 1)
                Explorer.shared.barrier(self.site())
                notes["first"] = words.load(1)
              }
            ),
            (
              "first",
              {
                words.store(1, 1)
                words.store(2, 1)
              }
            ),
            (
              "second",
              {
                words.store(2, 2)
                notes["caller"] = words.load(0)
              }
            ),
          ],
          check: {
            notes["first"] == 0 && notes["caller"] == 0 && words.load(2) == 2 ? "the caller has missed the first" : nil
          })
      }
      let isFound = report.failure?.kind == .check
      #expect(isFound == liberties.contains(.staggeredBarriers), "\(report.failure?.message ?? "not found")")
      #expect(isFound || report.isComplete)
    }

    /// What two barriers guarantee they do wherever they reach the threads.
    @Test func storeBufferingWithAStaggeredBarrier() {
      Explorer.shared.liberties = .staggeredBarriers
      defer { Explorer.shared.liberties = [] }
      let other: (Words, Notes) -> Void = { words, _ in words.store(2, words.load(2) + 1) }
      let (found, report) = outcomes(
        words: 3,
        [
          { words, notes in
            words.store(0, 1)
            notes["a"] = words.load(1)
          },
          { words, notes in
            words.store(1, 1)
            Explorer.shared.barrier(Site(#fileID, #line))
            notes["b"] = words.load(0)
          }, other,
        ])
      #expect(found == ["a0 b1", "a1 b0", "a1 b1"])
      #expect(report.isComplete && report.failure == nil)
    }

    /// A word that is copied without a look at whether it has changed meanwhile, and with one.
    @Test(arguments: [Liberties(), .tornWords], [true, false])
    func aTornWordIsFound(liberties: Liberties, looksAgain: Bool) throws {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
      defer { unsafe memory.deallocate() }
      let start = try unsafe #require(memory.baseAddress)
      Explorer.shared.liberties = liberties
      defer { Explorer.shared.liberties = [] }
      let report = Explorer.shared.explore(.exhaustive(preemptions: nil)) {
        unsafe start.storeBytes(of: 0, as: UInt64.self)
        unsafe Explorer.shared.share(start, count: 8)
        let version = Words(1)
        var copy: UInt64 = 0
        return Program(
          threads: [
            (
              "writer",
              {
                version.store(0, 1)
                fence(.release)
                let value = UInt64.max
                unsafe withUnsafeBytes(of: value) {
                  unsafe Explorer.shared.copy(
                    to: start, from: $0.baseAddress.unsafelyUnwrapped, count: 8, self.site())
                }
                version.store(0, 2, .release)
              }
            ),
            (
              "reader",
              {
                let before = version.load(0, .acquire)
                var value: UInt64 = 0
                unsafe withUnsafeMutableBytes(of: &value) {
                  unsafe Explorer.shared.copy(
                    to: $0.baseAddress.unsafelyUnwrapped, from: start, count: 8, self.site())
                }
                fence(.acquire)
                if !looksAgain || before & 1 == 0 && version.load(0) == before { copy = value }
              }
            ),
          ],
          check: { copy == 0 || copy == .max ? nil : "half a word: \(String(copy, radix: 16))" })
      }
      let isFound = report.failure?.kind == .check
      #expect(isFound == (liberties.contains(.tornWords) && !looksAgain), "\(report.failure?.message ?? "not found")")
      #expect(isFound || report.isComplete)
    }
  }
}
