import Glibc
import Primitives
import SystemPackage

/// Starts processes that write an index and its log, kills each at a random moment, and looks at what is left of the
/// two.
package struct OrderedCrashRounds {
  package var rounds = 100
  package var seed: UInt64 = 1
  /// The longest that a process lives, once its files are open.
  package var milliseconds = 300
  /// What the names of the files begin with.
  package let path: String
  /// Of the log.
  package let durability: CrashDurability
  /// The program and its arguments that lead to `OrderedCrashChild`.
  package let command: (OrderedCrashLoad) -> [String]

  package init(path: String, durability: CrashDurability, command: @escaping (OrderedCrashLoad) -> [String]) {
    self.path = path
    self.durability = durability
    self.command = command
  }

  /// - Throws: whatever stands in the way of starting a process.
  package func run(progress: (String) -> Void = { _ in }) throws -> OrderedCrashReport {
    var report = OrderedCrashReport(durability: durability)
    var random = RandomWords(seed: seed)
    let start = monotonicNanoseconds()
    for round in 0..<rounds {
      let load = OrderedCrashLoad(seed: random.next() >> 16, path: path, durability: durability)
      remove(load)
      defer { remove(load) }
      let account = try OrderedAccount(FilePath(load.account))
      let process = try ChildProcess(command(load))
      _ = try process.line()
      sleepNanoseconds(Int(random.next(below: UInt64(milliseconds) * 1000)) * 1000)
      let status = process.end()
      try check(load, account, status: status, &report)
      report.rounds += 1
      if round % 50 == 49 { progress("\(round + 1) rounds, \(report.violations) violations") }
    }
    report.seconds = Double(monotonicNanoseconds() - start) / 1e9
    return report
  }

  private func remove(_ load: OrderedCrashLoad) {
    for name in [load.index, load.log, load.account] { unsafe unlink(name) }
  }

  private func check(
    _ load: OrderedCrashLoad, _ account: OrderedAccount, status: Int32?, _ report: inout OrderedCrashReport
  ) throws {
    report.syncs += Int(account.syncs)
    for slot in 0..<OrderedFiles.slots { report.transactions += Int(account.returned(slot: slot)) }
    guard account.state == .running, status == 128 + SIGKILL else {
      let why = account.state == .refused ? "a call was refused" : "it ended by itself, status \(status ?? 0)"
      return report.violate("seed \(load.seed): \(why)")
    }
    let (entries, violations) = OrderedCrashCheck.check(
      index: try KernelFile.contents(load.index), log: try KernelFile.contents(load.log),
      synced: { account.synced(slot: $0) }, begun: { account.begun(slot: $0) })
    report.entries += entries
    for one in violations { report.violate("seed \(load.seed), after \(account.syncs) syncs: \(one)") }
  }
}

/// What was left of processes that were killed.
package struct OrderedCrashReport: Sendable {
  package let durability: CrashDurability
  package var rounds = 0
  /// Transactions that had returned.
  package var transactions = 0
  package var syncs = 0
  /// Entries of indexes that were there in the end.
  package var entries = 0
  package var violations = 0
  package var seconds = 0.0
  /// The first few violations.
  package var details: [String] = []

  init(durability: CrashDurability) { self.durability = durability }

  mutating func violate(_ detail: String) {
    violations += 1
    if violations <= 5 { details.append(detail) }
  }

  package var lines: [String] {
    [
      "ordered, \(durability.rawValue) log: \(rounds) rounds in \(fixed(seconds, 1)) s, \(transactions) transactions and "
        + "\(syncs) syncs had returned, \(entries) entries were looked up in their logs: \(violations) violations"
    ] + details.map { "  \($0)" }
  }
}
