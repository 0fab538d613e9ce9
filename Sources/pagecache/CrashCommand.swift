import ArgumentParser
import PageCacheBenchmarking
import SystemPackage

struct CrashCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "crash", abstract: "Kill a process that writes, and look at what is left.",
    discussion: """
      In each round a process changes two files (writes, appends, holes, new sizes, collapses, insertions) and syncs them now and then; what \
      it does is in a log that outlives it. At a random moment it is killed (SIGKILL). Then the files are read with pread(2):

      write-through: every change that had returned must be there; the one under way, page by page, or not at all.

      write-back: everything that was synced must be there; later changes page by page or not at all, and those of the layout in their order.

      --ordered: in each round four threads of a process write an index and its log, each entry of the index not \
      before its record in the log, and one syncs the index. Every entry that is there must name a record that is \
      there, and what a sync has returned for must be there. The durability is that of the log; the index is written \
      back.

      The files must open afterwards. This is about the process: what the kernel has is safe here, and a power cut is not tried.
      """)

  @Option(help: "Rounds of each durability.")
  var rounds = 100

  @Option(help: "What the changes and moments are drawn from.")
  var seed: UInt64 = 1

  @Option(help: "The longest that a process lives.")
  var milliseconds = 300

  @Option(help: "What writes: cache, or pread (pwrite, that is).")
  var target = ExerciseCommand.Target.cache

  @Option(help: "write-through, write-back or both.")
  var durability = "both"

  @Flag(help: "An index that must not be ahead of its log.")
  var ordered = false

  @Option(help: "Where the files are made. (default: bench-results, .build, $TMPDIR or /tmp)")
  var directory: String?

  func validate() throws {
    guard durability == "both" || CrashDurability(rawValue: durability) != nil else {
      throw ValidationError("'\(durability)' is no durability: there are write-through, write-back and both")
    }
    guard rounds > 0, milliseconds > 0 else { throw ValidationError("nothing to be done") }
    guard !ordered || target == .cache else { throw ValidationError("--ordered is for the cache") }
  }

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    let path = ExercisePlaces.directory(directory) + "/pagecache-crash-\(CommandProcess.number)"
    var isClean = true
    let wanted = CrashDurability.allCases.filter { durability == "both" || $0.rawValue == durability }
    for one in wanted {
      if ordered {
        let report = try runOrdered(path, one, output)
        for line in report.lines { output.table(line) }
        if report.violations > 0 { isClean = false }
        continue
      }
      let report =
        switch target {
        case .pread: try run(path, one, output) { _ in try KernelTarget(probing: FilePath(path)) }
        case .cache: try run(path, one, output) { try CacheTarget(crashing: $0, durability: one) }
        }
      for line in report.lines { output.table(line) }
      if report.violations > 0 { isClean = false }
    }
    if !isClean { throw ExitCode.failure }
  }

  private func run<Target: ExerciseTarget>(
    _ path: String, _ durability: CrashDurability, _ output: Output, target made: @escaping (UInt64) throws -> Target
  ) throws -> CrashReport {
    var crash = CrashRounds(
      path: path, durability: durability,
      command: { [target] load in
        [
          CommandProcess.executable, CrashChildCommand.name, "--seed", "\(load.seed)", "--path", load.path,
          "--durability", durability.rawValue, "--target", target.rawValue,
        ]
      }, target: made)
    crash.rounds = rounds
    crash.seed = seed
    crash.milliseconds = milliseconds
    return try failing { [crash] in try crash.run(progress: output.progress) }
  }
}

extension CrashCommand {
  private func runOrdered(
    _ path: String, _ durability: CrashDurability, _ output: Output
  ) throws -> OrderedCrashReport {
    var crash = OrderedCrashRounds(path: path, durability: durability) { load in
      [
        CommandProcess.executable, OrderedCrashChildCommand.name, "--seed", "\(load.seed)", "--path", load.path,
        "--durability", load.durability.rawValue,
      ]
    }
    crash.rounds = rounds
    crash.seed = seed
    crash.milliseconds = milliseconds
    return try failing { [crash] in try crash.run(progress: output.progress) }
  }
}

/// The process that `crash --ordered` kills. Not for people.
struct OrderedCrashChildCommand: ParsableCommand {
  static let name = "crash-ordered-child"
  static let configuration = CommandConfiguration(commandName: name, abstract: "Is killed.", shouldDisplay: false)

  @Option var seed: UInt64
  @Option var path: String
  @Option var durability: String

  mutating func run() throws {
    guard let durability = CrashDurability(rawValue: durability) else { throw Failure("no durability") }
    let load = OrderedCrashLoad(seed: seed, path: path, durability: durability)
    try failing { try OrderedCrashChild(load).run() }
  }
}

/// The process that `crash` kills. Not for people.
struct CrashChildCommand: ParsableCommand {
  static let name = "crash-child"
  static let configuration = CommandConfiguration(commandName: name, abstract: "Is killed.", shouldDisplay: false)

  @Option var seed: UInt64
  @Option var path: String
  @Option var durability: String
  @Option var target: ExerciseCommand.Target

  mutating func run() throws {
    let load = CrashLoad(seed: seed, path: path)
    guard let durability = CrashDurability(rawValue: durability) else { throw Failure("no durability") }
    try failing {
      switch target {
      case .pread: try CrashChild(load, target: KernelTarget(probing: FilePath(path))).run()
      case .cache: try CrashChild(load, target: CacheTarget(crashing: seed, durability: durability)).run()
      }
    }
  }
}
