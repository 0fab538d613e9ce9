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

  @Flag(help: "Fewer and shorter rounds.")
  var quick = false

  @Option(help: "Write the results as JSON; - for standard output, and the table goes to standard error.")
  var json: String?

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
    transform: { try validated(parseByteCounts($0, in: WritePlan.allowedFileBytes)).first ?? 0 })
  var fileBytes: Int?

  @Option(
    help: "Rounds. (default: 9; quick: 5)",
    transform: { try validated(parseCounts($0, in: ReadPlan.allowedRounds)).first ?? 1 })
  var rounds: Int?

  @Option(
    help: "Milliseconds of each round of each arm. (default: 25; quick: 5)",
    transform: { try validated(parseCounts($0, in: ReadPlan.allowedMilliseconds)).first ?? 1 })
  var milliseconds: Int?

  @Option(help: "Where the files are made. (default: bench-results, .build, $TMPDIR or /tmp)")
  var directory: String?

  private var plan: WritePlan {
    var plan = WritePlan()
    if quick { plan.makeQuick() }
    if let blocks { plan.blockBytes = blocks }
    if let syncs { plan.syncPeriods = syncs }
    if let fileBytes { plan.fileBytes = fileBytes }
    if let rounds { plan.rounds = rounds }
    if let milliseconds { plan.millisecondsPerRound = milliseconds }
    return plan
  }

  mutating func run() throws {
    let output = try Output(json: json, files: [json])
    let plan = plan
    let place = ExercisePlaces.directory(directory)
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
    if let json { try output.write(jsonText(report), to: json) }
  }
}
