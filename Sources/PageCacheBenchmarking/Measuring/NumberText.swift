/// A number with a fixed number of decimals.
package func fixed(_ value: Double, _ decimals: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let scaled = UInt64((abs(value) * scale).rounded())
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard decimals > 0 else { return sign + String(scaled) }
  let unit = UInt64(scale)
  return "\(sign)\(scaled / unit)." + padded(String(scaled % unit), to: decimals, with: "0")
}

/// A number with about three digits that matter.
package func significant(_ value: Double) -> String {
  switch abs(value) {
  case 99.95...: fixed(value, 0)
  case 9.995...: fixed(value, 1)
  case 0.9995...: fixed(value, 2)
  case 0.0995...: fixed(value, 3)
  default: fixed(value, 4)
  }
}

/// A number as a percentage.
package func percent(_ value: Double) -> String { fixed(value * 100, 0) + " %" }

/// Fills up on the left.
package func padded(_ text: String, to width: Int, with filler: Character = " ") -> String {
  String(repeating: filler, count: max(0, width - text.count)) + text
}

/// Fills up on the right.
package func leading(_ text: String, to width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}
