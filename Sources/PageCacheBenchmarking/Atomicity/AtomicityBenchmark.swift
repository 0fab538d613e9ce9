import Primitives

/// Measures readers beside somebody who changes the file, and counts the reads that are of no one instant.
///
/// In a round, each arm in turn is measured three times: readers alone, changes alone, both. So what disturbs the machine disturbs all alike.
package struct AtomicityBenchmark: Sendable {
  private let plan: AtomicityPlan
  private let entries: [AtomicityEntry]

  package init(_ plan: AtomicityPlan, entries: [AtomicityEntry]) {
    self.plan = plan
    self.entries = entries
  }

  /// - Throws: what an arm throws when it is prepared.
  package func run(progress: (String) -> Void = { _ in }) throws -> AtomicityReport {
    var report = AtomicityReport(machine: Machine(), readers: plan.readers, fileBytes: plan.fileBytes)
    for entry in entries {
      progress("\(entry.name): making \(byteCountText(plan.fileBytes))")
      try prepare(entry)
    }
    for scenario in plan.scenarios {
      progress("scenario \(scenario.rawValue), \(plan.readers) readers")
      report.rows += try measure(scenario)
    }
    for entry in entries where plan.truncations > 0 {
      progress("\(entry.name): truncations")
      report.truncations.append(try TruncationLatency(plan).measure(entry))
    }
    return report
  }

  private func prepare(_ entry: AtomicityEntry) throws {
    try entry.arm.resize(to: 0)
    var writer = BlockWriter(.write, blocks: plan.blocks, seed: 0, version: 0)
    try writer.fill(entry.arm)
    try entry.settle()
    let reader = BlockReader(.write, blocks: plan.blocks, seed: 0)
    for block in 0..<plan.blocks {
      let offset = Int64(block * AtomicityScenario.blockBytes)
      let count = unsafe entry.arm.read(at: offset, into: reader.buffer)
      let isWhole =
        unsafe count == reader.buffer.count
        && StampedBlock.isWhole(.init(reader.buffer), block: block, mayBeZero: false)
      guard isWhole else { throw BenchmarkError("\(entry.name): block \(block) does not hold what was written") }
    }
  }

  // MARK: A scenario

  private enum Phase: CaseIterable { case readers, changes, both }

  /// What the threads hand over at the end of each phase.
  private final class Board: Sendable {
    private let monitor = Monitor()
    // Guarded by `monitor`.
    nonisolated(unsafe) private var sample = Sample()

    struct Sample {
      var readsPerSecond = 0.0
      var changesPerSecond = 0.0
      var reads = 0
      var torn = 0
      var refused = 0
      var failure: String?
    }

    func add(_ body: (inout Sample) -> Void) { monitor.withLock { unsafe body(&sample) } }

    func take() -> Sample {
      monitor.withLock {
        defer { unsafe sample = Sample() }
        return unsafe sample
      }
    }
  }

  private func measure(_ scenario: AtomicityScenario) throws -> [AtomicityRow] {
    var samples = entries.map { _ in Phase.allCases.map { _ in [Board.Sample]() } }
    var version: UInt64 = UInt64(scenario.number + 1) << 20
    // One round more: the first warms up.
    for round in 0...plan.rounds {
      for position in entries.indices {
        // Each round begins with another arm, so that none always follows the same one's leavings.
        let number = (round + position) % entries.count
        for (place, phase) in Phase.allCases.enumerated() {
          version += 1 << 12
          let sample = measure(scenario, phase, entries[number], round: round, version: version)
          if let failure = sample.failure { throw BenchmarkError("\(entries[number].name), \(scenario): \(failure)") }
          if round > 0 { samples[number][place].append(sample) }
        }
        try entries[number].settle()
      }
    }
    return entries.indices.map { row(scenario, entries[$0].name, samples[$0]) }
  }

  /// Runs the threads of one phase.
  private func measure(
    _ scenario: AtomicityScenario, _ phase: Phase, _ entry: AtomicityEntry, round: Int, version: UInt64
  ) -> Board.Sample {
    let board = Board()
    let readers = phase == .changes ? 0 : plan.readers
    let writers = phase == .readers ? 0 : 1
    let barrier = StartBarrier(count: readers + writers)
    let duration = UInt64(plan.millisecondsPerRound) * 1_000_000
    let plan = plan
    onThreads(readers + writers) { thread in
      if thread < readers {
        var reader = BlockReader(scenario, blocks: plan.blocks, seed: UInt64(round) << 32 | UInt64(thread))
        barrier.wait()
        let seconds = timed(duration) { reader.step(entry.arm) }
        board.add {
          $0.readsPerSecond += Double(reader.reads) / seconds
          $0.reads += reader.reads
          $0.torn += reader.torn
          $0.refused += reader.refused
        }
      } else {
        var writer = BlockWriter(scenario, blocks: plan.blocks, seed: UInt64(round) + 77, version: version)
        barrier.wait()
        var failure: String?
        let seconds = timed(duration) {
          do { try writer.step(entry.arm) } catch { failure = "\(error)" }
        }
        let changes = writer.changes
        do { try writer.finish(entry.arm) } catch { failure = "\(error)" }
        board.add {
          $0.changesPerSecond = Double(changes) / seconds
          if let failure { $0.failure = failure }
        }
      }
    }
    return board.take()
  }

  private func row(_ scenario: AtomicityScenario, _ name: String, _ samples: [[Board.Sample]]) -> AtomicityRow {
    let readersAlone = samples[0].map(\.readsPerSecond)
    let changesAlone = samples[1].map(\.changesPerSecond)
    let readersBeside = samples[2].map(\.readsPerSecond)
    let changesBeside = samples[2].map(\.changesPerSecond)
    let all = samples[0] + samples[2]
    return AtomicityRow(
      scenario: scenario, arm: name, readsAlone: Spread(readersAlone), readsBeside: Spread(readersBeside),
      readsRatio: .ofRatios(readersBeside, to: readersAlone), changesAlone: Spread(changesAlone),
      changesBeside: Spread(changesBeside), changesRatio: .ofRatios(changesBeside, to: changesAlone),
      reads: all.reduce(0) { $0 + $1.reads }, torn: all.reduce(0) { $0 + $1.torn },
      refused: all.reduce(0) { $0 + $1.refused })
  }
}

/// Does something again and again for about so many nanoseconds. Returns how long it was.
func timed(_ duration: UInt64, _ body: () -> Void) -> Double {
  let start = monotonicNanoseconds()
  var now = start
  repeat {
    body()
    now = monotonicNanoseconds()
  } while now - start < duration
  return Double(now - start) / 1e9
}

extension AtomicityScenario {
  /// A number of its own, so that no two scenarios write the same stamps.
  var number: Int { AtomicityScenario.allCases.firstIndex(of: self) ?? 0 }
}
