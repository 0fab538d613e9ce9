import ArgumentParser
import PageCacheBenchmarking

struct BenchScanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scan", abstract: "Cold reads of one file: the cache, the disk, the kernel.",
    discussion: """
      One thread reads a file of which nothing is cached: from its start to its end in blocks of 128 KiB and of 1 MiB, 16 KiB of every 64 KiB, and blocks of \
      4 KiB at random. Beside the cache stand fio with direct reads (many under way, and one after the other), if it is installed, and pread(2) on a buffered \
      descriptor. Of the cache it is also told how many bytes it had from the store for those that it was asked for.
      """)

  @Option(help: "Where the file is made. On a disk.")
  var path: String

  @Option(
    help: "Size of the file. (default: 1GiB)",
    transform: { try validated(single(parseByteCounts($0, in: ScanPlan.allowedFileBytes))) })
  var size: Int?

  @Option(
    help: "Memory limit of the cache. (default: 256MiB)",
    transform: { try validated(single(parseByteCounts($0, in: ScanPlan.allowedLimits))) })
  var limit: Int?

  @Option(
    help: "Rounds. (default: 7)", transform: { try validated(single(parseCounts($0, in: ScanPlan.allowedRounds))) })
  var rounds: Int?

  @Option(help: "Largest order of the cache's folios: 2^n frames of 4 KiB, 0 to 9.")
  var largestOrder = 0

  @Option(help: "Write the results as JSON; - for standard output, and the table goes to standard error.")
  var json: String?

  func validate() throws {
    guard (0...9).contains(largestOrder) else { throw ValidationError("orders are 0 to 9, not \(largestOrder)") }
  }

  mutating func run() throws {
    let output = try Output(json: json, files: [json])
    var plan = ScanPlan()
    if let size { plan.fileBytes = size }
    if let limit { plan.limit = limit }
    if let rounds { plan.rounds = rounds }
    plan.largestOrder = largestOrder
    let report = try failing { [plan, path] in
      try ScanBenchmark(plan, directory: path).run(progress: output.progress)
    }
    for line in report.lines { output.table(line) }
    if let json { try output.write(jsonText(report), to: json) }
  }
}
