import ArgumentParser
import Glibc
import PageCacheBenchmarking
import SystemPackage

/// The process of one arm of `bench memory`. Not for people.
struct MemoryChildCommand: ParsableCommand {
  static let name = "memory-child"
  static let configuration = CommandConfiguration(
    commandName: name, abstract: "Reads when it is told to.", shouldDisplay: false)

  @Option var arm: MemoryArmKind
  @Option var distribution: AccessDistribution
  @Option var file: String
  @Option var limit: Int
  @Option var threads: Int
  @Option var seed: UInt64
  @Option var group: String?
  /// The group is one of cgroup v2.
  @Flag var second = false

  mutating func run() throws {
    var plan = MemoryPlan()
    plan.limit = limit
    plan.threads = threads
    plan.seed = seed
    let group = group.map { ControlGroup(version: second ? .v2 : .v1, path: $0) }
    let child = try failing { [plan, arm, distribution, file] in
      try MemoryChild(arm, path: FilePath(file), distribution: distribution, plan: plan, group: group)
    }
    let output = try Output(json: nil, files: [])
    try output.write(jsonLine(child.ready), to: "-")
    // Until whoever asks has gone.
    while let line = readLine() {
      guard let request = MemoryRequest(line: line) else { throw Failure("'\(line)' is no request") }
      let run = try failing { try child.run(request) }
      try output.write(jsonLine(run), to: "-")
    }
  }
}

extension MemoryArmKind: ExpressibleByArgument {}
extension AccessDistribution: ExpressibleByArgument {}
