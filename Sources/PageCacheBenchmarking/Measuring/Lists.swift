/// Why a list or a size given on the command line cannot be used.
package struct ListError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// A list with commas between, without repetitions.
func parseList<Element: Equatable>(
  _ text: String, _ element: (String) throws(ListError) -> Element
) throws(ListError) -> [Element] {
  var list: [Element] = []
  for part in text.split(separator: ",", omittingEmptySubsequences: false) {
    let word = String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    guard !word.isEmpty else { throw ListError("'\(text)' has an empty place between its commas") }
    let value = try element(word)
    guard !list.contains(value) else { throw ListError("'\(word)' comes twice in '\(text)'") }
    list.append(value)
  }
  return list
}

/// Counts, such as threads: `1,2,16`.
package func parseCounts(_ text: String, in allowed: ClosedRange<Int>) throws(ListError) -> [Int] {
  try parseList(text) { word throws(ListError) in
    guard let count = Int(word) else { throw ListError("'\(word)' is no number") }
    guard allowed.contains(count) else {
      throw ListError("\(word) is not within \(allowed.lowerBound)...\(allowed.upperBound)")
    }
    return count
  }
}

/// The one value of a list, where a list makes no sense.
package func single<Value>(_ list: [Value]) throws(ListError) -> Value {
  guard list.count == 1 else { throw ListError("one value is wanted, and not \(list.count)") }
  return list[0]
}

/// Sizes in bytes, or with a suffix KiB, MiB or GiB: `1,256,4KiB,1MiB`.
package func parseByteCounts(_ text: String, in allowed: ClosedRange<Int>) throws(ListError) -> [Int] {
  try parseList(text) { word throws(ListError) in
    let count = try parseByteCount(word)
    guard allowed.contains(count) else {
      throw ListError(
        "'\(word)' is not within \(byteCountText(allowed.lowerBound))...\(byteCountText(allowed.upperBound))")
    }
    return count
  }
}

package func parseByteCount(_ text: String) throws(ListError) -> Int {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  let suffix = text.dropFirst(digits.count).drop { $0 == " " }
  let shift: Int? =
    switch suffix.lowercased() {
    case "", "b": 0
    case "kib", "k": 10
    case "mib", "m": 20
    case "gib", "g": 30
    default: nil
    }
  guard !digits.isEmpty, let shift else {
    throw ListError("'\(text)' is no size: give bytes, or a number with KiB, MiB or GiB")
  }
  guard let number = Int(digits), number <= Int.max >> shift else { throw ListError("'\(text)' is too large") }
  return number << shift
}

/// `1 GiB`, `4 KiB`, `1000 B`: the largest unit that divides it.
package func byteCountText(_ count: Int) -> String {
  for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] where count > 0 && count & (1 << shift - 1) == 0 {
    return "\(count >> shift) \(unit)"
  }
  return "\(count) B"
}
