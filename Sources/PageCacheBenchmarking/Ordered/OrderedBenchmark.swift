import BackingStores
import Glibc
import PageCache
import Primitives
import SystemPackage

/// What `bench ordered` measures, and for how long.
package struct OrderedPlan: Sendable {
  /// Rounds that count; one more, before them, does not.
  package var rounds = 9
  package var millisecondsPerRound = 600

  package init() {}

  package mutating func makeQuick() {
    rounds = 3
    millisecondsPerRound = 100
  }

  package static let allowedMilliseconds = 10...60_000
}

/// Measures syncs of an index beside writers and their log, whose entries wait for their records, and beside the same
/// load without that. The rounds of all arms are interleaved.
///
/// The background is told to wait for an hour, so that flushes are those of the calls that are measured. The log is
/// emptied after each round, without being measured.
package struct OrderedBenchmark {
  private let plan: OrderedPlan
  private let directory: String

  package init(_ plan: OrderedPlan, directory: String) {
    self.plan = plan
    self.directory = directory
  }

  /// - Throws: `BenchmarkError` if a file cannot be made, or `CacheError` if a call is refused.
  package func run(progress: (String) -> Void = { _ in }) throws -> OrderedReport {
    var arms: [OrderedArm] = []
    for durability in [PageCache.Durability.writeBack, .writeThrough] {
      for isOrdered in [true, false] {
        arms.append(try OrderedArm(durability, isOrdered: isOrdered, directory: directory))
      }
    }
    var rounds = arms.map { _ in [OrderedRound]() }
    for round in 0...plan.rounds {
      progress(round == 0 ? "a round that does not count" : "round \(round) of \(plan.rounds)")
      for position in arms.indices {
        // Each round begins with another arm, so that none always follows the same one's leavings.
        let number = (round + position) % arms.count
        let one = try arms[number].run(milliseconds: plan.millisecondsPerRound, seed: UInt64(round))
        if round > 0 { rounds[number].append(one) }
      }
    }
    var report = OrderedReport(machine: Machine(), rows: zip(arms, rounds).map { OrderedRow($0, $1) })
    for place in stride(from: 0, to: report.rows.count, by: 2) {
      report.rows[place].ratio50 = report.rows[place].p50 / report.rows[place + 1].p50
      report.rows[place].ratio99 = report.rows[place].p99 / report.rows[place + 1].p99
    }
    for arm in arms { try arm.close() }
    return report
  }
}

/// What was measured in one round of an arm.
struct OrderedRound {
  /// A sync: its time, and flushes of the two files: by its thread, and of all threads while it ran.
  struct OneSync {
    var nanoseconds: UInt64
    var indexFlushes: Int
    var logFlushes: Int
    var allFlushes: Int
  }

  var syncs: [OneSync] = []
  var writes = 0
  var nanoseconds: UInt64 = 0
}

/// An index and a log of its own, in a cache of their own.
struct OrderedArm {
  let durability: PageCache.Durability
  let isOrdered: Bool
  private let indexStore: CountingStore
  private let logStore: CountingStore
  private let files: OrderedFiles
  private let counts = SlotCounts()

  init(_ durability: PageCache.Durability, isOrdered: Bool, directory: String) throws {
    self.durability = durability
    self.isOrdered = isOrdered
    let cache = try PageCache(.init(memoryLimit: 512 << 20, writeBackAge: .seconds(3600)))
    let threads = IOThreads(count: 1)
    func make(_ name: String) throws -> CountingStore {
      let path = FilePath("\(directory)/pagecache-ordered-\(getpid())-\(durability.rawValue)-\(isOrdered)-\(name)")
      let store = CountingStore(try LocalFileStore(path: path, creating: .exclusively, threads: threads))
      unsafe _ = path.withPlatformString { unsafe unlink($0) }
      return store
    }
    indexStore = try make("index")
    logStore = try make("log")
    // Without names they would be taken for files that others have replaced.
    files = try OrderedFiles(
      index: cache.open(store: indexStore, .readWrite(durability: .writeBack, ownership: .external)),
      log: cache.open(store: logStore, .readWrite(durability: durability, ownership: .external)), isOrdered: isOrdered)
  }

