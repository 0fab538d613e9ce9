import PageCache

/// What a soak has found.
package struct SoakReport: Sendable {
  package var seed: UInt64 = 0
  package var seconds = 0.0
  package var configuration: PageCache.Configuration
  package var operations: [(operation: SoakOperation, count: Int)] = []
  /// Bytes that were read and checked.
  package var verifiedBytes: UInt64 = 0
  /// Bytes of the files at the end, read through the cache, and from the storage with pread(2).
  package var verifiedAtEnd: UInt64 = 0
  /// Calls that were refused, by operation and cause.
  package var refusals: [(cause: String, count: Int)] = []
  package var stamped = StampedReport()
  package var samples: [SoakSample] = []
  package var baselineBytes = 0
  package var worst: SoakSample?
  package var fragmentedAllocations: UInt64 = 0
  package var statistics: PageCache.Statistics?
  /// Everything that must not be.
  package var violations: [String] = []

  package var isClean: Bool { violations.isEmpty }

  private func mebibytes(_ count: Int) -> String { fixed(Double(count) / 1_048_576, 1) + " MiB" }

  package var lines: [String] {
    var lines = [
      "\(fixed(seconds, 1)) s, seed \(seed), limit \(byteCountText(configuration.memoryLimit)), orders \(configuration.folioOrders)",
      "operations: " + operations.map { "\($0.operation.rawValue) \($0.count)" }.joined(separator: ", "),
      "verified: \(verifiedBytes >> 20) MiB read, every byte checked; \(verifiedAtEnd >> 20) MiB of files at the end",
      "exercise: \(stamped.reads) reads beside \(stamped.changes) changes, \(stamped.misses) that no instant explains, "
        + "\(stamped.spills) that changed bytes behind their count",
      "refused: "
        + (refusals.isEmpty ? "nothing" : refusals.map { "\($0.cause) \($0.count)" }.joined(separator: ", ")),
      "large blocks not to be had though as many frames were free: \(fragmentedAllocations)",
    ]
    if let worst {
      let peak = samples.map(\.residentBytes).max() ?? 0
      let withFiles = samples.map { $0.residentBytesWithFiles - $0.limit }.max() ?? 0
      lines += [
        "memory: \(samples.count) samples; baseline \(mebibytes(baselineBytes)); at most \(mebibytes(peak)) above it",
        "  nearest to the limit, or furthest above: \(mebibytes(worst.overshoot)) at \(fixed(worst.seconds, 2)) s "
          + "(limit \(mebibytes(worst.limit)), \(worst.freeFrames) frames free, \(worst.nodeFrames) of nodes, \(worst.retiredFrames) "
          + "retired); with the program's text and libraries \(mebibytes(withFiles)); allowed \(mebibytes(SoakMemory.tolerance))",
        "  free frames \(span(\.freeFrames)), of nodes \(span(\.nodeFrames)), retired \(span(\.retiredFrames)), "
          + "largest free block \(span(\.largestFreeBlock))",
      ]
    }
    if let statistics { lines += StatisticsReport.lines(statistics).prefix(8).map { "  \($0)" } }
    lines.append(isClean ? "no violation" : "\(violations.count) VIOLATIONS, seed \(seed):")
    return lines + violations.map { "  \($0)" }
  }

  private func span(_ value: (SoakSample) -> Int) -> String {
    let values = samples.map(value)
    return "\(values.min() ?? 0) to \(values.max() ?? 0)"
  }
}
