#if RaceLaboratory
  import ArgumentParser
  import Glibc
  import Primitives
  import RaceLaboratory

  struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "run", abstract: "Runs litmus tests, each as it is and once for each safeguard that it is about.")

    @Option(help: "Only tests whose name begins like this.") var only: String?
    @Flag(help: "With one preemption less, and a short time for each search; of generated programs, a minute of them.")
    var short = false
    @Flag(help: "Weakens every ordering of the core, one half at a time, instead.") var orderings = false
    @Flag(help: "Explores programs that are made from an alphabet, instead.") var generated = false
    @Flag(help: "With --generated: how many of them fail without each safeguard.") var score = false
    @Flag(help: "With --generated: prints what is not explored, and why.") var excluded = false
    @Option(help: "Generated programs. 20,000 if not given, 500 with --score.") var programs: Int?
    @Option(help: "Executions of one generated program, at most. 600 if not given, 200 with --short.")
    var executions: Int?
    @Option(help: "What generated programs are drawn by. PAGECACHE_SEED, or 1, if not given.") var seed: UInt64?
    @Option(help: "Seconds for each search, at most. 3600 if not given, 10 with --short, 60 with --generated.")
    var seconds: Double?
    @Option(help: "Searches at one time. As many as there are cores if not given.") var jobs: Int?

    func validate() throws {
      if let jobs, !(1...1024).contains(jobs) { throw ValidationError("between 1 and 1024 jobs") }
      if let seconds, !(seconds > 0 && seconds <= 1e6) { throw ValidationError("a number of seconds that ends") }
      if let programs, programs < 1 { throw ValidationError("one program at least") }
      if let executions, executions < 10 { throw ValidationError("ten executions at least") }
      guard generated else {
        if score || excluded || programs != nil || executions != nil || seed != nil {
          throw ValidationError("--score, --excluded, --programs, --executions and --seed belong to --generated")
        }
        return
      }
      if only != nil || orderings { throw ValidationError("--only and --orderings are for hand-written tests") }
    }

    private func runGenerated() throws -> Bool {
      let environment = unsafe getenv("PAGECACHE_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
      let seed = seed ?? (short ? 1 : environment ?? 1)
      let programs = programs ?? (score ? 500 : 20_000)
      if excluded {
        GeneratedTable.showExcluded(seed: seed, programs: programs)
        return true
      }
      let runner = try BatchRunner(
        parallel: jobs ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))), executions: executions ?? (short ? 200 : 600),
        seconds: seconds ?? 60)
      defer { runner.cleanUp() }
      if score {
        try ScoreTable(seed: seed, programs: programs).run(runner)
        return true
      }
      return try GeneratedTable(seed: seed, programs: programs, secondsInAll: short ? 60 : .infinity).run(runner)
    }

    mutating func run() throws {
      if generated {
        if try !runGenerated() { throw ExitCode(1) }
        return
      }
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
