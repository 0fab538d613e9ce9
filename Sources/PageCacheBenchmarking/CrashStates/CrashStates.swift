import PageCache
import Primitives

/// Short histories of calls, each of them judged by what it could leave behind after a crash at any moment, what it
/// reads, and what it says.
package struct CrashStates {
  /// Histories; nil for as many as the time allows.
  package var histories: Int?
  package var seconds = 30.0
  /// Threads of a history that are at it at the same time; 1 for none.
  package var threads = 1
  package var seed: UInt64 = 1
  /// The number of the first history.
  package var first: UInt64 = 0
  /// Images of each file that are looked at, at each moment, at most.
  package var imagesMax = 12
  /// Goes on after a failure, and tells one of each kind.
  package var keepsGoing = false
  package var shrinkSeconds = 20.0
  /// Kinds of failures that are passed over.
  package var ignored: [String] = []
  /// What is wrong with the stores.
  package var plant = CrashPlant.none
  /// Kinds of calls that are left out.
  package var without: Set<CrashCall.Kind> = []
  /// Told of a history that has not ended after a minute, on a thread of its own.
  package var hangs: @Sendable (CrashHistory) -> Void = { preconditionFailure("this history does not end: \($0)") }

  package init() {}

  /// - Parameter found: told of each kind of failure when it is first met.
  package func run(progress: (String) -> Void, found: (CrashFinding) -> Void) throws -> CrashStatesReport {
    var report = CrashStatesReport()
    let start = monotonicNanoseconds()
    let end = start + UInt64(seconds * 1e9)
    var told = start
    let host = CrashHost(plant: plant)
    let watch = CrashWatch()
    watch.note(history(first))
    watch.watch(hangs)
    defer { watch.note(nil) }
    var number = first
    while histories.map({ report.histories < $0 }) ?? true, monotonicNanoseconds() < end {
      defer { number += 1 }
      let history = self.history(number)
      watch.note(history)
      let result = try host.run(history, seed: seed ^ number, imagesMax: imagesMax)
      report.histories += 1
      report.calls += history.callCount
      report.images += result.images
      if let exclusion = result.exclusion { report.excluded[exclusion, default: 0] += 1 }
      if let problem = result.problem, !ignored.contains(problem.kind) {
        report.failures += 1
        let finding = try self.finding(number, history, problem, host, watch)
        if report.add(finding) { found(finding) }
        if !keepsGoing { break }
      }
      let now = monotonicNanoseconds()
      if now - told > 10_000_000_000 {
        told = now
        progress("\(report.histories) histories, \(report.images) images, \(report.failures) failures")
      }
    }
    report.seconds = Double(monotonicNanoseconds() - start) / 1e9
    return report
  }

  /// A history of this seed.
  package func history(_ number: UInt64) -> CrashHistory {
    var generator = CrashGenerator(seed: seed, number: number)
    generator.without = without
    return generator.history(threads: threads)
  }

  /// Does one history, again and again if threads meet in it.
  /// - Returns: what is wrong, how often it was of how many times, and what happened when it was first, or in the end.
  package func replay(
    _ history: CrashHistory, times: Int
  ) throws -> (problem: CrashProblem?, failures: Int, events: [String]) {
    let host = CrashHost(plant: plant)
    var first: CrashProblem?
    var failures = 0
    var events: [String] = []
    for time in 0..<max(1, times) {
      let run = try host.run(history, seed: seed &+ UInt64(time), imagesMax: 4 * imagesMax, keepsEvents: first == nil)
      if first == nil { events = run.events }
      guard let problem = run.problem else { continue }
      failures += 1
      if first == nil { first = problem }
    }
    return (first, failures, events)
  }

  private func finding(
    _ number: UInt64, _ history: CrashHistory, _ problem: CrashProblem, _ host: CrashHost, _ watch: CrashWatch
  ) throws -> CrashFinding {
    var shrinker = CrashShrinker()
    shrinker.seconds = shrinkSeconds
    shrinker.repetitions = history.threads.isEmpty ? 4 : 60
    var failure: (any Error)?
    var attempt = UInt64(0)
    let (short, last) = shrinker.shrink(history, problem) { candidate in
      attempt += 1
      watch.note(candidate)
      do { return try host.run(candidate, seed: seed ^ number &+ attempt, imagesMax: imagesMax).problem } catch {
        failure = error
        return nil
      }
    }
    if let failure { throw failure }
    return CrashFinding(number: number, history: history, short: short, problem: last)
  }
}

/// A history that came to something that must not be.
package struct CrashFinding: Sendable {
  package let number: UInt64
  package let history: CrashHistory
  /// The shortest that comes to the same.
  package let short: CrashHistory
  package let problem: CrashProblem

  /// What findings of one kind have in common: what is wrong, and the kinds of the calls.
  package var kind: String {
    let kinds = Set((short.calls + short.threads.flatMap(\.self)).map(\.kind.rawValue)).sorted()
    return "\(problem.kind)\(short.threads.isEmpty ? "" : ", threads"): \(kinds.joined(separator: " "))"
  }

  package var lines: [String] {
    ["\(problem.kind): \(problem.text)", "  history \(number), made short:", "  \(short)"]
  }
}

package struct CrashStatesReport: Sendable {
  package var histories = 0
  package var calls = 0
  package var images = 0
  package var failures = 0
  /// Histories that were judged in part only, and why.
  package var excluded: [CrashExclusion: Int] = [:]
  package var seconds = 0.0
  /// One finding of each kind, and how many there were.
  package private(set) var findings: [(finding: CrashFinding, count: Int)] = []

  /// - Returns: whether it is the first of its kind.
  mutating func add(_ finding: CrashFinding) -> Bool {
    if let place = findings.firstIndex(where: { $0.finding.kind == finding.kind }) {
      findings[place].count += 1
      return false
    }
    findings.append((finding, 1))
    return true
  }

  package var lines: [String] {
    let rate = seconds > 0 ? Int(Double(histories) / seconds) : 0
    return [
      "\(histories) histories of \(calls) calls in \(Int(seconds)) s, \(rate) a second; \(images) images; "
        + "\(failures) failures of \(findings.count) kinds"
    ]
      + CrashExclusion.allCases.compactMap { exclusion in
        excluded[exclusion].map { "  \($0) judged up to where \(exclusion.reason)" }
      } + findings.sorted { $0.count > $1.count }.map { "  \($0.count) x \($0.finding.kind)" }
  }
}

/// Says which history does not end.
private final class CrashWatch: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var history: CrashHistory?
  nonisolated(unsafe) private var since: UInt64 = 0

  private static let longest: UInt64 = 60_000_000_000

  func note(_ history: CrashHistory?) {
    monitor.withLock {
      unsafe self.history = history
      unsafe since = monotonicNanoseconds()
      if history == nil { monitor.broadcast() }
    }
  }

  /// Tells of a history that takes a minute, until there is none any more.
  func watch(_ hangs: @escaping @Sendable (CrashHistory) -> Void) {
    guard
      let thread = JoinableThread(
        name: "crash-watch",
        { [self] in
          while true {
            let hung: CrashHistory?? = monitor.withLock {
              monitor.wait(nanoseconds: 1_000_000_000)
              guard let history = unsafe history else { return .some(nil) }
              return unsafe monotonicNanoseconds() - since > CrashWatch.longest ? .some(history) : nil
            }
            guard let hung else { continue }
            if let hung { hangs(hung) }
            return
          }
        })
    else { return }
    thread.detach()
  }
}
