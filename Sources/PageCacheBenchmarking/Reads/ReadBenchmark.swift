import PageCache
import Primitives

/// Measures short random reads by several arms, in rounds that are interleaved: what disturbs the machine for longer than a few
/// milliseconds disturbs all arms alike.
package struct ReadBenchmark {
  private let plan: ReadPlan
  private let directory: String
  private let report: (String) -> Void
  private var results = ReadResults(machine: Machine())

  /// Runs a plan.
  /// - Parameters:
  ///   - progress: told what goes on, a line at a time.
  ///   - finished: called after all cells of a file size and a number of threads.
  /// - Throws: `BenchmarkError` if a file cannot be made, an arm reads wrong bytes, or a read fails; `CacheError`.
  package static func run(
    _ plan: ReadPlan, progress: (String) -> Void = { _ in },
    finished: (ReadResults, _ fileBytes: Int, _ threads: Int) -> Void = { _, _, _ in }
  ) throws -> ReadResults {
    try withoutActuallyEscaping(progress) { progress in
      var benchmark = ReadBenchmark(
        plan: plan, directory: TestFiles.parentDirectory(plan.directory), report: progress)
      for fileBytes in plan.fileBytes { try benchmark.measure(fileBytes: fileBytes, finished: finished) }
      return benchmark.results
    }
  }

  private init(plan: ReadPlan, directory: String, report: @escaping (String) -> Void) {
    self.plan = plan
    self.directory = directory
    self.report = report
  }

  private mutating func skip(_ why: String) {
    results.skipped.append(why)
    report("skipped: \(why)")
  }

  private mutating func measure(
    fileBytes: Int, finished: (ReadResults, _ fileBytes: Int, _ threads: Int) -> Void
  ) throws {
    let size = byteCountText(fileBytes)
    for block in plan.blockBytes where block > fileBytes {
      report("skipped: blocks of \(byteCountText(block)) are larger than a file of \(size)")
    }
    let blocks = plan.blockBytes.filter { $0 <= fileBytes }
    guard !blocks.isEmpty else { return }

    let memory = Machine.availableMemory()
    let disk = try TestFiles.availableDisk(directory)
    func fits(_ files: Int) -> Bool {
      plan.memoryNeeded(fileBytes: fileBytes, files: files) <= memory && files * fileBytes + 64 << 20 <= disk
    }
    func why(_ files: Int) -> String {
      let gibibytes = { (bytes: Int) in fixed(Double(bytes) / 0x1p30, 1) + " GiB" }
      let needed = plan.memoryNeeded(fileBytes: fileBytes, files: files)
      return "\(files) × \(size) take \(gibibytes(needed)) of memory and \(gibibytes(files * fileBytes)) of disk; "
        + "there are \(gibibytes(memory)) and \(gibibytes(disk))"
    }
    guard fits(1) else { return skip("files of \(size): \(why(1))") }

    var work: [(threads: Int, placements: [Placement])] = []
    for threads in plan.threads {
      var placements = ReadPlan.placements(threads: threads)
      if placements.contains(.different), !fits(threads) {
        placements = [.same]
        skip("\(threads) threads, different files of \(size): \(why(threads))")
      }
      work.append((threads, placements))
    }
    let count = work.map { $0.placements.contains(.different) ? $0.threads : 1 }.max() ?? 1
    report("making \(count) × \(size) in \(directory)")
    let files = try TestFiles(
      fileBytes: fileBytes, count: count, orders: plan.ordersOfCaches(forFile: fileBytes),
      isMapped: plan.arms.contains(.mmap), directory: directory)
    let contestants = Contestant.all(plan.arms, files: files)

    for (threads, placements) in work {
      for block in blocks {
        report("\(size), \(threads) threads, blocks of \(byteCountText(block))")
        let cell = ReadCell(
          fileBytes: fileBytes, blockBytes: block, threads: threads, placements: placements, contestants: contestants)
        try cell.verify()
        results.measurements += try cell.measure(rounds: plan.rounds, milliseconds: plan.millisecondsPerRound)
      }
      finished(results, fileBytes, threads)
    }
  }
}

/// An arm at one folio order, opened on each file.
struct Contestant: Sendable {
  let kind: ReadArmKind
  let folioOrder: Int?
  let arms: [any ReadArm]

  var name: String { kind.rawValue + (folioOrder.map { " (order \($0))" } ?? "") }

  /// The arms that want a cache come once for each order.
  static func all(_ kinds: [ReadArmKind], files: TestFiles) -> [Contestant] {
    kinds.flatMap { kind -> [Contestant] in
      switch kind {
      case .pread:
        [Contestant(kind: kind, folioOrder: nil, arms: files.descriptors.map(PreadArm.init(descriptor:)))]
      case .mmap:
        [Contestant(kind: kind, folioOrder: nil, arms: files.mappings.map(MappedArm.init(bytes:)))]
      case .cache, .cacheBorrow, .cacheMany, .cacheRefcount, .cacheRefcountCompareExchange, .cacheReadWriteLock:
        ReadPlan.folioOrders(forFile: files.fileBytes).map { order in
          Contestant(kind: kind, folioOrder: order, arms: files.cachedFiles(order: order).map { arm(kind, $0) })
        }
      }
    }
  }

  private static func arm(_ kind: ReadArmKind, _ file: CachedFile) -> any ReadArm {
    switch kind {
    case .cacheBorrow: CacheBorrowArm(arm: BorrowArm(file))
    case .cacheMany: CacheManyArm(arm: BatchArm(file))
    case .cacheRefcount: ReferenceArm(reader: ReferencedReader(file))
    case .cacheRefcountCompareExchange: CompareExchangeArm(reader: ReferencedReader(file))
    case .cacheReadWriteLock: LockedArm(file: file)
    default: CacheArm(file: file)
    }
  }
}
