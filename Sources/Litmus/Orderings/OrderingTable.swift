#if RaceLaboratory
  import RaceLaboratory

  /// Every ordering of the core, weakened one half at a time: caught by some litmus test, or argued.
  final class OrderingTable {
    private let tests: [Litmus]
    private let seconds: Double
    private let isWhole: Bool
    private var complaints: [String] = []
    private var sources = SourceLines()

    /// - Parameter seconds: for each search.
    init(_ tests: [Litmus], seconds: Double) {
      self.tests = tests.filter { !$0.isBroken }
      self.seconds = seconds
      isWhole = tests.count == Litmus.all.count
    }

    private static let rooms = ["ReadCopyUpdate/", "PageIndex/", "Folios/", "PageCache/"]

    private struct Search {
      let mutant: OrderingMutant
      /// Tests that execute it, the quickest last.
      var left: [Litmus]
      var executions = 0
      var seconds = 0.0
      var isRunning = false
      var caught: (test: String, result: JobResult)?
      /// Whether a test comes by.
      var isExecuted: Bool

      var isOver: Bool { !isRunning && (caught != nil || left.isEmpty) }
    }

    /// - Returns: whether every ordering is caught or argued.
    func run(_ runner: JobRunner) throws -> Bool {
      var searches = try findSites(runner)
      let executed = searches.count { $0.isExecuted }
      show("\(searches.count) halves of orderings, \(executed) of them executed by \(tests.count) tests")
      var printed = 0
      try runner.run {
        guard let number = searches.firstIndex(where: { !$0.isRunning && $0.caught == nil && !$0.left.isEmpty }),
          let litmus = searches[number].left.popLast()
        else { return nil }
        searches[number].isRunning = true
        return Job(litmus: litmus.name, ordering: searches[number].mutant, bound: litmus.bound, seconds: seconds)
      } done: { job, result in
        guard let number = searches.firstIndex(where: { $0.mutant == job.ordering }) else { return }
        searches[number].isRunning = false
        searches[number].executions += result.executions
        searches[number].seconds += result.seconds
        if result.isCaught { searches[number].caught = (job.litmus, result) }
        if result.kind == RaceFailure.Kind.laboratory.rawValue {
          complaints.append("\(job.litmus) with \(searches[number].mutant): \(result.message ?? "")")
        }
        while printed < searches.count, searches[printed].isOver {
          show(row(searches[printed]))
          printed += 1
        }
      }
      while printed < searches.count {
        show(row(searches[printed]))
        printed += 1
      }
      let caught = searches.count { $0.caught != nil }
      let argued = searches.count { $0.caught == nil && argument(for: $0.mutant) != nil }
      show("orderings: \(caught) caught, \(argued) argued, \(searches.count) in all")
      if isWhole { complainOfStaleArguments(searches.map(\.mutant)) }
      for complaint in complaints { show(complaint) }
      return complaints.isEmpty
    }

    /// Which orderings the tests execute, and how long each takes.
    private func findSites(_ runner: JobRunner) throws -> [Search] {
      var found: [OrderingMutant: [(litmus: Litmus, seconds: Double)]] = [:]
      try runner.run(tests.map { Job(litmus: $0.name, bound: $0.bound, seconds: seconds) }) { job, result in
        guard let litmus = tests.first(where: { $0.name == job.litmus }) else { return }
        if let message = result.message { complaints.append("\(job.litmus), as it is: \(message)") }
        for site in result.sites where Self.rooms.contains(where: { site.file.hasPrefix($0) }) {
          found[site, default: []].append((litmus, result.isComplete ? result.seconds : .infinity))
        }
      }
      // Some tests execute some orderings; all of them should execute all.
      if isWhole {
        for mutant in sources.orderings(of: Self.rooms) where found[mutant] == nil { found[mutant] = [] }
      }
      return found.map { mutant, tests in
        Search(
          mutant: mutant, left: tests.sorted { $0.seconds > $1.seconds }.map(\.litmus), isExecuted: !tests.isEmpty)
      }.sorted {
        ($0.mutant.file, $0.mutant.line, $0.mutant.half.rawValue) < (
          $1.mutant.file, $1.mutant.line, $1.mutant.half.rawValue
        )
      }
    }

    private func argument(for mutant: OrderingMutant) -> OrderingArgument? {
      let line = sources.line(mutant.file, mutant.line)
      return OrderingArgument.all.first { $0.file == mutant.file && $0.half == mutant.half && line.contains($0.line) }
    }

    private func row(_ search: Search) -> String {
      let line = sources.line(search.mutant.file, search.mutant.line)
      let place = "\(search.mutant.file):\(search.mutant.line)"
      if let (test, result) = search.caught {
        return "\(place) \(search.mutant.half.rawValue): caught by \(test) after \(result.executions) "
          + "(\(search.executions) in all, \(Int(search.seconds.rounded())) s): \(result.message ?? "")"
      }
      let tried =
        search.isExecuted ? "\(search.executions) executions in \(Int(search.seconds.rounded())) s" : "not executed"
      if let argument = argument(for: search.mutant) {
        return "\(place) \(search.mutant.half.rawValue): argued, \(tried): \(argument.why)"
      }
      complaints.append("\(place) \(search.mutant.half.rawValue) is neither caught nor argued: \(line)")
      return "\(place) \(search.mutant.half.rawValue): NOT CAUGHT, \(tried): \(line)"
    }

    private func complainOfStaleArguments(_ mutants: [OrderingMutant]) {
      for argument in OrderingArgument.all
      where !mutants.contains(where: {
        $0.file == argument.file && $0.half == argument.half && sources.line($0.file, $0.line).contains(argument.line)
      }) {
        complaints.append("\(argument.file) has no \"\(argument.line)\" any more, for which there is an argument")
      }
    }
  }
#endif
