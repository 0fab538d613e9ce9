import ArgumentParser
import PageCacheBenchmarking

/// Options of all benchmarks that print a table.
struct TableOptions: ParsableArguments {
  @Flag(help: "Fewer and shorter rounds.")
  var quick = false

  @Option(help: "Write the results as JSON; - for standard output, and the table goes to standard error.")
  var json: String?
}

/// Options of those that interleave rounds of several arms over files.
struct RoundOptions: ParsableArguments {
  @Option(
    help: "Rounds. (default: 9; quick: 5)",
    transform: { try validated(single(parseCounts($0, in: ReadPlan.allowedRounds))) })
  var rounds: Int?

  @Option(help: "Where the files are made. (default: bench-results, .build, $TMPDIR or /tmp)")
  var directory: String?
}
