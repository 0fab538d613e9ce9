/// A line of the result.
package struct WriteRow: Sendable, Codable, Equatable {
  package var placement: WritePlacement
  package var blockBytes: Int
  /// Nil where nothing was synced while it was measured.
  package var writesPerSync: Int?
  package var arm: String
  package var nanosecondsPerWrite: Spread
  package var mebibytesPerSecond: Spread
  /// Of nanoseconds, in rounds of the same number. Absent if `pwrite` was not measured.
  package var ratioToPwrite: Interval?

  enum CodingKeys: String, CodingKey {
    case placement, arm
    case blockBytes = "block_bytes"
    case writesPerSync = "writes_per_sync"
    case nanosecondsPerWrite = "ns_per_write"
    case mebibytesPerSecond = "mib_per_s"
    case ratioToPwrite = "ratio_to_pwrite"
  }

  // Written out, so that a period that is not there is a null.
  package func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(placement, forKey: .placement)
    try values.encode(blockBytes, forKey: .blockBytes)
    try values.encode(writesPerSync, forKey: .writesPerSync)
    try values.encode(arm, forKey: .arm)
    try values.encode(nanosecondsPerWrite, forKey: .nanosecondsPerWrite)
    try values.encode(mebibytesPerSecond, forKey: .mebibytesPerSecond)
    try values.encodeIfPresent(ratioToPwrite, forKey: .ratioToPwrite)
  }
}

/// What `bench writes --json` writes.
package struct WriteReport: Sendable, Codable, Equatable {
  package var benchmark = "writes"
  package var machine: Machine
  package var fileBytes: Int
  package var rows: [WriteRow] = []

  enum CodingKeys: String, CodingKey {
    case benchmark, machine, rows
    case fileBytes = "file_bytes"
  }

  package init(machine: Machine, fileBytes: Int) {
    self.machine = machine
    self.fileBytes = fileBytes
  }
}

extension WriteReport {
  private static let nameWidth = 26

  /// The figures as lines of text.
  package var lines: [String] {
    var lines = [
      machine.summary,
      "One thread writes a file of \(byteCountText(fileBytes)); medians of the rounds. Relative: ns of the arm by ns of pwrite in the same",
      "round, with the 95 % interval of the median; less is faster.",
    ]
    for placement in WritePlacement.allCases {
      let rows = rows.filter { $0.placement == placement && $0.writesPerSync == nil }
      let place = placement == .hot ? "of its first MiB" : "of all of it"
      lines += section("random blocks \(place), no sync", rows) { byteCountText($0.blockBytes) }
    }
    lines += section(
      "random blocks of 4 KiB, a sync after every so many (pwrite: fdatasync)", rows.filter { $0.writesPerSync != nil }
    ) {
      "\($0.writesPerSync ?? 0) writes"
    }
    return lines
  }

  private func section(_ title: String, _ rows: [WriteRow], _ label: (WriteRow) -> String) -> [String] {
    guard !rows.isEmpty else { return [] }
    var lines = [
      "", title,
      leading("  arm", to: Self.nameWidth) + padded("", to: 12) + padded("ns a write", to: 14) + padded("MiB/s", to: 11)
        + padded("relative to pwrite", to: 24),
    ]
    var names: [String] = []
    for row in rows where !names.contains(row.arm) { names.append(row.arm) }
    for name in names {
      var shown = "  " + name
      for row in rows where row.arm == name {
        let ratio = row.ratioToPwrite.map {
          "\(significant($0.median)) (\(significant($0.low))-\(significant($0.high)))"
        }
        lines.append(
          leading(shown, to: Self.nameWidth) + padded(label(row), to: 12)
            + padded(fixed(row.nanosecondsPerWrite.median, 0), to: 14)
            + padded(fixed(row.mebibytesPerSecond.median, 1), to: 11) + padded(ratio ?? "-", to: 24))
        shown = ""
      }
    }
    return lines
  }
}
