import Primitives

/// Measures writes by several arms, in rounds that are interleaved, by one thread.
///
/// After each measurement everything is brought to storage, without being measured: no arm pays for what another has left to be written.
/// What is measured without a sync is therefore the rate of a burst; how fast a disk takes it in the long run is the same for all.
package struct WriteBenchmark {
  private let plan: WritePlan
  private let entries: [WriteEntry]

  package init(_ plan: WritePlan, entries: [WriteEntry]) {
    self.plan = plan
    self.entries = entries
  }

  /// - Throws: `BenchmarkError` if a write or a sync is refused.
  package func run(progress: (String) -> Void = { _ in }) throws -> WriteReport {
    for entry in entries {
      progress("\(entry.name): making \(byteCountText(plan.fileBytes))")
      try fill(entry)
    }
    var report = WriteReport(machine: Machine(), fileBytes: plan.fileBytes)
    for cell in plan.cells {
      progress(cell.title)
      report.rows += try measure(cell)
    }
    return report
  }

  private func fill(_ entry: WriteEntry) throws {
    let bytes = [UInt8](repeating: 1, count: 1 << 20)
    for offset in stride(from: 0, to: plan.fileBytes, by: bytes.count) {
      let count = min(bytes.count, plan.fileBytes - offset)
      let isWritten = unsafe bytes.withUnsafeBytes { bytes in
        unsafe entry.arm.write(at: Int64(offset), .init(rebasing: bytes[..<count]))
      }
      guard isWritten else { throw BenchmarkError("\(entry.name) does not write its file") }
    }
    guard entry.arm.sync() else { throw BenchmarkError("\(entry.name) does not sync its file") }
  }

  /// Nanoseconds that a batch should take, so that looking at the clock costs nothing beside it.
  private static var batchNanoseconds: UInt64 { 50_000 }

  private func measure(_ cell: WriteCell) throws -> [WriteRow] {
    var nanoseconds = entries.map { _ in [Double]() }
    var batches = entries.map { _ in cell.writesPerSync ?? 1 }
    let region = cell.placement == .hot ? WritePlan.hotBytes : plan.fileBytes
    for round in 0...plan.rounds {
      for position in entries.indices {
        // Each round begins with another arm, so that none always follows the same one's leavings.
        let number = (round + position) % entries.count
        let entry = entries[number]
        var loop = WriteLoop(seed: UInt64(round), blockBytes: cell.blockBytes, regionBytes: region)
        let time = write(entry, cell, &loop, batch: &batches[number], adjusting: round == 0)
        guard loop.failures == 0 else {
          throw BenchmarkError("\(entry.name), \(cell.title): \(loop.failures) writes or syncs were refused")
        }
        guard entry.arm.sync() else { throw BenchmarkError("\(entry.name) does not sync its file") }
        if round > 0 { nanoseconds[number].append(time) }
      }
    }
    let baseline = entries.firstIndex { $0.name == WriteEntry.baseline }
    return entries.indices.map { number in
      WriteRow(
        placement: cell.placement, blockBytes: cell.blockBytes, writesPerSync: cell.writesPerSync,
        arm: entries[number].name, nanosecondsPerWrite: Spread(nanoseconds[number]),
        mebibytesPerSecond: Spread(nanoseconds[number].map { Double(cell.blockBytes) / $0 * 1e9 / 0x1p20 }),
        ratioToPwrite: baseline.map { .ofRatios(nanoseconds[number], to: nanoseconds[$0]) })
    }
  }

  /// Writes for the time of a round. Returns nanoseconds a write, syncs included.
  private func write(
    _ entry: WriteEntry, _ cell: WriteCell, _ loop: inout WriteLoop, batch: inout Int, adjusting: Bool
  ) -> Double {
    let start = monotonicNanoseconds()
    let end = start + UInt64(plan.millisecondsPerRound) * 1_000_000
    var now = start
    var writes = 0
    repeat {
      let before = now
      entry.arm.writeBatch(&loop, count: batch)
      if cell.writesPerSync != nil, !entry.arm.sync() { loop.failures += 1 }
      writes += batch
      now = monotonicNanoseconds()
      if adjusting, cell.writesPerSync == nil, now - before < Self.batchNanoseconds / 2 { batch *= 2 }
    } while now < end
    return Double(now - start) / Double(writes)
  }
}
