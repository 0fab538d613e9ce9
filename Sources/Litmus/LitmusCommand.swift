import ArgumentParser

@main
struct LitmusCommand: ParsableCommand {
  #if RaceLaboratory
    static let configuration = CommandConfiguration(
      commandName: "litmus",
      abstract:
        "Runs the cache's own code in the orders that make a difference, up to a bound, whole and without safeguards.",
      subcommands: [RunCommand.self, ExploreCommand.self, BatchCommand.self], defaultSubcommand: RunCommand.self)
  #else
    static let configuration = CommandConfiguration(
      commandName: "litmus",
      abstract:
        "The litmus tests of the race laboratory, which this build does not have: scripts/litmus makes one that does.")

    mutating func run() throws {
      throw ValidationError("this build has no race laboratory: use scripts/litmus")
    }
  #endif
}
