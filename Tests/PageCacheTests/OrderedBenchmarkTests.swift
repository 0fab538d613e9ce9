import PageCacheBenchmarking
import TestSupport
import Testing

// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct OrderedBenchmarkTests {
  @Test func everyRowIsThereAndPositive() throws {
    var plan = OrderedPlan()
    plan.rounds = 1
    plan.millisecondsPerRound = 20
    let report = try withTemporaryDirectory { try OrderedBenchmark(plan, directory: $0.string).run() }
    #expect(report.rows.map(\.log) == ["writeBack", "writeBack", "writeThrough", "writeThrough"])
    #expect(report.rows.map(\.isOrdered) == [true, false, true, false])
    for row in report.rows {
      #expect(row.syncs > 0 && row.p50 > 0 && row.p50 <= row.p99 && row.p99 <= row.longest)
      #expect(row.writesPerSecond.min > 0)
      #expect((row.ratio99 != nil) == row.isOrdered)
      // How long a sync takes is the machine's business; how often it flushes is not.
      #expect(row.indexFlushes.max <= 3 && row.logFlushes.max <= 3, "\(row)")
      if !row.isOrdered { #expect(row.indexFlushes.max <= 1 && row.logFlushes.max == 0, "\(row)") }
    }
    let text = try jsonText(report)
    for key in ["benchmark", "p99_ns", "p99_ratio_to_unordered", "index_flushes_per_sync", "writes_per_s"] {
      #expect(text.contains("\"\(key)\" :"), "\(key)")
    }
  }
}
