/// What `bench scan` has measured.
package struct ScanReport: Sendable, Codable, Equatable {
  package struct Row: Sendable, Codable, Equatable {
    package var arm: ScanArm
    /// One for each round.
    package var mebibytesPerSecond: [Double] = []
    /// Of the cache: bytes that it had from the store, and bytes that it was asked for.
    package var filledBytes = 0
    package var askedBytes = 0

    enum CodingKeys: String, CodingKey {
      case arm
      case mebibytesPerSecond = "mib_per_s"
      case filledBytes = "filled_bytes"
      case askedBytes = "asked_bytes"
    }
  }

  package struct Section: Sendable, Codable, Equatable {
    package var shape: ScanShape
    package var rows: [Row]

    /// Ratios of the cache's rate to another arm's in the same round.
    package func ratios(to arm: ScanArm) -> [Double] {
      guard let cache = rows.first(where: { $0.arm == .cache }), let other = rows.first(where: { $0.arm == arm }) else {
        return []
      }
      return zip(cache.mebibytesPerSecond, other.mebibytesPerSecond).map { $0 / $1 }
    }
  }

  package var benchmark = "scan"
  package var machine: Machine
  package var fileBytes: Int
  package var limitBytes: Int
  package var largestOrder: Int
  package var engine: String
  /// How the cache read its file.
  package var readMode = ""
  package var sections: [Section] = []

  enum CodingKeys: String, CodingKey {
    case benchmark, machine, engine, sections
    case fileBytes = "file_bytes"
    case limitBytes = "limit_bytes"
    case largestOrder = "largest_order"
    case readMode = "read_mode"
  }

  package init(machine: Machine, plan: ScanPlan, engine: String?) {
    self.machine = machine
    fileBytes = plan.fileBytes
    limitBytes = plan.limit
    largestOrder = plan.largestOrder
    self.engine = engine ?? "none"
  }

  package var lines: [String] {
    var lines = [
      machine.summary,
      "One thread reads a file of \(byteCountText(fileBytes)) of which nothing is cached; a cache of \(byteCountText(limitBytes)), folios of order 0 to "
        + "\(largestOrder), \(readMode).",
      "Rates and ratios: median, least and largest of the rounds; ratios are of rates in the same round, more is faster.",
    ]
    for section in sections {
      let depth = section.shape.depth
      lines += ["", "\(section.shape.name) (fio: \(engine), depth \(depth); fio-one: psync)"]
      lines.append(leading("  arm", to: 12) + padded("MiB/s", to: 24) + padded("cache ÷ arm", to: 24))
      for row in section.rows where !row.mebibytesPerSecond.isEmpty {
        let ratios = row.arm == .cache ? [] : section.ratios(to: row.arm)
        lines.append(
          leading("  " + row.arm.rawValue, to: 12) + padded(Self.text(row.mebibytesPerSecond, 0), to: 24)
            + padded(ratios.isEmpty ? "-" : Self.text(ratios, 3), to: 24))
        if !ratios.isEmpty {
          lines.append("    by round: " + ratios.map { fixed($0, 3) }.joined(separator: " "))
        }
      }
      if let cache = section.rows.first(where: { $0.arm == .cache }), cache.askedBytes > 0 {
        lines.append(
          "  filled from the store ÷ asked for, in whole frames: "
            + fixed(Double(cache.filledBytes) / Double(cache.askedBytes), 4))
      }
    }
    return lines
  }

  private static func text(_ values: [Double], _ decimals: Int) -> String {
    let spread = Spread(values)
    return "\(fixed(spread.median, decimals)) (\(fixed(spread.min, decimals))-\(fixed(spread.max, decimals)))"
  }
}
