import ArgumentParser

#if RaceLaboratory
  import Glibc
  import Primitives
  import RaceLaboratory

  @main
  struct LitmusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "litmus")

    @Option var only: String?
    @Option var bound: Int = 3
    @Option var seconds: Double = 20
    @Option var mutant: String?
    @Flag var mutants = false
    @Flag var exhaustive = false
    @Flag var trace = false

    mutating func run() throws {
      let all = Litmus.reading + Litmus.reshaping + Litmus.waiting + Litmus.durability
      for litmus in all where only == nil || litmus.name == only {
        for mutant in mutants ? litmus.mutants.map(Optional.some) : [mutant.flatMap { Safeguard(rawValue: $0) }] {
          unsafe takenAway = mutant
          let report = Explorer.shared.explore(
            .exhaustive(preemptions: exhaustive ? nil : bound), limits: Limits(seconds: seconds), litmus.make)
          print(
            litmus.name, mutant.map { "-\($0)" } ?? "", report.executions, report.isComplete, report.seconds, "steps",
            report.longest, Double(report.executions) / report.seconds, "/s", report.failure?.message ?? "clean")
          if let failure = report.failure, trace {
            print(failure.path);
            for e in failure.trace {
              print(
                e.thread, e.operation, e.order, String(e.address, radix: 16), String(e.value, radix: 16), e.other,
                e.site.file, e.site.line, e.text ?? "")
            }
          }
        }
      }
    }
  }
#else
  @main
  struct LitmusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "litmus",
      abstract:
        "The litmus tests of the race laboratory. This build has no laboratory: scripts/litmus makes one that has.")

    mutating func run() throws {
      throw ValidationError("this build has no race laboratory: use scripts/litmus")
    }
  }
#endif
