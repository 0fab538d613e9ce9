import ArgumentParser
import PageCacheBenchmarking

struct BenchGraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grace", abstract: "What a read section costs, and how long a grace period takes.")

  @Flag(help: "Fewer measurements.")
  var quick = false

  @Option(help: "Write the results as JSON; - for standard output, and the table goes to standard error.")
  var json: String?

  mutating func run() throws {
    let output = try Output(json: json, files: [json])
    var benchmark = GraceBenchmark()
    if quick { benchmark.makeQuick() }
    let report = try failing { try benchmark.run(progress: output.progress) }
    for line in report.lines { output.table(line) }
    if let json { try output.write(jsonText(report), to: json) }
  }
}
