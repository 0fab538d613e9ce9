import PageCacheBenchmarking
import Testing

@Suite struct BenchmarkingStatisticsTests {
  @Test func spreadOfOddAndEvenCounts() {
    let odd = Spread([3, 1, 2])
    #expect(odd.min == 1 && odd.median == 2 && odd.max == 3)
    #expect(Spread([4, 1, 2, 3]).median == 2.5)
    #expect(Spread([7]).max == 7)
  }

  /// Ranks from the tables of the sign test.
  @Test(arguments: [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (20, 5), (50, 17), (100, 39)])
  func intervalRank(count: Int, rank: Int) {
    #expect(Interval.rank(count: count) == rank)
  }

  @Test func intervalLeavesOutTheEnds() {
    let interval = Interval([9, 1, 8, 2, 7, 3, 6, 4, 1000])
    #expect(interval.median == 6)
    #expect(interval.low == 2)
    #expect(interval.high == 9)
  }

  @Test func ratiosArePairedByRound() {
    // Twice as slow in every round, however the rounds differ.
    let interval = Interval.ofRatios([2, 20, 200, 4, 8, 16], to: [1, 10, 100, 2, 4, 8])
    #expect(interval == Interval([2]))
  }

  @Test func intervalCoversTheMedian() {
    // Of 2,000 samples of nine from a distribution with median 0.5, at least 94 % must cover it (96 % expected).
    var state: UInt64 = 1
    func uniform() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / 0x1p53
    }
    var covered = 0
    for _ in 0..<2000 {
      let interval = Interval((0..<9).map { _ in uniform() })
      if interval.low <= 0.5, interval.high >= 0.5 { covered += 1 }
    }
    #expect(covered > 1880 && covered < 1970)
  }

  @Test(arguments: [
    (0.0, "0.0000"), (0.00123, "0.0012"), (0.0511, "0.0511"), (0.1234, "0.123"), (1, "1.00"), (9.994, "9.99"),
    (9.996, "10.0"), (99.96, "100"), (1234.5, "1235"),
  ])
  func significantDigits(value: Double, text: String) { #expect(significant(value) == text) }

  @Test func fixedDecimals() {
    #expect(fixed(1.005, 1) == "1.0")
    #expect(fixed(-0.04, 1) == "0.0")
    #expect(fixed(-2.25, 2) == "-2.25")
    #expect(fixed(12.06, 1) == "12.1")
    #expect(fixed(7, 0) == "7")
  }
}
