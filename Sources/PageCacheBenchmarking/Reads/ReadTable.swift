/// The printed table: for each file size, number of threads and arm, block sizes down, same and different files across.
package struct ReadTable {
  package let results: ReadResults

  package init(_ results: ReadResults) { self.results = results }

  private struct Column: Sendable {
    let group: String
    let title: String
    let width: Int
    let text: @Sendable (ReadResults, _ same: ReadMeasurement, _ different: ReadMeasurement?) -> String
  }

  private static let columns: [Column] = [
    Column(group: "", title: "block", width: 8) { _, same, _ in byteCountText(same.blockBytes) },
    Column(group: "", title: "same", width: 11) { _, same, _ in median(same.throughput) },
    Column(group: "MiB/s", title: "different", width: 11) { _, _, different in
      different.map { median($0.throughput) } ?? "-"
    },
    // Rounds of the two placements are interleaved too. Throughputs, so the times the other way round.
    Column(group: "", title: "same/diff", width: 10) { _, same, different in
      different.map { significant(Interval.ofRatios($0.nanoseconds, to: same.nanoseconds).median) } ?? "-"
    },
    Column(group: "", title: "same", width: 10) { _, same, _ in median(same.nanoseconds) },
    Column(group: "ns a read", title: "different", width: 11) { _, _, different in
      different.map { median($0.nanoseconds) } ?? "-"
    },
    Column(group: "ns relative to pread", title: "same", width: 24) { results, same, _ in
      text(results.ratio(of: same, to: .pread))
    },
    Column(group: "ns relative to mmap", title: "same", width: 22) { results, same, _ in
      text(results.ratio(of: same, to: .mmap))
    },
    Column(group: "", title: "different", width: 22) { results, _, different in
      text(different.flatMap { results.ratio(of: $0, to: .mmap) })
    },
  ]

  private static let nameWidth = 30

  /// Lines of one section, or none if nothing was measured.
  package func section(fileBytes: Int, threads: Int) -> [String] {
    let all = results.measurements.filter { $0.fileBytes == fileBytes && $0.threads == threads }
    var names: [String] = []
    for name in all.map(ReadTable.name) where !names.contains(name) { names.append(name) }
    guard !names.isEmpty else { return [] }
    let columns = ReadTable.columns
    var lines = [
      "", "file of \(byteCountText(fileBytes)), \(threads) thread\(threads == 1 ? "" : "s")",
      String(repeating: " ", count: ReadTable.nameWidth) + columns.map { padded($0.group, to: $0.width) }.joined(),
      leading("  arm", to: ReadTable.nameWidth) + columns.map { padded($0.title, to: $0.width) }.joined(),
    ]
    for name in names {
      var label = "  " + name
      for same in all where same.placement == .same && ReadTable.name(same) == name {
        let different = results.first(like: same, placement: .different)
        lines.append(
          leading(label, to: ReadTable.nameWidth)
            + columns.map { padded($0.text(results, same, different), to: $0.width) }.joined())
        label = ""
      }
    }
    let share = medianOfSorted(all.flatMap(\.processorShares).sorted())
    // More threads than processors: until one is first scheduled in a round, its waiting for the others counts as idle.
    if share < (threads <= results.machine.cores ? 0.97 : 0.9) {
      lines.append("  The machine was shared: at the median the threads had \(percent(share)) of their processors.")
    }
    return lines
  }

  private static func name(_ measurement: ReadMeasurement) -> String {
    measurement.arm.rawValue + (measurement.folioOrder.map { ", order \($0)" } ?? "")
  }

  private static func median(_ values: [Double]) -> String { fixed(Spread(values).median, 1) }

  private static func text(_ interval: Interval?) -> String {
    guard let interval else { return "-" }
    return "\(significant(interval.median)) (\(significant(interval.low))-\(significant(interval.high)))"
  }

  /// What the columns mean, once for a whole run.
  package static let legend = """
    Random reads of whole blocks; medians of the rounds. MiB/s: of all threads together. ns: a read as its thread sees it,
    waiting for a processor included. same: all threads read one file; different: a file each. Relative: ns of the arm by
    ns of the other in the same round, with the 95 % interval of the median; less is faster.
    """
}
