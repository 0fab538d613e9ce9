import FoundationEssentials

/// A report as JSON, keys in alphabetical order, so that two runs can be compared by eye.
package func jsonText<Report: Encodable>(_ report: Report) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
}

/// The same on one line, for one process to send to another.
package func jsonLine<Message: Encodable>(_ message: Message) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(message), as: UTF8.self) + "\n"
}

/// The report that a text holds.
package func readReport(fromJSON text: String) throws -> ReadReport {
  try JSONDecoder().decode(ReadReport.self, from: Data(text.utf8))
}
