import ArgumentParser
import PageCacheBenchmarking

struct BenchWritesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "writes", abstract: "Random writes, with and without syncs: the cache beside pwrite.",
    discussion: """
      One thread writes blocks at random: of the whole file, and of its first MiB, which stays in the processor's caches. Between measurements \
      everything is brought to storage, so what is measured without a sync is the rate of a burst. Then blocks of 4 KiB with a sync after every so \
      many: fdatasync for pwrite. The rounds of all arms are interleaved, on one file system.

      Lists are written with commas. Sizes are bytes, or numbers with KiB, MiB or GiB.
      """)

  @OptionGroup var table: TableOptions

  @Option(
    help: "Block sizes. (default: 256,4KiB,16KiB,64KiB,1MiB)",
    transform: { try validated(parseByteCounts($0, in: WritePlan.allowedBlockBytes)) })
  var blocks: [Int]?

  @Option(
    help: "Writes between two syncs. (default: 1,16,256)",
    transform: { try validated(parseCounts($0, in: WritePlan.allowedPeriods)) })
  var syncs: [Int]?

  @Option(
    help: "Size of the file. (default: 64MiB)",
    transform: { try validated(single(parseByteCounts($0, in: WritePlan.allowedFileBytes))) })
  var fileBytes: Int?

  @OptionGroup var common: RoundOptions

  @Option(
    help: "Milliseconds of each round of each arm. (default: 25; quick: 5)",
    transform: { try validated(single(parseCounts($0, in: ReadPlan.allowedMilliseconds))) })
  var milliseconds: Int?

  private var plan: WritePlan {
    var plan = WritePlan()
    if table.quick { plan.makeQuick() }
    if let blocks { plan.blockBytes = blocks }
    if let syncs { plan.syncPeriods = syncs }
    if let fileBytes { plan.fileBytes = fileBytes }
    if let rounds = common.rounds { plan.rounds = rounds }
    if let milliseconds { plan.millisecondsPerRound = milliseconds }
    return plan
  }

  mutating func run() throws {
    let output = try Output(json: table.json, files: [table.json])
    let plan = plan
    let place = ExercisePlaces.directory(common.directory)
    // Room for everything that is written between two syncs.
    let limit = 4 * plan.fileBytes + (64 << 20)
    let report = try failing {
      try WriteBenchmark(
        plan,
        entries: [
          .kernel(directory: place), .cache(.writeBack, directory: place, memoryLimit: limit),
          .cache(.writeThrough, directory: place, memoryLimit: limit),
        ]
      ).run(progress: output.progress)
    }
    for line in report.lines { output.table(line) }
    if let json = table.json { try output.write(jsonText(report), to: json) }
  }
}
