#if RaceLaboratory
  import Primitives
  import RaceLaboratory

  /// One search: a litmus test, whole or with something taken out of it.
  struct Job: Codable, Hashable {
    let litmus: String
    /// The safeguard that is taken away.
    var without: String?
    var ordering: OrderingMutant?
    /// Nil for any number of preemptions.
    var bound: Int?
    var seconds: Double

    /// As arguments of the command `explore`.
    var arguments: [String] {
      var arguments = [litmus, "--json", "--seconds", "\(seconds)", "--bound", bound.map { "\($0)" } ?? "none"]
      if let without { arguments += ["--without", without] }
      if let ordering { arguments += ["--weaken", "\(ordering.file):\(ordering.line):\(ordering.half.rawValue)"] }
      return arguments
    }
  }

  /// What came of it.
  struct JobResult: Codable {
    var executions = 0
    var isComplete = false
    var seconds = 0.0
    var longest = 0
    var kind: String?
    var message: String?
    var path: String?
    /// Ordered operations that were executed, if they were to be known.
    var sites: [OrderingMutant] = []

    init(kind: String, message: String) {
      self.kind = kind
      self.message = message
    }

    init(_ report: RaceReport) {
      executions = report.executions
      isComplete = report.isComplete
      seconds = report.seconds
      longest = report.longest
      kind = report.failure?.kind.rawValue
      message = report.failure?.message
      path = report.failure.map { "\($0.path)" }
    }

    /// Whether something is wrong with the program that was run. What is wrong with the laboratory proves nothing.
    var isCaught: Bool { kind != nil && kind != RaceFailure.Kind.laboratory.rawValue }
  }
#endif
