/// What one arm did in one cell.
package struct ReadMeasurement: Sendable {
  package let fileBytes: Int
  package let blockBytes: Int
  package let threads: Int
  package let placement: Placement
  package let arm: ReadArmKind
  /// Nil for arms without a cache of ours.
  package let folioOrder: Int?
  /// Nanoseconds that a read took a thread, by round: `threads` × time / reads.
  package let nanoseconds: [Double]

  /// Part of the processor time that its threads could have had, and did have, by round. Less than one: the machine was shared.
  package let processorShares: [Double]

  /// MiB/s of all threads together, by round.
  package var throughput: [Double] {
    nanoseconds.map { Double(blockBytes) * Double(threads) / $0 * 1e9 / 0x1p20 }
  }
}

/// A line of the result.
package struct ReadRow: Sendable, Codable, Equatable {
  package var fileBytes: Int
  package var blockBytes: Int
  package var threads: Int
  package var placement: Placement
  package var arm: String
  package var folioOrder: Int?
  package var nanosecondsPerRead: Spread
  package var mebibytesPerSecond: Spread
  /// Of nanoseconds, in rounds of the same number. Absent if `pread` was not measured.
  package var ratioToPread: Interval?
  package var ratioToMmap: Interval?

  enum CodingKeys: String, CodingKey {
    case threads, placement, arm
    case fileBytes = "file_bytes"
    case blockBytes = "block_bytes"
    case folioOrder = "folio_order"
    case nanosecondsPerRead = "ns_per_read"
    case mebibytesPerSecond = "mib_per_s"
    case ratioToPread = "ratio_to_pread"
    case ratioToMmap = "ratio_to_mmap"
  }

  // Written out, so that an order that is not there is a null.
  package func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(fileBytes, forKey: .fileBytes)
    try values.encode(blockBytes, forKey: .blockBytes)
    try values.encode(threads, forKey: .threads)
    try values.encode(placement, forKey: .placement)
    try values.encode(arm, forKey: .arm)
    try values.encode(folioOrder, forKey: .folioOrder)
    try values.encode(nanosecondsPerRead, forKey: .nanosecondsPerRead)
    try values.encode(mebibytesPerSecond, forKey: .mebibytesPerSecond)
    try values.encodeIfPresent(ratioToPread, forKey: .ratioToPread)
    try values.encodeIfPresent(ratioToMmap, forKey: .ratioToMmap)
  }
}

/// What `bench reads --json` writes.
package struct ReadReport: Sendable, Codable, Equatable {
  package var benchmark = "reads"
  package var machine: Machine
  package var rows: [ReadRow]
}

/// All measurements of a run.
package struct ReadResults: Sendable {
  package let machine: Machine
  package internal(set) var measurements: [ReadMeasurement] = []
  /// Cells that were not measured, and why.
  package internal(set) var skipped: [String] = []

  func first(like other: ReadMeasurement, placement: Placement? = nil, arm: ReadArmKind? = nil) -> ReadMeasurement? {
    let arm = arm ?? other.arm
    return measurements.first {
      $0.fileBytes == other.fileBytes && $0.blockBytes == other.blockBytes && $0.threads == other.threads
        && $0.placement == placement ?? other.placement && $0.arm == arm
        && (!arm.usesCache || $0.folioOrder == other.folioOrder)
    }
  }

  func ratio(of measurement: ReadMeasurement, to arm: ReadArmKind) -> Interval? {
    first(like: measurement, arm: arm).map { Interval.ofRatios(measurement.nanoseconds, to: $0.nanoseconds) }
  }

  package var report: ReadReport {
    ReadReport(
      machine: machine,
      rows: measurements.map {
        ReadRow(
          fileBytes: $0.fileBytes, blockBytes: $0.blockBytes, threads: $0.threads, placement: $0.placement,
          arm: $0.arm.rawValue, folioOrder: $0.folioOrder, nanosecondsPerRead: Spread($0.nanoseconds),
          mebibytesPerSecond: Spread($0.throughput), ratioToPread: ratio(of: $0, to: .pread),
          ratioToMmap: ratio(of: $0, to: .mmap))
      })
  }
}
