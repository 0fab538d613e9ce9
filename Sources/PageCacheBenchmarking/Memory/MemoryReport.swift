/// What `bench memory` has measured.
package struct MemoryReport: Sendable, Codable, Equatable {
  package struct Row: Sendable, Codable, Equatable {
    package var arm: MemoryArmKind
    package var baselineBytes: Int
    /// One for each round.
    package var runs: [MemoryRun]

    enum CodingKeys: String, CodingKey {
      case arm, runs
      case baselineBytes = "baseline_bytes"
    }

    var rates: [Double] { runs.map(\.readsPerSecond) }
    /// Bytes beyond what the process had before it read.
    var grownBytes: Int { (runs.map(\.memoryBytes).max() ?? 0) - baselineBytes }
  }

  package struct Section: Sendable, Codable, Equatable {
    package var distribution: AccessDistribution
    package var rows: [Row]

    /// Ratios of the cache's rate to another arm's in the same round.
    package func ratio(to arm: MemoryArmKind) -> Spread? {
      guard let cache = rows.first(where: { $0.arm == .cache }), let other = rows.first(where: { $0.arm == arm }),
        !cache.runs.isEmpty
      else { return nil }
      return Spread(zip(cache.rates, other.rates).map { $0 / $1 })
    }
  }

  package var benchmark = "memory"
  package var machine: Machine
  package var limitBytes: Int
  package var fileBytes: Int
  package var threads: Int
  package var seconds: Double
  package var sections: [Section] = []
  /// Lines on arms that were left out.
  package var skipped: [String] = []

  enum CodingKeys: String, CodingKey {
    case benchmark, machine, threads, seconds, sections, skipped
    case limitBytes = "limit_bytes"
    case fileBytes = "file_bytes"
  }

  package init(machine: Machine, plan: MemoryPlan) {
    self.machine = machine
    limitBytes = plan.limit
    fileBytes = plan.fileBytes
    threads = plan.threads
    seconds = plan.seconds
  }

  package var lines: [String] {
    var lines = [
      machine.summary,
      "\(threads) threads read pages of 4 KiB at random of \(byteCountText(fileBytes)), of which each arm may keep \(byteCountText(limitBytes)).",
      "Rates and ratios: median, least and largest of the rounds; ratios are of rates in the same round, more is faster.",
      "CPU is processor time of all threads, the kernel's for them included: waits are not in it.",
    ]
    for section in sections {
      lines += ["", "\(section.distribution.rawValue)"]
      lines.append(
        leading("  arm", to: 14) + padded("reads/s", to: 28) + padded("missed", to: 9) + padded("device B/read", to: 15)
          + padded("CPU, µs/read", to: 22) + padded("memory, MiB", to: 13) + padded("cache ÷ arm", to: 22))
      for row in section.rows where !row.runs.isEmpty {
        let reads = max(1, row.runs.reduce(0) { $0 + $1.reads })
        let missed = Spread(row.runs.map(\.missRatio)).median
        let device = Double(row.runs.reduce(0) { $0 + $1.deviceBytes }) / Double(reads)
        let ratio = row.arm == .cache ? nil : section.ratio(to: row.arm)
        lines.append(
          leading("  " + row.arm.rawValue, to: 14) + padded(Self.text(Spread(row.rates), 0), to: 28)
            + padded(fixed(missed, 4), to: 9) + padded(fixed(device, 0), to: 15)
            + padded(Self.text(Spread(row.runs.map { $0.processorNanosecondsPerRead / 1000 }), 2), to: 22)
            + padded(fixed(Double(row.grownBytes) / 0x1p20, 1), to: 13)
            + padded(ratio.map { Self.text($0, 3) } ?? "-", to: 22))
      }
      for row in section.rows {
        lines.append(
          "  \(row.arm.rawValue) by round: " + row.rates.map { fixed($0, 0) }.joined(separator: " "))
      }
    }
    return lines + (skipped.isEmpty ? [] : [""] + skipped)
  }

  private static func text(_ spread: Spread, _ decimals: Int) -> String {
    "\(fixed(spread.median, decimals)) (\(fixed(spread.min, decimals))-\(fixed(spread.max, decimals)))"
  }
}
