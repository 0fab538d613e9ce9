/// What a stamped exercise has found.
package struct StampedReport: Sendable {
  package var seed: UInt64 = 0
  package var seconds = 0.0
  /// Changes of files with one writer.
  package var changes = 0
  /// Writes to the file with many writers.
  package var blockWrites = 0
  /// Reads. Every one was checked.
  package var reads = 0
  package var readBytes: UInt64 = 0
  /// Reads, and ends, that no instant explains.
  package var misses = 0
  /// Reads that changed the buffer behind their count.
  package var spills = 0
  /// Calls that were refused, and should not have been.
  package var refusals = 0
  /// The first few, in detail.
  package var details: [String] = []

  package init() {}

  package var isClean: Bool { misses == 0 && spills == 0 && refusals == 0 }

  private mutating func note(_ detail: String) { if details.count < 5 { details.append(detail) } }

  mutating func miss(_ detail: String) {
    misses += 1
    note(detail)
  }

  mutating func spill(_ detail: String) {
    spills += 1
    note(detail)
  }

  mutating func refuse(_ detail: String) {
    refusals += 1
    note(detail)
  }

  mutating func add(_ other: StampedReport) {
    reads += other.reads
    readBytes += other.readBytes
    misses += other.misses
    spills += other.spills
    refusals += other.refusals
    for detail in other.details { note(detail) }
  }

  package var lines: [String] {
    [
      "\(changes) changes, \(blockWrites) writes to the shared file, \(reads) reads (\(readBytes >> 20) MiB), every one checked, "
        + "in \(String(Int(seconds.rounded()))) s, seed \(seed):",
      "  \(misses) reads that no instant explains (torn, lost or stale), \(spills) that changed bytes behind their count, "
        + "\(refusals) calls refused",
    ] + details.map { "  \($0)" }
  }
}
