import PageCacheBenchmarking
import SystemPackage
import TestSupport
import Testing

// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct AtomicityBenchmarkTests {
  private func run(_ fault: Fault, _ arm: (FaultyFile) -> any AtomicityArm) throws -> AtomicityReport {
    try withTemporaryDirectory { directory in
      let file = try FaultyTarget(fault: fault).open(directory.appending("file"))
      var plan = AtomicityPlan()
      plan.fileBytes = 4 << 20
      plan.rounds = 2
      plan.millisecondsPerRound = 5
      plan.truncations = 5
      let entry = AtomicityEntry(name: "arm", arm: arm(file)) { try file.sync(dataOnly: false) }
      return try AtomicityBenchmark(plan, entries: [entry]).run()
    }
  }

  @Test func aLockedFileIsNeverTorn() throws {
    for report in try [run(.none) { DirectArm($0) }, run(.none) { ReadWriteLockedArm($0) }] {
      #expect(report.rows.map(\.scenario) == AtomicityScenario.allCases)
      for row in report.rows {
        #expect(row.torn == 0 && row.refused == 0 && row.reads > 0, "\(row)")
        #expect(row.readsAlone.min > 0 && row.changesAlone.min > 0)
      }
      #expect(report.truncations.count == 1 && report.truncations[0].samples == 5)
      #expect(report.lines.count > 20)
    }
  }

  @Test func pagesAreTorn() throws {
    // Between two pages the writer gets its turn.
    let report = try run(.tornWrites) { PagewiseArm($0) }
    #expect(try #require(report.rows.first { $0.scenario == .hot }).torn > 0)
  }

  @Test func jsonHasTheAgreedShape() throws {
    let text = try jsonText(run(.none) { DirectArm($0) })
    for key in [
      "benchmark", "machine", "readers", "file_bytes", "rows", "truncations", "scenario", "arm", "reads", "torn",
      "refused",
      "reads_per_s_alone", "reads_per_s_beside", "reads_beside_to_alone", "changes_per_s_alone", "changes_per_s_beside",
      "changes_beside_to_alone", "median_us", "p99_us", "max_us", "samples",
    ] {
      #expect(text.contains("\"\(key)\" :"), "\(key)")
    }
  }
}
