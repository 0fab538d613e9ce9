import ArgumentParser
import PageCacheBenchmarking

struct BenchAtomicityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "atomicity", abstract: "Reads beside changes: how fast, and how many of them are torn.",
    discussion: """
      Threads read blocks of 16 KiB at random while one thread changes the file. Every block carries the stamp of the write that put it there, so \
      a read that is part of one write and part of another is seen. Each arm is measured in three ways: readers alone, changes alone, \
      both; the rounds of all arms are interleaved.

      Scenarios: write (blocks at random), hot (one block), punch (blocks of one MiB become holes and are filled again), truncate (the last quarter is cut off, put back, filled).

      Arms: cache is the cache, with write-back; cache-rwlock has a lock around every call that reads share, as XFS has; cache-pagewise reads a page at a \
      time, as ext4 does; pread-ext4 and pread-xfs are the kernel on the directories given; without these, pread is the kernel on --directory. \
      scripts/bench-atomicity mounts an image of each.
      """)

  @OptionGroup var table: TableOptions

  @Option(help: "A directory on ext4.")
  var ext4: String?

  @Option(help: "A directory on XFS.")
  var xfs: String?

  @Option(
    help: "Scenarios. (default: write,hot,punch,truncate)", transform: { try validated(AtomicityScenario.list($0)) })
  var scenarios: [AtomicityScenario]?

  @Option(
    help: "Readers. (default: all cores but one)",
    transform: { try validated(single(parseCounts($0, in: AtomicityPlan.allowedReaders))) })
  var readers: Int?

  @Option(
    help: "Size of the file. (default: 64MiB)",
    transform: { try validated(single(parseByteCounts($0, in: AtomicityPlan.allowedFileBytes))) })
  var fileBytes: Int?

  @OptionGroup var common: RoundOptions

  @Option(
    help: "Milliseconds of each part of a round. (default: 40; quick: 10)",
    transform: { try validated(single(parseCounts($0, in: ReadPlan.allowedMilliseconds))) })
  var milliseconds: Int?

  private var plan: AtomicityPlan {
    var plan = AtomicityPlan()
    if table.quick { plan.makeQuick() }
    if let scenarios { plan.scenarios = scenarios }
    if let readers { plan.readers = readers }
    if let fileBytes { plan.fileBytes = fileBytes }
    if let rounds = common.rounds { plan.rounds = rounds }
    if let milliseconds { plan.millisecondsPerRound = milliseconds }
    return plan
  }

  mutating func run() throws {
    let output = try Output(json: table.json, files: [table.json])
    let plan = plan
    var entries = try failing {
      try CacheAtomicity.entries(
        directory: ExercisePlaces.directory(common.directory), memoryLimit: 4 * plan.fileBytes + (64 << 20))
    }
    var skipped: [String] = []
    for (name, place) in [("pread-ext4", ext4), ("pread-xfs", xfs)] {
      if let place {
        entries.append(try failing { try KernelAtomicity.entry(name: name, directory: place) })
      } else {
        skipped.append("\(name): no directory was given")
      }
    }
    if ext4 == nil, xfs == nil {
      entries.append(
        try failing { try KernelAtomicity.entry(name: "pread", directory: ExercisePlaces.directory(common.directory)) })
    }
    var report = try failing { [entries] in
      try AtomicityBenchmark(plan, entries: entries).run(progress: output.progress)
    }
    report.skipped = skipped
    for line in report.lines { output.table(line) }
    if let json = table.json { try output.write(jsonText(report), to: json) }
  }
}
