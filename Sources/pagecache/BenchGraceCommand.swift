import ArgumentParser
import PageCacheBenchmarking

struct BenchGraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grace", abstract: "What a read section costs, and how long a grace period takes.")

  @OptionGroup var table: TableOptions

  mutating func run() throws {
    let output = try Output(json: table.json, files: [table.json])
    var benchmark = GraceBenchmark()
    if table.quick { benchmark.makeQuick() }
    let report = try failing { try benchmark.run(progress: output.progress) }
    for line in report.lines { output.table(line) }
    if let json = table.json { try output.write(jsonText(report), to: json) }
  }
}
