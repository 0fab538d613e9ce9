#if RaceLaboratory
  import ArgumentParser
  import Glibc
  import Primitives
  import RaceLaboratory

  struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "run", abstract: "Runs litmus tests, each as it is and once for each safeguard that it is about.")

    @Option(help: "Only tests whose name begins like this.") var only: String?
    @Flag(help: "With one preemption less, and a short time for each search.") var short = false
    @Flag(help: "Weakens every ordering of the core, one half at a time, instead.") var orderings = false
    @Option(help: "Seconds for each search, at most. 3600 if not given, 10 with --short.") var seconds: Double?
    @Option(help: "Searches at one time. As many as there are cores if not given.") var jobs: Int?

    func validate() throws {
      if let jobs, !(1...1024).contains(jobs) { throw ValidationError("between 1 and 1024 jobs") }
      if let seconds, !(seconds > 0 && seconds <= 1e6) { throw ValidationError("a number of seconds that ends") }
    }

    mutating func run() throws {
      let tests = Litmus.all.filter { $0.name.hasPrefix(only ?? "") }
      guard !tests.isEmpty else { throw ValidationError("no test's name begins with \"\(only ?? "")\"") }
      let runner = try JobRunner(parallel: jobs ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
      defer { runner.cleanUp() }
      let time = seconds ?? (short ? 10 : 3600)
      let isRight =
        orderings
        ? try OrderingTable(tests, seconds: time).run(runner)
        : try LitmusTable(tests, seconds: time, isShort: short).run(runner)
      if !isRight { throw ExitCode(1) }
    }
  }
#endif
