import ArgumentParser
import Glibc
import PageCacheBenchmarking
import SystemPackage

struct BenchMemoryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory",
    abstract: "Random reads of a file four times the memory: the cache, the kernel, and another cache.",
    discussion: """
      All threads read pages of 4 KiB at random, uniformly and by Zipf's law, of which a quarter can be kept. The arms pread and mmap are held to the same memory by a \
      control group, for which this has to run as root; hyperclock is RocksDB's cache, a program that scripts/build-peers builds. An arm that cannot be had is left out, \
      with a line that says why.

      Every arm is a process of its own and reads the same pages. Rounds are interleaved, after all have filled what they keep.
      """)

  @Option(help: "Where the files are made: three of four times the limit. On a disk.")
  var path: String

  @Option(
    help: "Bytes that each arm may keep. (default: 256MiB)",
    transform: { try validated(single(parseByteCounts($0, in: MemoryPlan.allowedLimits))) })
  var limit: Int?

  @Option(
    help: "Threads. (default: all cores)",
    transform: { try validated(single(parseCounts($0, in: MemoryPlan.allowedThreads))) })
  var threads: Int?

  @Option(help: "Seconds of each round of each arm.")
  var seconds = 2.0

  @Option(
    help: "Rounds. (default: 7)", transform: { try validated(single(parseCounts($0, in: MemoryPlan.allowedRounds))) })
  var rounds: Int?

  @Option(help: "uniform, zipf. (default: both)", transform: { try validated(AccessDistribution.list($0)) })
  var distributions: [AccessDistribution]?

  @Option(
    help: "cache, pread, mmap, hyperclock. (default: all)", transform: { try validated(MemoryArmKind.list($0)) })
  var arms: [MemoryArmKind]?

  @Option(help: "What the pages are drawn from.")
  var seed: UInt64 = 1

  @Option(help: "The program of the arm hyperclock.")
  var peer: String?

  @Option(help: "Write the results as JSON; - for standard output, and the table goes to standard error.")
  var json: String?

  func validate() throws {
    guard seconds > 0, seconds <= 3600 else { throw ValidationError("\(seconds) seconds are no time to measure") }
  }

  mutating func run() throws {
    let output = try Output(json: json, files: [json])
    var plan = MemoryPlan()
    if let limit { plan.limit = limit }
    if let threads { plan.threads = threads }
    if let rounds { plan.rounds = rounds }
    if let distributions { plan.distributions = distributions }
    if let arms { plan.arms = arms }
    plan.seconds = seconds
    plan.seed = seed
    let (made, peer) = (plan, peer)
    let benchmark = MemoryBenchmark(plan, directory: path) { arm, distribution, file, group in
      let common = [
        "--arm", arm.rawValue, "--distribution", distribution.rawValue, "--file", file, "--limit", "\(made.limit)",
        "--threads", "\(made.threads)", "--seed", "\(made.seed)",
      ]
      if arm != .peer {
        return (
          [CommandProcess.executable, MemoryChildCommand.name] + common
            + (group.map { ["--group", $0.path] + ($0.version == .v2 ? ["--second"] : []) } ?? []), ""
        )
      }
      guard let peer else { return (nil, "no program is given (--peer; scripts/build-peers builds it)") }
      guard unsafe access(peer, X_OK) == 0 else { return (nil, "\(peer) is no program") }
      return ([peer] + common + ["--stream", "\(made.streamCount)", "--pages", "\(made.pageCount)"], "")
    }
    let report = try failing { try benchmark.run(progress: output.progress) }
    for line in report.lines { output.table(line) }
    if let json { try output.write(jsonText(report), to: json) }
  }
}
