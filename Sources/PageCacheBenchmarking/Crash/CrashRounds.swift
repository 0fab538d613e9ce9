import Glibc
import Primitives
import SystemPackage

/// Starts processes that change files, kills each at a random moment, and looks at what is left.
package struct CrashRounds<Target: ExerciseTarget> {
  package var rounds = 100
  package var seed: UInt64 = 1
  /// The longest that a process lives, after its first change.
  package var milliseconds = 300
  /// What the names of the files begin with.
  package let path: String
  package let durability: CrashDurability
  /// The program and its arguments that lead to `CrashChild`.
  package let command: (CrashLoad) -> [String]
  /// As the killed process had it; opens the files afterwards.
  package let target: (_ seed: UInt64) throws -> Target

  package init(
    path: String, durability: CrashDurability, command: @escaping (CrashLoad) -> [String],
    target: @escaping (_ seed: UInt64) throws -> Target
  ) {
    self.path = path
    self.durability = durability
    self.command = command
    self.target = target
  }

  /// - Throws: whatever stands in the way of starting a process.
  package func run(progress: (String) -> Void = { _ in }) throws -> CrashReport {
    var report = CrashReport(durability: durability)
    var random = RandomWords(seed: seed)
    let start = monotonicNanoseconds()
    for round in 0..<rounds {
      let load = CrashLoad(seed: random.next() >> 16, path: path)
      remove(load)
      defer { remove(load) }
      let delay = Int(random.next(below: UInt64(milliseconds) * 1000)) * 1000
      let died = try kill(load, after: delay)
      try check(load, died: died, &report)
      report.rounds += 1
      if round % 50 == 49 { progress("\(round + 1) rounds, \(report.violations) violations") }
    }
    report.seconds = Double(monotonicNanoseconds() - start) / 1e9
    return report
  }

  private func remove(_ load: CrashLoad) {
    for name in (0..<CrashLoad.files).map(load.file) + [load.log] { unsafe unlink(name) }
  }

  // MARK: The process

  /// - Returns: whether it lived until it was killed.
  private func kill(_ load: CrashLoad, after delay: Int) throws -> Bool {
    let words = command(load)
    var process = pid_t()
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    let error = unsafe posix_spawn(&process, words[0], nil, nil, &arguments, environ)
    guard error == 0 else { throw ExerciseError("start \(words[0])", errno: error) }
    // Until it has begun, there is nothing to be killed. On a machine that is busy that may take long.
    let limit = monotonicNanoseconds() + 120_000_000_000
    while size(load.log) == 0, monotonicNanoseconds() < limit { sleepNanoseconds(500_000) }
    sleepNanoseconds(delay)
    Glibc.kill(process, SIGKILL)
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
    // The signal that ended it is in the low bits; none if it has returned.
    return status & 0x7F == SIGKILL
  }

  private func size(_ path: String) -> Int {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? Int(status.st_size) : 0
  }

  // MARK: What is left

  private func check(_ load: CrashLoad, died: Bool, _ report: inout CrashReport) throws {
    let log = try KernelFile.contents(load.log)
    let account = CrashAccount(log, files: CrashLoad.files)
    report.changes += Int(account.ended)
    report.syncs += account.syncs
    if account.begun > account.ended { report.inFlight += 1 }
    // It may have been killed in a sync that came before the first change.
    guard died, !account.isRefused, !log.isEmpty else {
      let why = account.isRefused ? "a call was refused" : log.isEmpty ? "it did nothing" : "it ended by itself"
      return report.violate("seed \(load.seed): \(why), after change \(account.ended)")
    }
    let target = try target(load.seed)
    // The changes again, from the seed.
    var drawing = load.drawing(target)
    var state = load.state
    var last: StampedChange?
    var safe = Array(repeating: state, count: CrashLoad.files)
    var pending = Array(repeating: [StampedChange](), count: CrashLoad.files)
    let known = durability == .writeThrough ? Array(repeating: account.ended, count: CrashLoad.files) : account.synced
    while state.version < account.begun {
      guard let (_, change) = drawing.next(state) else { continue }
      state.apply(change)
      last = change
      for file in 0..<CrashLoad.files {
        if state.version == known[file] { safe[file] = state }
        if state.version > known[file] { pending[file].append(change) }
      }
    }
    for file in 0..<CrashLoad.files {
      let left = try KernelFile.contents(load.file(file))
      let isUnderWay = account.begun > account.ended
      let what = CrashCheck.violation(
        left, file: file, after: safe[file], changes: pending[file], isUnderWay: isUnderWay)
      if let what {
        let isOvertaken =
          CrashCheck.violation(
            left, file: file, after: safe[file], changes: pending[file], isUnderWay: isUnderWay, holesOvertake: true)
          == nil
        var known = known[file]
        let open = pending[file].compactMap { change -> String? in
          known += 1
          return change.touches(file) ? "\(known) \(change)" : nil
        }
        report.violate(
          isOvertaken: isOvertaken,
          "seed \(load.seed), killed in change \(account.begun) (\(last.map { "\($0)" } ?? "none")), \(account.ended) returned, "
            + "\(safe[file].version) safe: \(isOvertaken ? "a hole came before earlier writes: " : "")\(what); the last of what it is about: "
            + open.suffix(12).joined(separator: ", "))
      }
      try open(load.file(file), holds: left, target, load, &report)
    }
  }

  /// The target must open what is left, and see what everybody sees.
  private func open(
    _ path: String, holds left: [UInt8], _ target: Target, _ load: CrashLoad, _ report: inout CrashReport
  ) throws {
    do {
      let file = try target.open(FilePath(path))
      var bytes = [UInt8](repeating: 0, count: left.count + 1)
      let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(at: 0, into: $0) }
      try file.close()
      if bytes[..<count] != left[...] { report.violate("seed \(load.seed): \(path) opens with other contents") }
    } catch {
      report.violate("seed \(load.seed): \(path) does not open: \(error)")
    }
  }
}

/// What was left of processes that were killed.
package struct CrashReport: Sendable {
  package let durability: CrashDurability
  package var rounds = 0
  /// Changes that had returned.
  package var changes = 0
  package var syncs = 0
  /// Rounds in which the end came in the middle of a change.
  package var inFlight = 0
  package var violations = 0
  /// Of these, files that would be right if a hole might reach the storage before writes that came before it.
  package var overtaken = 0
  package var seconds = 0.0
  /// The first few violations.
  package var details: [String] = []

  init(durability: CrashDurability) { self.durability = durability }

  mutating func violate(isOvertaken: Bool = false, _ detail: String) {
    violations += 1
    if isOvertaken { overtaken += 1 }
    // There may be many of the one kind, which must not hide the others.
    if isOvertaken ? overtaken <= 2 : violations - overtaken <= 5 { details.append(detail) }
  }

  package var lines: [String] {
    [
      "\(durability.rawValue): \(rounds) rounds in \(fixed(seconds, 1)) s, \(changes) changes and \(syncs) syncs had returned, "
        + "\(inFlight) rounds ended within a change: \(violations) violations"
        + (overtaken == 0 ? "" : ", \(overtaken) of them holes that came before earlier writes")
    ] + details.map { "  \($0)" }
  }
}
