#if RaceLaboratory
  import Primitives
  import RaceLaboratory

  /// How many generated programs fail without each safeguard.
  struct ScoreTable {
    let seed: UInt64
    let programs: Int

    func run(_ runner: BatchRunner) throws {
      var source = ProgramSource(seed: seed)
      let drawn = source.next(programs).map(\.name)
      // What is wrong already says nothing of a safeguard.
      let wrong = try explore(drawn, without: nil, runner)
      let clean = drawn.filter { wrong[$0] == nil }
      show("seed \(seed): \(clean.count) programs, \(wrong.count) more are wrong with all safeguards")
      var holes: [String] = []
      for safeguard in Safeguard.allCases {
        let failing = try explore(clean, without: safeguard.rawValue, runner)
        let tests = Litmus.all.count { $0.mutants.contains(safeguard) }
        if failing.isEmpty { holes.append(safeguard.rawValue) }
        let first = clean.first { failing[$0] != nil }
        show(
          "\(safeguard.rawValue): \(failing.count) of \(clean.count) programs, \(tests) tests"
            + (first.map { "; first \($0): \(failing[$0]?.message ?? "")" } ?? ""))
      }
      show("\(Safeguard.allCases.count - holes.count) of \(Safeguard.allCases.count) safeguards are missed")
      for hole in holes { show("a hole in the alphabet: only hand-written tests miss \(hole)") }
    }

    /// Those that are wrong.
    private func explore(
      _ programs: [String], without safeguard: String?, _ runner: BatchRunner
    ) throws -> [String: JobResult] {
      var left = programs[...]
      var wrong: [String: JobResult] = [:]
      try runner.run(without: safeguard) {
        left.popFirst()
      } done: { result in
        if result.result.isCaught { wrong[result.program] = result.result }
      }
      return wrong
    }
  }
#endif
