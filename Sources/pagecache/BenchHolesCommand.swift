import ArgumentParser
import PageCacheBenchmarking

struct BenchHolesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "holes", abstract: "Reading a sparse file of a terabyte, beside memset.",
    discussion: """
      A file of 1 TiB that is all hole is read all over, then 10 GiB of it in a row. Printed are its speed beside memset's on the same buffer, in turns, and \
      the frames that its data and its index take.
      """)

  @Option(help: "Where the file is made. (default: bench-results, .build, $TMPDIR or /tmp)")
  var directory: String?

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    let place = ExercisePlaces.directory(directory)
    let report = try failing { try HoleBenchmark().run(directory: place) }
    for line in report.lines { output.table(line) }
    if !report.isClean { throw ExitCode.failure }
  }
}
