import ArgumentParser
import PageCache
import PageCacheBenchmarking
import SystemPackage

struct ExerciseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exercise", abstract: "Do everything to files at random, and check every byte.",
    discussion: """
      One thread: random operations of every kind on two files, against a model in memory. When they differ, the operations are \
      done again with parts left out for as long as they still fail, and the shortest list is printed with its seed.

      Several threads (--threads): a third of them change files, all bytes of which say which change put them there; the others read, and for each \
      read it is decided whether the file was ever so, at one instant while the read was under way. With --refusing, stores refuse one call in fifty, \
      and what fails because of that is done again.
      """)

  @Option(help: "Operations, by one thread.")
  var ops = 1_000_000

  @Option(help: "What the operations are drawn from.")
  var seed: UInt64 = 1

  @Option(
    help: "Threads; from 2 on, changes and reads at the same time.",
    transform: { try validated(single(parseCounts($0, in: 1...256))) })
  var threads = 1

  @Option(help: "How long several threads go on.")
  var seconds = 10.0

  @Option(help: "What is exercised: cache, or pread for the kernel's file system.")
  var target = Target.cache

  @Option(help: "What writes through the cache are worth: write-through, write-back or both.")
  var durability = Durability.both

  @Option(
    help: "Memory limit of the cache. (default: drawn from the seed)",
    transform: { try validated(single(parseByteCounts($0, in: 1...Int.max))) })
  var limit: Int?

  @Option(
    help:
      "What the names of the files begin with; they are removed. (default: a name of its own in bench-results, .build, $TMPDIR or /tmp)"
  )
  var path: String?

  @Flag(help: "Of several threads: over stores that refuse now and then.")
  var refusing = false

  enum Target: String, ExpressibleByArgument, CaseIterable { case cache, pread }

  enum Durability: String, ExpressibleByArgument, CaseIterable {
    case writeThrough = "write-through"
    case writeBack = "write-back"
    case both

    var ofFile: PageCache.Durability? {
      switch self {
      case .writeThrough: .writeThrough
      case .writeBack: .writeBack
      case .both: nil
      }
    }
  }

  func validate() throws {
    guard ops > 0 else { throw ValidationError("\(ops) is no number of operations") }
    guard !refusing || target == .cache && threads > 1 else {
      throw ValidationError("--refusing is for a cache and several threads")
    }
  }

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    let path = FilePath(path ?? ExercisePlaces.path)
    switch (target, threads) {
    case (.pread, 1): try runOne(path, output) { _ in KernelTarget() }
    case (.cache, 1):
      try runOne(path, output) { [durability, limit] in
        try CacheTarget(seed: $0, durability: durability.ofFile, memoryLimit: limit)
      }
    case (.pread, _): try runThreads(failing { try KernelTarget(probing: path) }, path, output)
    case (.cache, _):
      let target = try failing { [seed, durability, limit] in
        try CacheTarget(
          seed: seed, durability: durability.ofFile, memoryLimit: limit ?? 16 << 20, maximumAtomicLength: 1 << 20)
      }
      guard refusing else {
        output.progress(target.name)
        return try runThreads(target, path, output)
      }
      let retried = RetriedTarget(target, seed: seed)
      output.progress(retried.name)
      defer { output.table(retried.account) }
      try runThreads(retried, path, output)
    }
  }

  private func runOne<Target: ExerciseTarget>(
    _ path: FilePath, _ output: Output, target: @escaping (_ seed: UInt64) throws -> Target
  ) throws {
    var exercise = Exercise(path: path, target: target)
    exercise.operations = ops
    exercise.seed = seed
    let report = try failing { [exercise] in try exercise.run(progress: output.progress) }
    for line in report.lines { output.table(line) }
    if report.failure != nil { throw ExitCode.failure }
  }

  private func runThreads(_ target: some ExerciseTarget, _ path: FilePath, _ output: Output) throws {
    var exercise = StampedExercise(path: path, target: target)
    exercise.threads = threads
    exercise.seconds = seconds
    exercise.seed = seed
    output.progress("\(exercise.writers) threads change, \(exercise.readers) read, \(seconds) s, seed \(seed)")
    let report = try failing { [exercise] in try exercise.run() }
    for line in report.lines { output.table(line) }
    // The kernel's file systems promise less: there, what is torn is counted.
    if !report.isClean, self.target != .pread { throw ExitCode.failure }
  }
}
