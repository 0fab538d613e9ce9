import ArgumentParser
import PageCacheBenchmarking

struct BenchOrderedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ordered", abstract: "Syncs of an index whose entries wait for their records in a log.",
    discussion: """
      Four threads append records to a log and write entries that name them to an index, each not before its record is durable; one thread syncs the \\
      index, again and again. Beside it, the same load without order. Write-back and write-through logs. The rounds of all arms are interleaved.
      """)

  @OptionGroup var table: TableOptions
  @OptionGroup var common: RoundOptions

  @Option(
    help: "Milliseconds of each round of each arm. (default: 600; quick: 100)",
    transform: { try validated(single(parseCounts($0, in: OrderedPlan.allowedMilliseconds))) })
  var milliseconds: Int?

  mutating func run() throws {
    let output = try Output(json: table.json, files: [table.json])
    var plan = OrderedPlan()
    if table.quick { plan.makeQuick() }
    if let rounds = common.rounds { plan.rounds = rounds }
    if let milliseconds { plan.millisecondsPerRound = milliseconds }
    let directory = ExercisePlaces.directory(common.directory)
    let report = try failing { [plan] in
      try OrderedBenchmark(plan, directory: directory).run(progress: output.progress)
    }
    for line in report.lines { output.table(line) }
    if let json = table.json { try output.write(jsonText(report), to: json) }
  }
}
