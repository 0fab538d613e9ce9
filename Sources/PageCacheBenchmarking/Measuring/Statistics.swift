/// Least, middle and largest of some measurements.
package struct Spread: Sendable, Equatable, Codable {
  package var min: Double
  package var median: Double
  package var max: Double

  /// - Parameter values: at least one.
  package init(_ values: [Double]) {
    let sorted = values.sorted()
    min = sorted[0]
    median = medianOfSorted(sorted)
    max = sorted[sorted.count - 1]
  }
}

func medianOfSorted(_ sorted: [Double]) -> Double {
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The value that a part of the measurements does not exceed (nearest rank).
package func percentile(_ part: Double, ofSorted sorted: [Double]) -> Double {
  let rank = Int((part * Double(sorted.count)).rounded(.up))
  return sorted[Swift.max(0, Swift.min(sorted.count - 1, rank - 1))]
}

/// A median and the interval in which it lies with 95 % confidence.
///
/// Order statistics: the interval runs from the k-th smallest to the k-th largest value, with the largest k for which a median lies outside in at
/// most 5 % of cases, whatever the distribution. It needs no random numbers, so the same measurements give the same interval. With fewer than
/// six values nothing is that sure: then it runs over all of them (94 % for five).
package struct Interval: Sendable, Equatable, Codable {
  package var median: Double
  package var low: Double
  package var high: Double

  /// - Parameter values: at least one.
  package init(_ values: [Double]) {
    let sorted = values.sorted()
    let rank = Interval.rank(count: sorted.count)
    median = medianOfSorted(sorted)
    low = sorted[rank]
    high = sorted[sorted.count - 1 - rank]
  }

  /// How many values at each end the interval leaves out.
  package static func rank(count: Int) -> Int {
    // Sum of binomial probabilities: that at most `rank` of the values are below the true median.
    var probability = 1.0
    for _ in 0..<count { probability /= 2 }
    var outside = probability
    var rank = -1
    while outside * 2 <= 0.05 {
      rank += 1
      probability *= Double(count - rank) / Double(rank + 1)
      outside += probability
    }
    return Swift.max(0, rank)
  }

  /// Of the ratios between measurements of the same round: what disturbed a round disturbed both.
  package static func ofRatios(_ values: [Double], to others: [Double]) -> Interval {
    precondition(values.count == others.count)
    return Interval(zip(values, others).map { $0 / $1 })
  }
}
