import PageCacheBenchmarking
import TestSupport
import Testing

// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct WriteBenchmarkTests {
  private func plan() -> WritePlan {
    var plan = WritePlan()
    plan.fileBytes = 2 << 20
    plan.blockBytes = [256, 1 << 20]
    plan.syncPeriods = [4]
    plan.rounds = 2
    plan.millisecondsPerRound = 1
    return plan
  }

  /// An arm that refuses every write but the first few.
  private struct FullArm: WriteArm {
    func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) -> Bool { bytes.count == 1 << 20 }
    func sync() -> Bool { true }
    func writeBatch(_ loop: inout WriteLoop, count: Int) { loop.run(self, count: count) }
  }

  @Test func everyRowIsThereAndPositive() throws {
    let report = try WriteBenchmark(plan(), entries: [.kernel(directory: "/tmp")]).run()
    #expect(report.rows.count == 5)
    #expect(report.rows.map(\.writesPerSync) == [nil, nil, nil, nil, 4])
    for row in report.rows {
      #expect(row.arm == "pwrite" && row.nanosecondsPerWrite.min > 0 && row.mebibytesPerSecond.min > 0)
      #expect(row.ratioToPwrite == Interval([1, 1]))
    }
    #expect(report.lines.contains { $0.contains("1 MiB") } && report.lines.contains { $0.contains("4 writes") })
  }

  @Test func jsonHasTheAgreedShape() throws {
    let text = try jsonText(WriteBenchmark(plan(), entries: [.kernel(directory: "/tmp")]).run())
    for key in [
      "benchmark", "machine", "rows", "file_bytes", "block_bytes", "placement", "arm", "writes_per_sync",
      "ns_per_write",
      "mib_per_s", "ratio_to_pwrite", "min", "median", "max", "low", "high",
    ] {
      #expect(text.contains("\"\(key)\" :"), "\(key)")
    }
    #expect(text.contains("\"writes_per_sync\" : null"))
  }

  @Test func aRefusedWriteEndsTheRun() {
    #expect(throws: BenchmarkError.self) {
      try WriteBenchmark(plan(), entries: [WriteEntry(name: "full", arm: FullArm())]).run()
    }
  }
}