  func close() throws { for file in [files.index, files.log] { try file.close() } }

  /// How many transactions each slot has had. Each is written by the slot's own writer.
  @safe
  private final class SlotCounts: @unchecked Sendable {
    private let words = UnsafeMutableRawPointer.allocate(byteCount: OrderedFiles.slots * 8, alignment: 8)
    init() { unsafe words.initializeMemory(as: UInt64.self, repeating: 0, count: OrderedFiles.slots) }
    deinit { unsafe words.deallocate() }
    // Safe: a slot is one of those that there are.
    func word(_ slot: Int) -> SharedWord { unsafe SharedWord(at: words + slot * 8) }
  }

  func run(milliseconds: Int, seed: UInt64) throws -> OrderedRound {
    let results = RoundResults()
    onThreads(OrderedFiles.writers + 1) { number in
      do {
        if number < OrderedFiles.writers {
          results.add(writes: try write(writer: number, seed: seed, until: results))
        } else {
          defer { results.isOver.set() }
          results.add(try sync(milliseconds: milliseconds, results))
        }
      } catch {
        results.isOver.set()
        results.refuse(error)
      }
    }
    let round = try results.get()
    try files.index.sync()
    try files.log.resize(to: 0)
    try files.log.sync()
    return round
  }

  private func write(writer: Int, seed: UInt64, until results: RoundResults) throws -> Int {
    var random = RandomWords(seed: seed &* 16 &+ UInt64(writer))
    var writes = 0
    while !results.isOver.isSet {
      let slot = OrderedFiles.drawSlot(writer: writer, &random)
      let count = counts.word(slot)
      count.addAsOnlyWriter(1)
      try files.transact(slot: slot, count: count.loadRelaxed())
      writes += 1
      results.transactions.add(1)
    }
    return writes
  }

  private func sync(milliseconds: Int, _ results: RoundResults) throws -> OrderedRound {
    var round = OrderedRound()
    for store in [indexStore, logStore] { store.noteSyncing() }
    let start = monotonicNanoseconds()
    var now = start
    repeat {
      // Something must have been written: a sync of nothing is none.
      let transactions = results.transactions.value
      while results.transactions.value < transactions + OrderedArm.transactionsBetween, !results.isOver.isSet {
        sleepNanoseconds(20_000)
      }
      let own = (indexStore.ownFlushes.value, logStore.ownFlushes.value)
      let all = indexStore.flushes.value + logStore.flushes.value
      let before = monotonicNanoseconds()
      try files.index.sync(dataOnly: true)
      now = monotonicNanoseconds()
      round.syncs.append(
        .init(
          nanoseconds: now - before, indexFlushes: indexStore.ownFlushes.value - own.0,
          logFlushes: logStore.ownFlushes.value - own.1,
          allFlushes: indexStore.flushes.value + logStore.flushes.value - all))
    } while now - start < UInt64(milliseconds) * 1_000_000
    round.nanoseconds = now - start
    return round
  }

  /// That are made, at least, between two syncs.
  private static let transactionsBetween = 64

  /// Where the threads of a round leave what they have.
  private final class RoundResults: Sendable {
    let isOver = SharedFlag()
    let transactions = SharedCounter()
    private let monitor = Monitor()
    // Guarded by `monitor`.
    nonisolated(unsafe) private var round = OrderedRound()
    nonisolated(unsafe) private var error: (any Error)?

    func add(writes: Int) { monitor.withLock { unsafe round.writes += writes } }
    func add(_ other: OrderedRound) {
      monitor.withLock {
        unsafe round.syncs = other.syncs
        unsafe round.nanoseconds = other.nanoseconds
      }
    }
    func refuse(_ error: any Error) { monitor.withLock { unsafe self.error = error } }
    func get() throws -> OrderedRound {
      try monitor.withLock {
        if let error = unsafe error { throw error }
        return unsafe round
      }
    }
  }
}
