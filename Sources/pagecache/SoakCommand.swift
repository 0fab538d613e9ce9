import ArgumentParser
import PageCacheBenchmarking
import SystemPackage

struct SoakCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "soak", abstract: "Do everything to files for a long time, check every byte, and watch the memory.",
    discussion: """
      Threads read at all lengths, write, truncate, punch and reshape files, some of them larger than the cache; files are closed and opened again; what is \
      cached is saved and restored; the limit changes. Every byte that is read says which write put it there, and is checked. Four times a second the \
      process's memory is compared with what it was before the cache was made: it may not be more than the limit and 8 MiB above that.

      At the end all files are read in full, through the cache and with pread(2). Fails if anything was wrong, or refused.
      """)

  @Option(help: "How long, in minutes.")
  var minutes = 15.0

  @Option(help: "What everything is drawn from.")
  var seed: UInt64 = 1

  @Option(help: "The directory of the files; they are removed. (default: bench-results, .build, $TMPDIR or /tmp)")
  var path: String?

  @Option(
    help: "Memory limit of the cache. (default: 64MiB)",
    transform: { try validated(single(parseByteCounts($0, in: 1...1 << 34))) })
  var limit: Int?

  @Option(
    help: "Threads that change and read files of which every state is known.",
    transform: { try validated(single(parseCounts($0, in: 2...64))) })
  var threads = 4

  @Option(help: "The largest order of folios, 0 to 9.")
  var order = 4

  @Option(help: "Write a picture of the memory (SVG).")
  var plot: String?

  @Flag(help: "Leave the C library's allocator as it is: what it keeps of memory that was freed is measured, too.")
  var plainMalloc = false

  func validate() throws {
    guard minutes > 0, minutes <= 100_000 else { throw ValidationError("\(minutes) is no time to soak for") }
    guard (0...9).contains(order) else { throw ValidationError("orders are 0 to 9, not \(order)") }
  }

  mutating func run() throws {
    let output = try Output(json: nil, files: [plot])
    let name = "pagecache-soak-\(CommandProcess.number)"
    var soak = Soak(path: FilePath("\(ExercisePlaces.directory(path))/\(name)"))
    soak.seconds = minutes * 60
    soak.seed = seed
    soak.threads = threads
    soak.keepsMallocAsItIs = plainMalloc
    soak.folioOrders = 0...order
    if let limit { soak.memoryLimit = limit }
    output.progress("\(minutes) minutes, seed \(seed)")
    let report = try failing { [soak] in try soak.run(progress: output.progress) }
    for line in report.lines { output.table(line) }
    if let plot {
      guard let picture = SoakPlot(report).svg else { throw Failure("nothing was sampled that could be drawn") }
      try output.write(picture, to: plot)
    }
    if !report.isClean { throw ExitCode.failure }
  }
}
