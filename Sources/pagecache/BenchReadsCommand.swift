import ArgumentParser
import PageCacheBenchmarking

struct BenchReadsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reads", abstract: "Short random reads: the cache beside pread and mmap.",
    discussion: """
      Lists are written with commas. Sizes are bytes, or numbers with KiB, MiB or GiB. Files are made, read and removed; \
      cells whose files do not fit into the available memory are skipped, with a line that says so.
      """)

  @OptionGroup var table: TableOptions

  @Option(help: "Write a picture (SVG).")
  var plot: String?

  @Option(
    help: "Numbers of threads. (default: 1, all cores, 16)",
    transform: { try validated(parseCounts($0, in: ReadPlan.allowedThreads)) })
  var threads: [Int]?

  @Option(
    help: "Block sizes. (default: 1,32,256,1KiB,4KiB,32KiB)",
    transform: { try validated(parseByteCounts($0, in: ReadPlan.allowedBlockBytes)) })
  var blocks: [Int]?

  @Option(
    help: "File sizes. (default: 4KiB,1MiB,1GiB)",
    transform: { try validated(parseByteCounts($0, in: ReadPlan.allowedFileBytes)) })
  var fileBytes: [Int]?

  @Option(
    help: "Arms. (default: all: \(ReadArmKind.allCases.map(\.rawValue).joined(separator: ",")))",
    transform: { try validated(ReadArmKind.list($0)) })
  var arms: [ReadArmKind]?

  @OptionGroup var common: RoundOptions

  @Option(
    help: "Milliseconds of each round of each arm. (default: 25; quick: 5)",
    transform: { try validated(single(parseCounts($0, in: ReadPlan.allowedMilliseconds))) })
  var milliseconds: Int?

  var plan: ReadPlan {
    var plan = ReadPlan()
    if table.quick { plan.makeQuick() }
    if let threads { plan.threads = threads }
    if let blocks { plan.blockBytes = blocks }
    if let fileBytes { plan.fileBytes = fileBytes }
    if let arms { plan.arms = arms }
    if let rounds = common.rounds { plan.rounds = rounds }
    if let milliseconds { plan.millisecondsPerRound = milliseconds }
    plan.directory = common.directory
    return plan
  }

  mutating func validate() throws {
    for block in blocks ?? [] where (fileBytes ?? plan.fileBytes).allSatisfy({ $0 < block }) {
      throw ValidationError("blocks of \(byteCountText(block)) are larger than every file")
    }
  }

  mutating func run() throws {
    let output = try Output(json: table.json, files: [table.json, plot])
    let plan = plan
    output.table(ReadTable.legend)
    let results = try failing {
      try ReadBenchmark.run(plan, progress: output.progress) { results, fileBytes, threads in
        if fileBytes == plan.fileBytes[0], threads == plan.threads[0] { output.table(results.machine.summary) }
        for line in ReadTable(results).section(fileBytes: fileBytes, threads: threads) { output.table(line) }
      }
    }
    if !results.skipped.isEmpty { output.table("") }
    for line in results.skipped { output.table("skipped: \(line)") }
    if let json = table.json { try output.write(jsonText(results.report), to: json) }
    if let plot {
      guard let picture = ReadPlot(results).svg else { throw Failure("nothing was measured that could be drawn") }
      try output.write(picture, to: plot)
    }
  }
}
