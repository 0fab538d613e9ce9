#if RaceLaboratory
  import ArgumentParser
  import FoundationEssentials
  import Glibc
  import Primitives
  import RaceLaboratory

  struct ExploreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "explore", abstract: "Searches one litmus test, and prints the first execution that is wrong.")

    enum Search: String, ExpressibleByArgument, CaseIterable { case exhaustive, random, priorities }

    @Argument(help: "The test's name; \"list\" for all names.") var name: String
    @Option(help: "A safeguard to take away.") var without: String?
    @Option(help: "An ordering to weaken: Module/File.swift:line:acquire, release or sequential.") var weaken: String?
    @Option(help: "Preemptions in one execution, at most; none for any number. The test's own if not given.")
    var bound: String?
    @Option(help: "Seconds after which the search ends.") var seconds: Double = 60
    @Option(help: "How executions are chosen.") var search: Search = .exhaustive
    @Option(help: "For random searches.") var seed: UInt64 = 1
    @Option(help: "Executions of a random search.") var count: Int = 100_000
    @Option(help: "Changes of priority in one execution of a priorities search, plus one.") var depth: Int = 4
    @Option(help: "Runs one execution again, from what a failure printed.") var replay: String?
    @Flag(help: "Prints the last execution of a search that found nothing.") var showsLast = false
    @Flag(help: "Prints the result for programs.") var json = false

    func validate() throws {
      guard name == "list" || Litmus.all.contains(where: { $0.name == name }) else {
        throw ValidationError("there is no litmus test \"\(name)\": explore list prints their names")
      }
      if let without, Safeguard(rawValue: without) == nil {
        throw ValidationError(
          "there is no safeguard \"\(without)\": " + Safeguard.allCases.map(\.rawValue).joined(separator: ", "))
      }
      if weaken != nil, ordering == nil { throw ValidationError("an ordering is named as Module/File.swift:line:half") }
      if let bound, bound != "none", Int(bound).map({ $0 < 0 || $0 > 1000 }) ?? true {
        throw ValidationError("a bound is a number or none")
      }
      if let replay, Path(replay) == nil { throw ValidationError("this is not a path: \(replay)") }
      guard seconds > 0, seconds <= 1e6, count > 0, depth > 0, depth < 1000 else {
        throw ValidationError("seconds, count and depth are more than nothing, and not without end")
      }
    }

    private var ordering: OrderingMutant? {
      guard let parts = weaken?.split(separator: ":"), parts.count == 3, let line = UInt(parts[1]),
        let half = OrderingMutant.Half(rawValue: String(parts[2]))
      else { return nil }
      return OrderingMutant(file: String(parts[0]), line: line, half: half)
    }

    private func strategy(_ litmus: Litmus) -> Strategy {
      if let replay, let path = Path(replay) { return .replay(path) }
      switch search {
      case .exhaustive: return .exhaustive(preemptions: bound.map { Int($0) } ?? litmus.bound)
      case .random: return .random(seed: seed, count: count)
      case .priorities: return .priorities(seed: seed, count: count, depth: depth)
      }
    }

    mutating func run() throws {
      if name == "list" {
        for litmus in Litmus.all { print("\(litmus.name): \(litmus.about)") }
        return
      }
      guard let litmus = Litmus.all.first(where: { $0.name == name }) else { return }
      if !json { try restartWithFixedHashing() }
      // A search that does not come back is no result.
      if json { alarm(UInt32(min(seconds * 2 + 60, 1e6))) }
      unsafe takenAway = without.flatMap { Safeguard(rawValue: $0) }
      let explorer = Explorer.shared
      explorer.orderingMutant = ordering
      explorer.notesSites = json && ordering == nil && without == nil
      let report = explorer.explore(strategy(litmus), limits: Limits(seconds: seconds), litmus.make)
      if json {
        var result = JobResult(report)
        result.sites = Array(explorer.sites)
        return print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
      }
      print("\(litmus.name): \(litmus.about)")
      let rate = Int(Double(report.executions) / max(report.seconds, 1e-9))
      print("\(report.executions) executions, \(rate) a second" + (report.isComplete ? ", all there are" : ""))
      guard let failure = report.failure else {
        var text = TraceText(names: explorer.threadNames)
        if showsLast { for line in text.text(explorer.lastTrace) { print(line) } }
        return print("clean")
      }
      var text = TraceText(names: explorer.threadNames)
      for line in text.text(failure.trace) { print(line) }
      print("\n\(failure.kind.rawValue): \(failure.message)")
      print(
        "again: explore \"\(name)\"" + (without.map { " --without \($0)" } ?? "")
          + (weaken.map { " --weaken \($0)" } ?? "") + " --replay \(failure.path)")
      throw ExitCode(1)
    }

    /// Sets and dictionaries have an order that differs from one process to the next, unless this is set before it starts.
    private func restartWithFixedHashing() throws {
      guard unsafe getenv("SWIFT_DETERMINISTIC_HASHING") == nil else { return }
      unsafe setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
      var arguments: [UnsafeMutablePointer<CChar>?] = unsafe CommandLine.arguments.map { unsafe strdup($0) } + [nil]
      unsafe execv("/proc/self/exe", &arguments)
      throw ValidationError("cannot start again: errno \(errno)")
    }
  }
#endif
