import ArgumentParser

/// The command `pagecache`.
@main
struct PageCacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pagecache", abstract: "A page cache that a program links: its tools.",
    subcommands: [
      BenchCommand.self, ExerciseCommand.self, CrashCommand.self, CrashStatesCommand.self, StatCommand.self,
      StressCommand.self, SoakCommand.self, CrashChildCommand.self, OrderedCrashChildCommand.self,
      MemoryChildCommand.self,
    ])
}
