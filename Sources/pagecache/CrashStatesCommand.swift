import ArgumentParser
import PageCacheBenchmarking

struct CrashStatesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "crash-states", abstract: "Try short histories of calls against all that a crash can leave.",
    discussion: """
      A history is a few calls on two files, by one thread or by several at the same time, over stores that record \
      what they are told, that can do more or less, and that fail. At every moment it is worked out what a crash could \
      leave: any part of what no flush has covered. All of it, what calls return and what they read is judged by a plain \
      model. A history that fails is made short and printed.
      """)

  @Option(help: "Histories at most. (default: as many as the time allows)")
  var histories: Int?

  @Option(help: "How long, in seconds.")
  var seconds = 30.0

  @Option(help: "Threads that make calls at the same time: 1 to 4.")
  var threads = 1

  @Option(help: "What the histories are drawn from.")
  var seed: UInt64 = 1

  @Option(help: "The number of the first history.")
  var first: UInt64 = 0

  @Flag(help: "Go on after a failure, and group the failures by kind.")
  var keepGoing = false

  @Option(help: "How long a history that fails is made shorter, in seconds.")
  var shrinkSeconds = 20.0

  @Option(help: "Kinds of failures that are passed over.")
  var ignore: [String] = []

  @Option(help: "Kinds of calls that are left out.")
  var without: [String] = []

  @Option(help: "Do one history, as it was printed, instead.")
  var replay: String?

  @Flag(help: "Print what happens in it, to the stores as well.")
  var trace = false

  @Option(help: "How often it is done.")
  var times = 1

  func validate() throws {
    guard (1...4).contains(threads), seconds > 0, times > 0 else { throw ValidationError("nothing to be done") }
    for kind in without where CrashCall.Kind(rawValue: kind) == nil {
      throw ValidationError("'\(kind)' is no call")
    }
    if let replay, CrashHistory(text: replay) == nil { throw ValidationError("'\(replay)' is no history") }
  }

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    var states = CrashStates()
    states.histories = histories
    states.seconds = seconds
    states.threads = threads
    states.seed = seed
    states.first = first
    states.keepsGoing = keepGoing
    states.shrinkSeconds = shrinkSeconds
    states.ignored = ignore
    states.without = Set(without.compactMap { CrashCall.Kind(rawValue: $0) })
    if let replay, let history = CrashHistory(text: replay) {
      let (problem, failures, events) = try failing { [states, times] in try states.replay(history, times: times) }
      if trace { for event in events { output.table(event) } }
      output.table("\(failures) of \(times) times: \(problem.map { "\($0.kind): \($0.text)" } ?? "nothing is wrong")")
      if problem != nil { throw ExitCode.failure }
      return
    }
    let report = try failing { [states] in
      try states.run(progress: output.progress) { finding in for line in finding.lines { output.table(line) } }
    }
    for line in report.lines { output.table(line) }
    if report.failures > 0 { throw ExitCode.failure }
  }
}
