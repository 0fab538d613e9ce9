import PageCacheBenchmarking
import TestSupport
import Testing

/// Processes that write an index and its log, and are killed.
// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct OrderedCrashTests {
  /// What starts a process to be killed. The program lies beside the tests.
  private static func command(_ load: OrderedCrashLoad) -> [String] {
    let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
    let directory = bundle.split(separator: "/", omittingEmptySubsequences: false).prefix { !$0.hasSuffix(".xctest") }
    return [
      directory.joined(separator: "/") + "/pagecache", "crash-ordered-child", "--seed", "\(load.seed)", "--path",
      load.path, "--durability", load.durability.rawValue,
    ]
  }

  @Test(arguments: CrashDurability.allCases) func noEntryIsAheadOfItsLog(durability: CrashDurability) throws {
    try withTemporaryDirectory { directory in
      var crash = OrderedCrashRounds(
        path: directory.appending("file").string, durability: durability, command: Self.command)
      crash.rounds = 3
      crash.seed = testSeed
      crash.milliseconds = 200
      let report = try crash.run()
      #expect(
        report.rounds == 3 && report.violations == 0 && report.transactions > 0,
        "\(report.lines.joined(separator: "\n"))")
    }
  }

  /// That the check finds what is missing.
  @Test func theCheckFindsWhatIsMissing() {
    let whole = OrderedCrashSample(slot: 5, transactions: 2)
    func violations(
      _ sample: OrderedCrashSample, synced: UInt64 = 2, begun: UInt64 = 2
    ) -> [String] {
      OrderedCrashCheck.check(
        index: sample.index, log: sample.log, synced: { $0 == 5 ? synced : 0 }, begun: { $0 == 5 ? begun : 0 }
      ).violations
    }
    #expect(violations(whole) == [])
    #expect(violations(whole, synced: 3, begun: 3).count == 1, "what a sync has returned for")
    #expect(violations(whole, synced: 1, begun: 1).count == 1, "what has never begun")
    var sample = whole
    sample.log.removeLast()
    #expect(violations(sample).count == 1, "a log that ends before the record does")
    sample = whole
    sample.log[sample.log.count - 9] ^= 1
    #expect(violations(sample).count == 1, "a record that is not whole")
    sample = whole
    sample.index[5 * 32 + 9] ^= 1
    #expect(violations(sample).count == 1, "an entry that is not whole")
    sample = whole
    sample.index.removeLast()
    #expect(violations(sample).count == 1, "an index that is too short")
  }
}
