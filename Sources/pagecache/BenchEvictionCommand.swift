import ArgumentParser
import PageCacheBenchmarking

struct BenchEvictionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eviction", abstract: "What each policy of reclaim misses, on traces that the cache is too small for.",
    discussion: """
      Every access is a read of one page of 4 KiB through the cache, from a store that answers at once. The size of the cache is that of its data: so many frames \
      as the share says of the pages in the trace. Beside the misses stand those of a model that keeps what was used last.
      """)

  @Option(
    help:
      "A trace of the format oracleGeneral: records of 24 bytes, bytes 4 to 11 the block. May be given more than once.")
  var trace: [String] = []

  @Flag(help: "Only the given traces, not the generated ones (zipf, scan, loop).")
  var onlyGiven = false

  @Option(help: "Frames as shares of a trace's pages, in percent, separated by commas.")
  var percent = "10,40"

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    var benchmark = EvictionBenchmark()
    benchmark.shares = try validated(parseCounts(percent, in: 1...100)).map { Double($0) / 100 }
    benchmark.traces = try failing { [trace] in try trace.map { try AccessTrace(path: $0) } }
    if !onlyGiven { benchmark.traces += [.zipf(), .scan(), .loop()] }
    guard !benchmark.traces.isEmpty else { throw ValidationError("no trace is given") }
    let cells = try failing { [benchmark] in try benchmark.run(progress: output.progress) }
    for line in EvictionBenchmark.lines(cells) { output.table(line) }
  }
}
