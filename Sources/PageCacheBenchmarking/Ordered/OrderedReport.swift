import PageCache

/// A line of the result: an arm, over all of its rounds.
package struct OrderedRow: Sendable, Codable, Equatable {
  /// Durability of the log.
  package var log: String
  package var isOrdered: Bool
  package var syncs: Int
  /// Nanoseconds of a sync.
  package var p50: Double
  package var p99: Double
  package var longest: Double
  /// By those of the same load without order. Of ordered rows only.
  package var ratio50: Double?
  package var ratio99: Double?
  /// Flushes that a sync has made.
  package var indexFlushes: FlushCount
  package var logFlushes: FlushCount
  /// Flushes of both files by all threads, while a sync ran.
  package var allFlushes: FlushCount
  package var writesPerSecond: Spread

  package struct FlushCount: Sendable, Codable, Equatable {
    package var max: Int
    package var mean: Double

    init(_ counts: [Int]) {
      max = counts.max() ?? 0
      mean = Double(counts.reduce(0, +)) / Double(Swift.max(1, counts.count))
    }
  }

  enum CodingKeys: String, CodingKey {
    case log, syncs
    case isOrdered = "ordered"
    case p50 = "p50_ns"
    case p99 = "p99_ns"
    case longest = "longest_ns"
    case ratio50 = "p50_ratio_to_unordered"
    case ratio99 = "p99_ratio_to_unordered"
    case indexFlushes = "index_flushes_per_sync"
    case logFlushes = "log_flushes_per_sync"
    case allFlushes = "all_flushes_beside_sync"
    case writesPerSecond = "writes_per_s"
  }

  init(_ arm: OrderedArm, _ rounds: [OrderedRound]) {
    log = arm.durability.rawValue
    isOrdered = arm.isOrdered
    let all = rounds.flatMap(\.syncs)
    let times = all.map { Double($0.nanoseconds) }.sorted()
    syncs = times.count
    p50 = percentile(0.5, ofSorted: times)
    p99 = percentile(0.99, ofSorted: times)
    longest = times[times.count - 1]
    indexFlushes = FlushCount(all.map(\.indexFlushes))
    logFlushes = FlushCount(all.map(\.logFlushes))
    allFlushes = FlushCount(all.map(\.allFlushes))
    writesPerSecond = Spread(rounds.map { Double($0.writes) / Double($0.nanoseconds) * 1e9 })
  }
}

/// What `bench ordered --json` writes.
package struct OrderedReport: Sendable, Codable, Equatable {
  package var benchmark = "ordered"
  package var machine: Machine
  package var rows: [OrderedRow]

  package init(machine: Machine, rows: [OrderedRow]) {
    self.machine = machine
    self.rows = rows
  }

  /// The figures as lines of text.
  package var lines: [String] {
    var lines = [
      machine.summary,
      "Syncs of an index beside four writers and their log. Flushes of a sync, and by all threads beside it: most, mean.",
      "",
      leading("  log", to: 15) + leading("entries", to: 11) + padded("syncs", to: 7) + padded("p50 µs", to: 9)
        + padded("p99 µs", to: 9) + padded("max µs", to: 9) + padded("p50, p99 to unordered", to: 24)
        + padded("index flushes", to: 15) + padded("log flushes", to: 15) + padded("beside", to: 10)
        + padded("writes/s", to: 27),
    ]
    for row in rows {
      func flushes(_ count: OrderedRow.FlushCount) -> String { "\(count.max), \(fixed(count.mean, 2))" }
      let ratio =
        if let ratio50 = row.ratio50, let ratio99 = row.ratio99 {
          "\(significant(ratio50)), \(significant(ratio99))"
        } else { "-" }
      let writes = row.writesPerSecond
      lines.append(
        leading("  " + row.log, to: 15) + leading(row.isOrdered ? "ordered" : "unordered", to: 11)
          + padded("\(row.syncs)", to: 7) + padded(fixed(row.p50 / 1000, 0), to: 9)
          + padded(fixed(row.p99 / 1000, 0), to: 9) + padded(fixed(row.longest / 1000, 0), to: 9)
          + padded(ratio, to: 24) + padded(flushes(row.indexFlushes), to: 15) + padded(flushes(row.logFlushes), to: 15)
          + padded(flushes(row.allFlushes), to: 10)
          + padded("\(fixed(writes.median, 0)) (\(fixed(writes.min, 0))-\(fixed(writes.max, 0)))", to: 27))
    }
    return lines
  }
}
