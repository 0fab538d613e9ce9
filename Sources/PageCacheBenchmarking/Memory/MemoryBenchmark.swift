import Foundation
import SystemPackage

/// Reads a file that is too large for the memory there is, in every way, and sets the rates side by side.
///
/// Every arm is a process of its own with streams of its own that are alike. All have filled their caches before the first round; then one runs at a time, each
/// round beginning with another.
package struct MemoryBenchmark {
  /// How to start an arm: the words of the command, for a file and, for those of the kernel, a control group. Nil, with a reason, if it cannot be.
  package typealias Command = (
    _ arm: MemoryArmKind, _ distribution: AccessDistribution, _ file: String, _ group: ControlGroup?
  ) -> (words: [String]?, problem: String)

  private let plan: MemoryPlan
  private let directory: String
  private let command: Command

  package init(_ plan: MemoryPlan, directory: String, command: @escaping Command) {
    self.plan = plan
    self.directory = directory
    self.command = command
  }

  /// - Parameter progress: told what is being done, and which arms are left out and why.
  /// - Throws: `BenchmarkError` at a wrong byte, a failed read, or where an arm reads another stream.
  package func run(progress: (String) -> Void) throws -> MemoryReport {
    let place = "\(directory)/pagecache-memory-\(getpid())"
    let needed = plan.fileBytes * 3 + (64 << 20)
    guard try TestFiles.availableDisk(directory) > needed else {
      throw BenchmarkError("\(directory) has not the \(byteCountText(needed)) free that three files take")
    }
    var files: [String: PatternFile] = [:]
    defer { for file in files.values { file.remove() } }
    // What one group has brought into the kernel's cache, another reads for nothing: so each arm of the kernel has a file of its own.
    for name in ["direct", "pread", "mmap"] {
      progress("making a file of \(byteCountText(plan.fileBytes)) for \(name)")
      let path = FilePath("\(place)-\(name)")
      files[name] = try PatternFile(creating: path, byteCount: plan.fileBytes)
    }
    var report = MemoryReport(machine: Machine(), plan: plan)
    for distribution in plan.distributions {
      for file in files.values { try KernelCache.drop(file.path) }
      report.sections.append(try run(distribution, files, progress, skipped: &report.skipped))
    }
    return report
  }

  private func run(
    _ distribution: AccessDistribution, _ files: [String: PatternFile], _ progress: (String) -> Void,
    skipped: inout [String]
  ) throws -> MemoryReport.Section {
    let checksum = String(AccessStream.checksum(MemoryChild.streams(distribution, plan)))
    var arms: [RunningArm] = []
    // Also when something is wrong: nothing that was started stays, and no group.
    defer { for arm in arms { arm.end() } }
    for kind in plan.arms {
      let file = files[kind.isOfKernel ? kind.rawValue : "direct"].map { "\($0.path)" } ?? ""
      let (arm, problem) = try start(kind, distribution, file)
      if let arm {
        arms.append(arm)
      } else {
        let line = "without the arm \(kind.rawValue): \(problem)"
        if !skipped.contains(line) { skipped.append(line) }
        progress(line)
      }
    }
    for arm in arms {
      guard arm.ready.checksum == checksum else {
        throw BenchmarkError("\(arm.kind.rawValue) would read another stream: \(arm.ready.checksum), not \(checksum)")
      }
      progress("\(distribution.rawValue): filling \(arm.kind.rawValue)")
      // As long as it takes: an hour is no limit, but an end.
      _ = try arm.run(
        MemoryRequest(start: plan.warmStart, reads: plan.warmReads, nanoseconds: 3_600_000_000_000))
    }
    for round in 0..<plan.rounds {
      progress("\(distribution.rawValue): round \(round + 1) of \(plan.rounds)")
      let request = MemoryRequest(
        start: plan.start(round: round), reads: Int.max, nanoseconds: Int(plan.seconds * 1e9))
      for turn in arms.indices {
        let arm = arms[(turn + round) % arms.count]
        arm.runs.append(try arm.run(request))
      }
    }
    return MemoryReport.Section(
      distribution: distribution,
      rows: arms.map { MemoryReport.Row(arm: $0.kind, baselineBytes: $0.ready.baselineBytes, runs: $0.runs) })
  }

  private func start(
    _ kind: MemoryArmKind, _ distribution: AccessDistribution, _ file: String
  ) throws -> (arm: RunningArm?, problem: String) {
    var group: ControlGroup?
    if kind.isOfKernel {
      let (made, problem) = ControlGroup.make("pagecache-\(getpid())-\(kind.rawValue)")
      guard let made else { return (nil, problem) }
      group = made
    }
    let (words, problem) = command(kind, distribution, file, group)
    guard let words else { return (nil, problem) }
    return (try RunningArm(kind, ChildProcess(words), group), "")
  }
}

/// An arm whose process is ready.
private final class RunningArm {
  let kind: MemoryArmKind
  let ready: MemoryReady
  var runs: [MemoryRun] = []
  private let process: ChildProcess
  private let group: ControlGroup?

  init(_ kind: MemoryArmKind, _ process: ChildProcess, _ group: ControlGroup?) throws {
    self.kind = kind
    self.process = process
    self.group = group
    do {
      ready = try RunningArm.parse(process.line())
    } catch {
      process.end()
      group?.remove()
      throw error
    }
  }

  func run(_ request: MemoryRequest) throws -> MemoryRun {
    try process.send(request.line)
    let run: MemoryRun = try RunningArm.parse(process.line())
    guard run.failed == 0, run.wrong == 0 else {
      throw BenchmarkError("\(kind.rawValue): of \(run.reads) reads \(run.failed) failed and \(run.wrong) were wrong")
    }
    return run
  }

  func end() {
    process.end()
    // The group can go only when it is empty.
    group?.remove()
  }

  private static func parse<Message: Decodable>(_ line: String) throws -> Message {
    do { return try JSONDecoder().decode(Message.self, from: Data(line.utf8)) } catch {
      throw BenchmarkError("'\(line)' is no answer: \(error)")
    }
  }
}
