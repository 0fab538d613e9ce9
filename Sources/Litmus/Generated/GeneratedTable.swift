#if RaceLaboratory
  import Primitives
  import RaceLaboratory

  /// Generated programs, all of which must be right; those that are not, made small and in groups.
  struct GeneratedTable {
    let seed: UInt64
    let programs: Int
    /// After so many, no further program is begun.
    let secondsInAll: Double

    private struct Group {
      var programs: [String] = []
      var first: BatchResult
    }

    /// - Returns: whether all were right.
    func run(_ runner: BatchRunner) throws -> Bool {
      var source = ProgramSource(seed: seed)
      var handedOut = 0
      var (explored, complete, executions) = (0, 0, 0)
      var groups: [String: Group] = [:]
      var unproven: [BatchResult] = []
      let begin = Explorer.now()
      show("seed \(seed), \(Letter.all.count) letters, \(Feature.all.count) features")
      try runner.run(shrinks: true) {
        guard handedOut < programs, Explorer.now() - begin < secondsInAll else { return nil }
        handedOut += 1
        return source.next().name
      } done: { result in
        explored += 1
        executions += result.result.executions
        if result.result.isComplete { complete += 1 }
        if result.result.isCaught {
          let name = result.shrunk ?? result.program
          if groups[name] == nil {
            show("WRONG \(name): \(result.result.kind ?? ""): \(result.result.message ?? "")")
            show("  again: explore \"\(name)\" --replay \(result.result.path ?? "")")
          }
          groups[name, default: Group(first: result)].programs.append(result.program)
        } else if result.result.kind != nil {
          unproven.append(result)
        }
        if explored % 500 == 0 {
          show("\(explored) programs, \(executions) executions, \(Int(Explorer.now() - begin)) seconds")
        }
      }
      for (name, group) in groups.sorted(by: { $0.key < $1.key }) {
        show("\n\(name): \(group.programs.count) programs, among them \(group.programs[0])")
        for line in group.first.trace { show(line) }
        show("\(group.first.result.kind ?? ""): \(group.first.result.message ?? "")")
      }
      for result in unproven { show("\(result.program) proves nothing: \(result.result.message ?? "")") }
      let wrong = groups.values.reduce(0) { $0 + $1.programs.count }
      show(
        "\(explored) programs, \(complete) of them to their end; \(executions) executions in "
          + "\(tenths(Explorer.now() - begin)) seconds; \(wrong) wrong, of \(groups.count) kinds; "
          + "\(source.excluded.values.reduce(0) { $0 + $1.count }) not explored")
      return groups.isEmpty && unproven.isEmpty
    }

    /// Prints what is not explored, and why.
    static func showExcluded(seed: UInt64, programs: Int) {
      var source = ProgramSource(seed: seed)
      for _ in 0..<programs { _ = source.next() }
      for exclusion in Exclusion.all {
        let names = source.excluded[exclusion.reason]?.map(\.name) ?? []
        show("\(names.count) programs: \(exclusion.reason)")
        for name in names.prefix(3) { show("  \(name)") }
      }
    }
  }
#endif
