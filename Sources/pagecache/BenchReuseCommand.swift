import ArgumentParser
import PageCacheBenchmarking

struct BenchReuseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reuse", abstract: "What it costs that evicted frames wait for a grace period.",
    discussion: """
      Threads read pages of 4 KiB at random, of a file four times the memory, from a store that answers at once: three reads of four evict a page. Two caches \
      take turns; one of them, made for this measurement only, uses evicted frames again at once.
      """)

  @OptionGroup var table: TableOptions

  mutating func run() throws {
    let output = try Output(json: table.json, files: [table.json])
    var benchmark = ReuseBenchmark()
    if table.quick { benchmark.makeQuick() }
    let rows = try failing { try benchmark.run(progress: output.progress) }
    output.table(Machine().summary)
    for line in ReuseBenchmark.lines(rows) { output.table(line) }
    if let json = table.json { try output.write(jsonText(rows), to: json) }
  }
}
