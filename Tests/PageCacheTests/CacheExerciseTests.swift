import PageCache
import PageCacheBenchmarking
import SystemPackage
import TestSupport
import Testing

/// Short forms of the exercises, over caches.
@Suite(.serialized) struct CacheExerciseTests {
  @Test(arguments: [PageCache.Durability.writeThrough, .writeBack])
  func everyOperationAgreesWithTheModel(durability: PageCache.Durability) throws {
    try withTemporaryDirectory { directory in
      var exercise = Exercise(path: directory.appending("file")) {
        try CacheTarget(seed: $0, durability: durability)
      }
      exercise.operations = isSanitized ? 4000 : 20_000
      exercise.operationsInEpisode = 2000
      exercise.seed = testSeed
      exercise.shrinker.seconds = 20
      let report = try exercise.run()
      #expect(report.failure == nil, "\(report.lines.joined(separator: "\n"))")
    }
  }

  @Test(arguments: [PageCache.Durability.writeThrough, .writeBack])
  func everyReadBesideChangesIsExplained(durability: PageCache.Durability) throws {
    try withTemporaryDirectory { directory in
      let target = try CacheTarget(
        seed: testSeed, durability: durability, memoryLimit: 16 << 20, maximumAtomicLength: 1 << 20)
      var exercise = StampedExercise(path: directory.appending("file"), target: target)
      exercise.threads = 4
      exercise.seconds = 2
      exercise.seed = testSeed
      let report = try exercise.run()
      #expect(report.isClean, "\(report.lines.joined(separator: "\n"))")
      #expect(report.reads > 0 && report.changes > 0)
    }
  }

  /// What fails because of the store is made again; it must not have done a part.
  @Test(arguments: [PageCache.Durability.writeThrough, .writeBack])
  func noReadSeesAPartOfWhatTheStoreHasRefused(durability: PageCache.Durability) throws {
    try withTemporaryDirectory { directory in
      let target = RetriedTarget(
        try CacheTarget(seed: testSeed, durability: durability, memoryLimit: 16 << 20, maximumAtomicLength: 1 << 20),
        seed: testSeed)
      var exercise = StampedExercise(path: directory.appending("file"), target: target)
      exercise.threads = 4
      exercise.seconds = 2
      // As often as it takes until a store has refused something.
      for round in 0..<100 where target.refusals == 0 {
        exercise.seed = testSeed &+ UInt64(round)
        let report = try exercise.run()
        #expect(report.isClean, "\(report.lines.joined(separator: "\n"))")
      }
      #expect(target.refusals > 0)
    }
  }

  @Test func noReadBesideChangesIsTorn() throws {
    var plan = AtomicityPlan()
    plan.fileBytes = 4 << 20
    plan.rounds = 2
    plan.millisecondsPerRound = 5
    plan.truncations = 5
    try withTemporaryDirectory { directory in
      let entries = try CacheAtomicity.entries(directory: directory.string, memoryLimit: 80 << 20)
      let report = try AtomicityBenchmark(plan, entries: entries.filter { $0.name != "cache-pagewise" }).run()
      for row in report.rows { #expect(row.torn == 0 && row.refused == 0 && row.reads > 0, "\(row)") }
    }
  }

  @Test func writesAreMeasured() throws {
    var plan = WritePlan()
    plan.fileBytes = 2 << 20
    plan.blockBytes = [256]
    plan.syncPeriods = [4]
    plan.rounds = 2
    plan.millisecondsPerRound = 1
    try withTemporaryDirectory { directory in
      let entries: [WriteEntry] = [
        try .cache(.writeBack, directory: directory.string, memoryLimit: 80 << 20),
        try .cache(.writeThrough, directory: directory.string, memoryLimit: 80 << 20),
        try .kernel(directory: directory.string),
      ]
      let report = try WriteBenchmark(plan, entries: entries).run()
      #expect(report.rows.count == 9 && report.rows.allSatisfy { $0.nanosecondsPerWrite.min > 0 })
    }
  }
}
