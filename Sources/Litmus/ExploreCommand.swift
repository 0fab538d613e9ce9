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

    @Argument(help: "The test's name, or that of a generated program; \"list\" for all names.") var name: String
    @Option(help: "A safeguard to take away.") var without: String?
    @Option(help: "An ordering to weaken: Module/File.swift:line:acquire, release, sequential or compiler.")
    var weaken: String?
    @Option(
      help: """
        What the model may do besides what it always does, and which makes the search larger: some of \
        \(Liberties.allNames), with commas between them.
        """)
    var with: String?
    @Option(help: "Preemptions in one execution, at most; none for any number. The test's own if not given.")
    var bound: String?
    @Option(help: "Seconds after which the search ends.") var seconds: Double = 60
    @Option(help: "How executions are chosen.") var search: Search = .exhaustive
    @Option(help: "For searches that are not exhaustive. 1 if not given.") var seed: UInt64?
    @Option(help: "Executions of a search that is not exhaustive. 100,000 if not given.") var count: Int?
    @Option(help: "Changes of priority in one execution of a priorities search, plus one. 4 if not given.")
    var depth: Int?
    @Option(help: "Runs one execution again, from what a failure printed.") var replay: String?
    @Flag(help: "Prints the last execution of a search that found nothing.") var showsLast = false
    @Flag(help: "Prints the result for programs.") var json = false

    func validate() throws {
      guard name == "list" || Litmus.named(name) != nil else {
        throw ValidationError("there is no litmus test \"\(name)\": explore list prints their names")
      }
      if let without, Safeguard(rawValue: without) == nil {
        throw ValidationError(
          "there is no safeguard \"\(without)\": " + Safeguard.allCases.map(\.rawValue).joined(separator: ", "))
      }
      if weaken != nil, ordering == nil { throw ValidationError("an ordering is named as Module/File.swift:line:half") }
      if let bound, bound != "none", Int(bound).map({ $0 < 0 || $0 > 1000 }) ?? true {
        throw ValidationError("a bound is between 0 and 1000, or none")
      }
      if let with, Liberties(with) == nil { throw ValidationError("--with is some of \(Liberties.allNames)") }
      if ordering?.half == .compiler, with.flatMap({ Liberties($0) })?.contains(.lateStores) != true {
        throw ValidationError("a fence for the compiler does something only --with lateStores")
      }
      if let replay, Path(replay) == nil { throw ValidationError("this is not a path: \"\(replay)\"") }
      guard seconds > 0, seconds <= 1e6 else { throw ValidationError("seconds are more than 0, and 1,000,000 at most") }
      if let count, count < 1 { throw ValidationError("a search has one execution at least") }
      if let depth, !(1..<1000).contains(depth) { throw ValidationError("a depth is between 1 and 999") }
      try rejectWhatWouldBeIgnored()
    }

    private func rejectWhatWouldBeIgnored() throws {
      func reject(_ option: String, _ isThere: Bool, _ why: String) throws {
        if isThere { throw ValidationError("--\(option) means nothing \(why)") }
      }
      if replay != nil {
        try reject("bound", bound != nil, "where one execution is run again")
        try reject("search", search != .exhaustive, "where one execution is run again")
      }
      try reject("bound", bound != nil && search != .exhaustive, "in a search that is not exhaustive")
      try reject("seed", seed != nil && search == .exhaustive, "in an exhaustive search")
      try reject("count", count != nil && search == .exhaustive, "in an exhaustive search")
      try reject("depth", depth != nil && search != .priorities, "but in a search of priorities")
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
      case .random: return .random(seed: seed ?? 1, count: count ?? 100_000)
      case .priorities: return .priorities(seed: seed ?? 1, count: count ?? 100_000, depth: depth ?? 4)
      }
    }

    /// Where something is missing, with few preemptions first: what goes wrong is found sooner, and is shorter to read.
    private func report(_ litmus: Litmus) -> RaceReport {
      let whole = strategy(litmus)
      guard case .exhaustive(let most) = whole, litmus.isBroken || without != nil || ordering != nil else {
        return Explorer.shared.explore(whole, limits: Limits(seconds: seconds), litmus.make)
      }
      var sum = RaceReport()
      let few: [Int?] = (0..<(most ?? 4)).map { $0 }
      for bound in few + [most] {
        let report = Explorer.shared.explore(
          .exhaustive(preemptions: bound), limits: Limits(seconds: seconds - sum.seconds), litmus.make)
        sum.go(on: report)
        if report.failure != nil || !report.isComplete { break }
      }
      return sum
    }

    mutating func run() throws {
      if name == "list" {
        for litmus in Litmus.all { print("\(litmus.name): \(litmus.about)") }
        return
      }
      guard let litmus = Litmus.named(name) else { return }
      Explorer.shared.copiesBriefly = litmus.isGenerated
      if !json { try restartWithFixedHashing() }
      // A search that does not come back is no result.
      if json { alarm(UInt32(min(seconds * 2 + 60, 1e6))) }
      unsafe takenAway = without.flatMap { Safeguard(rawValue: $0) }
      let explorer = Explorer.shared
      explorer.orderingMutant = ordering
      explorer.liberties = with.flatMap { Liberties($0) } ?? []
      explorer.notesSites = json && ordering == nil && without == nil
      let report = report(litmus)
      if json {
        var result = JobResult(report)
        result.sites = Array(explorer.sites)
        return print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
      }
      print("\(litmus.name): \(litmus.about)")
      let rate = Int(Double(report.executions) / max(report.seconds, 1e-9))
      print("\(report.executions) executions, \(rate) a second" + (report.isComplete ? ", all there are" : ""))
      var text = TraceText(names: explorer.threadNames)
      guard let failure = report.failure else {
        if showsLast { for line in text.text(explorer.lastTrace) { print(line) } }
        if let weaken, !explorer.hasWeakened {
          throw ValidationError("nothing was weaker: \"\(name)\" executes no operation that is \(weaken)")
        }
        if let without, unsafe !isMissed {
          throw ValidationError("nothing was missed: \"\(name)\" never comes to where \(without) is asked for")
        }
        return print(report.isComplete ? "clean" : "nothing found, and not all executions seen")
      }
      for line in text.text(failure.trace) { print(line) }
      print("\n\(failure.kind.rawValue): \(failure.message)")
      print(
        "again: explore \"\(name)\"" + (without.map { " --without \($0)" } ?? "")
          + (weaken.map { " --weaken \($0)" } ?? "") + (with.map { " --with \($0)" } ?? "")
          + " --replay \(failure.path)")
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
