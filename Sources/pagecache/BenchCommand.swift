import ArgumentParser

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure the cache beside the kernel.",
    subcommands: [
      BenchReadsCommand.self, BenchWritesCommand.self, BenchAtomicityCommand.self, BenchHolesCommand.self,
      BenchEvictionCommand.self, BenchGraceCommand.self, BenchReuseCommand.self, BenchMemoryCommand.self,
      BenchScanCommand.self, BenchOrderedCommand.self,
    ])
}
