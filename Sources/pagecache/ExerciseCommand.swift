import ArgumentParser
import PageCacheBenchmarking
import SystemPackage

struct ExerciseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exercise", abstract: "Do everything to files at random, and check every byte.",
    discussion: """
      One thread: random operations of every kind on two files, against a model in memory. When they differ, the operations are \
      done again with parts left out for as long as they still fail, and the shortest list is printed with its seed.
      """)

  @Option(help: "Operations, by one thread.")
  var ops = 1_000_000

  @Option(help: "What the operations are drawn from.")
  var seed: UInt64 = 1

  @Option(help: "What is exercised: pread.")
  var target = Target.pread

  @Option(
    help:
      "What the names of the files begin with; they are removed. (default: a name of its own in bench-results, .build, $TMPDIR or /tmp)"
  )
  var path: String?

  enum Target: String, ExpressibleByArgument, CaseIterable { case pread }

  func validate() throws {
    guard ops > 0 else { throw ValidationError("\(ops) is no number of operations") }
  }

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    let path = FilePath(path ?? ExercisePlaces.path)
    var exercise = Exercise(path: path) { _ in KernelTarget() }
    exercise.operations = ops
    exercise.seed = seed
    let report = try failing { [exercise] in try exercise.run(progress: output.progress) }
    for line in report.lines { output.table(line) }
    if report.failure != nil { throw ExitCode.failure }
  }
}
