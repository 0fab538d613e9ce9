/// How often each page of a file is read.
package enum AccessDistribution: String, CaseIterable, Codable, Sendable {
  /// All alike.
  case uniform
  /// The page of rank r as often as 1 / (r + 1)^0.99; which page has which rank is drawn.
  case zipf

  /// The exponent that YCSB made the usual one.
  static let exponent = 0.99

  package static func list(_ text: String) throws(ListError) -> [AccessDistribution] {
    try parseList(text) { word throws(ListError) in
      guard let found = AccessDistribution(rawValue: word) else {
        throw ListError("'\(word)' is no distribution: there are uniform and zipf")
      }
      return found
    }
  }
}
