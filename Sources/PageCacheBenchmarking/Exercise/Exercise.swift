import Glibc
import Primitives
import SystemPackage

/// Random operations by one thread against a model in memory.
///
/// The operations come in episodes of some ten thousand, each with files, a target and a seed of its own: so many kinds of caches are
/// exercised, and a list that fails can be run again in a second.
package struct Exercise<Target: ExerciseTarget> {
  /// Operations of all episodes together.
  package var operations = 1_000_000
  /// Of the first episode. Each next one has the next seed.
  package var seed: UInt64 = 1
  package var operationsInEpisode = 25_000
  /// One episode in so many is ten times as long.
  package var longEpisodes = 16
  package var shrinker = OperationShrinker()
  /// What the names of the files begin with.
  package let path: FilePath
  /// Makes the target of an episode.
  package let target: (_ seed: UInt64) throws -> Target

  package init(path: FilePath, target: @escaping (_ seed: UInt64) throws -> Target) {
    self.path = path
    self.target = target
  }

  /// - Throws: whatever stands in the way of exercising at all.
  package func run(progress: (String) -> Void = { _ in }) throws -> ExerciseReport {
    var report = ExerciseReport()
    let start = monotonicNanoseconds()
    var seed = seed
    var told = start
    while report.operations < operations {
      let length = seed % UInt64(longEpisodes) == 0 ? operationsInEpisode * 10 : operationsInEpisode
      let list = OperationGenerator.operations(
        seed: seed, count: Swift.min(length, operations - report.operations))
      let difference = try episode(list, seed: seed, report: &report)
      report.episodes += 1
      report.seconds = Double(monotonicNanoseconds() - start) / 1e9
      if let difference {
        report.failure = try failure(difference, list, seed: seed, progress: progress)
        break
      }
      let now = monotonicNanoseconds()
      if now - told > 10_000_000_000 {
        told = now
        progress("\(report.operations) operations, \(fixed(Double(report.operations) / report.seconds, 0)) a second")
      }
      seed += 1
    }
    return report
  }

  private func episode(
    _ list: [ExerciseOperation], seed: UInt64, report: inout ExerciseReport
  ) throws -> ExerciseDifference? {
    let paths = (0..<ExerciseModel.fileCount).map { FilePath("\(path).\($0)") }
    func remove() { for path in paths { unsafe _ = path.withPlatformString { unsafe unlink($0) } } }
    remove()
    defer { remove() }
    let run = try ExerciseRun(target(seed), paths: paths)
    let difference = run.run(list)
    if difference != nil { run.abandon() }
    report.operations += run.operations
    report.refusals += run.refusals
    report.readBytes += run.readBytes
    return difference
  }

  private func failure(
    _ difference: ExerciseDifference, _ list: [ExerciseOperation], seed: UInt64, progress: (String) -> Void
  ) throws -> ExerciseReport.Failure {
    let text = "\(list[difference.index]): \(difference.what)"
    progress("seed \(seed), operation \(difference.index + 1) of its episode, \(text)")
    progress("making the list shorter")
    var ignored = ExerciseReport()
    let shrunk = shrinker.shrink(Array(list.prefix(difference.index + 1))) { list in
      try? episode(list, seed: seed, report: &ignored)
    }
    guard let shrunk else {
      return .init(
        seed: seed, index: difference.index, what: text, isRepeatable: false,
        operations: Array(list[...difference.index].suffix(20)), attempts: 1, last: "")
    }
    return .init(
      seed: seed, index: difference.index, what: text, isRepeatable: true, operations: shrunk.operations,
      attempts: shrunk.attempts, last: shrunk.difference.what)
  }
}

/// What an exercise has found.
package struct ExerciseReport: Sendable {
  package var operations = 0
  package var episodes = 0
  /// Operations that were refused, as they had to be, or could be.
  package var refusals = 0
  package var readBytes: UInt64 = 0
  package var seconds = 0.0
  package var failure: Failure?

  package struct Failure: Sendable {
    package var seed: UInt64
    /// Of the operation in its episode.
    package var index: Int
    package var what: String
    /// Whether it failed when it was done again.
    package var isRepeatable: Bool
    /// The shortest list that still failed; else the last operations.
    package var operations: [ExerciseOperation]
    package var attempts: Int
    /// How the short list failed.
    package var last: String
  }

  package init() {}

  /// A list that could not be made shorter than this says little.
  private static var mostShown: Int { 60 }

  package var lines: [String] {
    var lines = [
      "\(operations) operations in \(episodes) episodes, \(refusals) of them refused as they had to be, "
        + "\(readBytes >> 20) MiB read and compared, in \(fixed(seconds, 1)) s "
        + "(\(fixed(Double(operations) / max(seconds, 1e-9), 0)) a second): "
        + (failure == nil ? "no difference" : "a difference")
    ]
    guard let failure else { return lines }
    lines.append("seed \(failure.seed), operation \(failure.index + 1): \(failure.what)")
    if failure.isRepeatable {
      lines.append("\(failure.operations.count) operations are enough (found in \(failure.attempts) attempts):")
    } else {
      lines.append("The same operations did not fail again. The last of them:")
    }
    let hidden = failure.operations.count - Self.mostShown
    if hidden > 0 { lines.append("  ... \(hidden) operations before") }
    lines += failure.operations.suffix(Self.mostShown).map { "  \($0)," }
    if failure.isRepeatable { lines.append("the last one: \(failure.last)") }
    return lines
  }
}
