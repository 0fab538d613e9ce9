import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

/// That the exercises find what is wrong, and nothing where nothing is.
// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct ExerciseTests {
  private func exercise(_ fault: Fault, operations: Int) throws -> ExerciseReport {
    try withTemporaryDirectory { directory in
      var exercise = Exercise(path: directory.appending("file")) { _ in FaultyTarget(fault: fault) }
      exercise.operations = operations
      exercise.seed = testSeed
      exercise.operationsInEpisode = 3000
      exercise.shrinker.seconds = 20
      return try exercise.run()
    }
  }

  @Test func theKernelAgreesWithTheModel() throws {
    let report = try exercise(.none, operations: 10_000)
    #expect(report.failure == nil, "\(report.lines.joined(separator: "\n"))")
    #expect(report.operations >= 10_000 && report.refusals > 100)
  }

  @Test(arguments: [
    Fault.lostWrites, .lateWrites, .changedTail, .staleTail, .laxCollapse, .refusedResize, .lostAtClose,
  ])
  func aFaultIsFoundAndMadeShort(_ fault: Fault) throws {
    let failure = try #require(try exercise(fault, operations: 20_000).failure)
    #expect(failure.isRepeatable)
    #expect(failure.operations.count <= 6, "\(failure.operations)")
  }

  @Test func operationsDependOnTheSeedOnly() {
    let list = OperationGenerator.operations(seed: 5, count: 1000)
    #expect(list == OperationGenerator.operations(seed: 5, count: 1000))
    #expect(list != OperationGenerator.operations(seed: 6, count: 1000))
    #expect(Array(list.prefix(500)) == OperationGenerator.operations(seed: 5, count: 500))
  }

  @Test func theShrinkerKeepsWhatIsNeeded() throws {
    // Fails once a certain resize and a certain punch have been done, in that order.
    let list = OperationGenerator.operations(seed: testSeed, count: 5000)
    let needed: [ExerciseOperation] = [.resize(file: 0, size: 77), .punchHole(file: 1, range: 7..<9)]
    let all = list.prefix(2000) + needed.prefix(1) + list[2000..<4000] + needed.suffix(1) + list[4000...]
    let result = OperationShrinker().shrink(Array(all)) { list in
      guard let first = list.firstIndex(of: needed[0]), let last = list.lastIndex(of: needed[1]), first < last else {
        return nil
      }
      return ExerciseDifference(index: last, what: "")
    }
    #expect(result?.operations == needed)
    #expect(try #require(result).attempts < 200)
    #expect(OperationShrinker().shrink(list) { _ in nil } == nil)
  }

  @Test func theShrinkerCopesWithChance() throws {
    let list = OperationGenerator.operations(seed: testSeed, count: 2000)
    let needed: [ExerciseOperation] = [.resize(file: 0, size: 77), .punchHole(file: 1, range: 7..<9)]
    let all = list.prefix(700) + needed.prefix(1) + list[700..<1500] + needed.suffix(1) + list[1500...]
    var random = RandomWords(seed: testSeed)
    let result = OperationShrinker().shrink(Array(all)) { list in
      guard let first = list.firstIndex(of: needed[0]), let last = list.lastIndex(of: needed[1]), first < last else {
        return nil
      }
      return random.next(below: 3) == 0 ? ExerciseDifference(index: last, what: "") : nil
    }
    #expect(try #require(result).operations.count < 10)
  }

  /// Goes on for up to ten seconds: how soon threads meet is chance.
  private func stampedUntilMiss(_ fault: Fault, threads: Int = 3) throws -> StampedReport {
    for attempt in 0..<19 {
      let report = try stamped(fault, threads: threads, seconds: 0.5, seed: testSeed &+ UInt64(attempt))
      if report.misses > 0 { return report }
    }
    return try stamped(fault, threads: threads, seconds: 0.5)
  }

  private func stamped(
    _ fault: Fault, threads: Int = 3, seconds: Double = 1, seed: UInt64 = testSeed
  ) throws -> StampedReport {
    try withTemporaryDirectory { directory in
      var exercise = StampedExercise(path: directory.appending("file"), target: FaultyTarget(fault: fault))
      exercise.threads = threads
      exercise.seconds = isSanitized ? seconds * 3 : seconds
      exercise.seed = seed
      return try exercise.run()
    }
  }

  @Test(arguments: [2, 8]) func readsOfALockedFileAreExplained(threads: Int) throws {
    // The lock is not fair: with many readers, writers come to it seldom.
    let report = try stamped(.none, threads: threads, seconds: 2)
    #expect(report.isClean, "\(report.lines.joined(separator: "\n"))")
    #expect(report.reads > 10 && report.changes > 0 && report.blockWrites > 0)
  }

  @Test(arguments: [Fault.tornReads, .tornWrites, .lostWrites, .lateWrites, .staleTail])
  func whatNoInstantExplainsIsFound(_ fault: Fault) throws {
    let report = try stampedUntilMiss(fault)
    #expect(report.misses > 0, "\(report.lines.joined(separator: "\n"))")
    // A write that is lost or late leaves a file of another size than the next change may expect.
    #expect(report.spills == 0 && (report.refusals == 0 || [.lostWrites, .lateWrites].contains(fault)))
    #expect(!report.details.isEmpty)
  }

  @Test func lostNeighboursOfManyWritersAreFound() throws {
    // Two writers must meet at a page.
    let report = try stampedUntilMiss(.lostNeighbours, threads: 6)
    #expect(report.misses > 0)
    #expect(report.details.contains { $0.contains("shared file") }, "\(report.details)")
  }

  @Test func bytesBehindTheCountAreFound() throws {
    let report = try stamped(.changedTail)
    #expect(report.spills > 0 && report.misses == 0, "\(report.lines.joined(separator: "\n"))")
  }

  @Test func refusalsAreFound() throws {
    let report = try stamped(.refusedResize, seconds: 3)
    #expect(report.refusals > 0 && report.misses == 0, "\(report.lines.joined(separator: "\n"))")
  }
}
