/// The printed table: for each file size, number of threads and arm, block sizes down, same and different files across.
package struct ReadTable {
  package let results: ReadResults

  package init(_ results: ReadResults) { self.results = results }

  private static let heading = [
    "                                    MiB/s of all threads, medians        ns a read and thread     ns, relative to pread    ns, relative to mmap     (95 % interval)",
    "  arm                        block         same  different same/diff         same  different                      same                    same               different",
  ]

  /// Lines of one section, or none if nothing was measured.
  package func section(fileBytes: Int, threads: Int) -> [String] {
    let all = results.measurements.filter { $0.fileBytes == fileBytes && $0.threads == threads }
    guard !all.isEmpty else { return [] }
    var lines = ["", "file of \(byteCountText(fileBytes)), \(threads) thread\(threads == 1 ? "" : "s")"]
    lines += ReadTable.heading
    var last: String?
    for same in all where same.placement == .same {
      let name = same.arm.rawValue + (same.folioOrder.map { ", order \($0)" } ?? "")
      if let last, last != name { lines.append("") }
      lines.append(line(name == last ? "" : name, same))
      last = name
    }
    return lines
  }

  private func line(_ name: String, _ same: ReadMeasurement) -> String {
    let different = results.first(like: same, placement: .different)
    let cells: [(String, Int)] = [
      (byteCountText(same.blockBytes), 8),
      (ReadTable.median(same.throughput, 1), 12),
      (different.map { ReadTable.median($0.throughput, 1) } ?? "-", 10),
      // Rounds of the two placements are interleaved too: the ratio is of throughputs, so it is of times the other way round.
      (different.map { significant(Interval.ofRatios($0.nanoseconds, to: same.nanoseconds).median) } ?? "-", 9),
      (ReadTable.median(same.nanoseconds, 1), 12),
      (different.map { ReadTable.median($0.nanoseconds, 1) } ?? "-", 10),
      (ReadTable.text(results.ratio(of: same, to: .pread)), 25),
      (ReadTable.text(results.ratio(of: same, to: .mmap)), 23),
      (ReadTable.text(different.flatMap { results.ratio(of: $0, to: .mmap) }), 23),
    ]
    return "  " + leading(name, to: 27) + cells.map { padded($0.0, to: $0.1) }.joined(separator: " ").dropFirst(1)
  }

  private static func median(_ values: [Double], _ decimals: Int) -> String { fixed(Spread(values).median, decimals) }

  private static func text(_ interval: Interval?) -> String {
    guard let interval else { return "-" }
    return "\(significant(interval.median)) (\(significant(interval.low))-\(significant(interval.high)))"
  }

  /// Which columns mean what, once for a whole run.
  package static let legend = """
    Random reads of whole blocks. MiB/s: all threads together. ns: time of one read as its thread sees it, waiting for a processor included.
    same: all threads read one file; different: a file each. Relative columns: ns of the arm divided by ns of the other in the same round; less is faster.
    """
}
