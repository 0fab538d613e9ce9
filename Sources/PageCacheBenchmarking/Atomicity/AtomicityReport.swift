/// A line of the result.
package struct AtomicityRow: Sendable, Codable, Equatable {
  package var scenario: AtomicityScenario
  package var arm: String
  /// Of all readers together, a second.
  package var readsAlone: Spread
  package var readsBeside: Spread
  /// Beside changes, by alone, in rounds of the same number.
  package var readsRatio: Interval
  /// Changes a second.
  package var changesAlone: Spread
  package var changesBeside: Spread
  package var changesRatio: Interval
  /// All reads, alone and beside changes. Every one was looked at.
  package var reads: Int
  /// Those that were of no one instant.
  package var torn: Int
  package var refused: Int

  enum CodingKeys: String, CodingKey {
    case scenario, arm, reads, torn, refused
    case readsAlone = "reads_per_s_alone"
    case readsBeside = "reads_per_s_beside"
    case readsRatio = "reads_beside_to_alone"
    case changesAlone = "changes_per_s_alone"
    case changesBeside = "changes_per_s_beside"
    case changesRatio = "changes_beside_to_alone"
  }
}

/// How long truncations took beside a reader.
package struct AtomicityTruncation: Sendable, Codable, Equatable {
  package var arm: String
  package var samples: Int
  package var median: Double
  package var p99: Double
  package var max: Double

  enum CodingKeys: String, CodingKey {
    case arm, samples
    case median = "median_us"
    case p99 = "p99_us"
    case max = "max_us"
  }
}

/// What `bench atomicity --json` writes.
package struct AtomicityReport: Sendable, Codable, Equatable {
  package var benchmark = "atomicity"
  package var machine: Machine
  package var readers: Int
  package var fileBytes: Int
  package var rows: [AtomicityRow] = []
  package var truncations: [AtomicityTruncation] = []
  /// Arms that were not measured, and why.
  package var skipped: [String] = []

  enum CodingKeys: String, CodingKey {
    case benchmark, machine, readers, rows, truncations, skipped
    case fileBytes = "file_bytes"
  }

  package init(machine: Machine, readers: Int, fileBytes: Int) {
    self.machine = machine
    self.readers = readers
    self.fileBytes = fileBytes
  }
}

extension AtomicityReport {
  private static let nameWidth = 24

  /// The figures as lines of text.
  package var lines: [String] {
    var lines = [
      machine.summary,
      "\(readers) reader\(readers == 1 ? "" : "s") of 16 KiB blocks of a file of \(byteCountText(fileBytes)); one thread that changes it",
    ]
    for scenario in AtomicityScenario.allCases {
      let rows = rows.filter { $0.scenario == scenario }
      guard !rows.isEmpty else { continue }
      lines += ["", "\(scenario.rawValue): \(scenario.title)", Self.header]
      lines += rows.map(Self.line)
    }
    if !truncations.isEmpty {
      lines += [
        "", "cutting off the last MiB beside a reader of 1 MiB, µs",
        leading("  arm", to: Self.nameWidth) + ["samples", "p50", "p99", "max"].map { padded($0, to: 11) }.joined(),
      ]
      lines += truncations.map {
        leading("  " + $0.arm, to: Self.nameWidth) + padded(String($0.samples), to: 11)
          + [$0.median, $0.p99, $0.max].map { padded(fixed($0, 1), to: 11) }.joined()
      }
    }
    for line in skipped { lines.append("skipped: \(line)") }
    return lines
  }

  private static var header: String {
    leading("  arm", to: nameWidth) + padded("reads/s alone", to: 15) + padded("beside", to: 12)
      + padded("beside ÷ alone", to: 22) + padded("changes/s alone", to: 17) + padded("beside", to: 12)
      + padded("torn", to: 10) + padded("of reads", to: 12)
  }

  private static func line(_ row: AtomicityRow) -> String {
    let ratio = row.readsRatio
    let refused = row.refused == 0 ? "" : "  (\(row.refused) refused)"
    return leading("  " + row.arm, to: nameWidth) + padded(fixed(row.readsAlone.median, 0), to: 15)
      + padded(fixed(row.readsBeside.median, 0), to: 12)
      + padded("\(fixed(ratio.median, 2)) (\(fixed(ratio.low, 2))-\(fixed(ratio.high, 2)))", to: 22)
      + padded(fixed(row.changesAlone.median, 0), to: 17) + padded(fixed(row.changesBeside.median, 0), to: 12)
      + padded(String(row.torn), to: 10) + padded(String(row.reads), to: 12) + refused
  }
}

extension AtomicityScenario {
  package var title: String {
    switch self {
    case .write: "blocks at random are written"
    case .hot: "one block is read and written"
    case .punch: "of one MiB, blocks at random are punched out and filled again"
    case .truncate: "the last quarter is cut off, put back empty, and filled"
    }
  }
}
