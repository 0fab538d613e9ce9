import PageCache
import Primitives
import SystemPackage

/// What the threads of a soak share, and what each of them does.
@safe
final class SoakWork: @unchecked Sendable {
  private let target: SoakTarget
  private let blocks: [SoakBlocks]
  private let blockThreads: [SoakBlocksThread]
  private let residency: FilePath
  private let seconds: Double
  private let seed: UInt64
  private let isReady = Event()
  private let isStopped = SharedFlag()
  // Written by the thread that begins, before `isReady`; read after it.
  private var memory: SoakMemory?
  private var end: UInt64 = 0
  // Written by the thread that keeps house, read when it has ended.
  private var failures: [String] = []

  init(
    target: SoakTarget, blocks: [SoakBlocks], residency: FilePath, seconds: Double, seed: UInt64, blockThreads: Int
  ) {
    self.target = target
    self.blocks = blocks
    self.residency = residency
    self.seconds = seconds
    self.seed = seed
    self.blockThreads = (0..<blockThreads).map {
      SoakBlocksThread(
        blocks, number: $0, of: blockThreads, seed: seed &* 9_000_011 &+ UInt64($0), counts: target.counts)
    }
  }

  /// Takes the baseline, makes the cache, and lets the threads go.
  func begin(_ progress: (String) -> Void) throws {
    let memory = SoakMemory(seconds: seconds)
    self.memory = memory
    memory.limit.storeRelease(UInt64(target.configuration.memoryLimit))
    _ = try target.start()
    for blocks in blocks { try blocks.file.resize(to: Int64(blocks.byteCount)) }
    end = monotonicNanoseconds() + UInt64(seconds * 1e9)
    progress("baseline \(memory.baselineBytes >> 20) MiB; limit \(byteCountText(target.configuration.memoryLimit))")
    isReady.set()
  }

  /// The exercise is over, or did not begin.
  func stop() {
    isStopped.set()
    isReady.set()
  }

  private var isOver: Bool { isStopped.isSet || monotonicNanoseconds() >= end }

  // MARK: Threads

  func readAndWriteBlocks(_ number: Int) {
    isReady.wait()
    while !isOver { blockThreads[number].step() }
  }

  func measure(_ progress: (String) -> Void) {
    isReady.wait()
    guard let memory, let cache = target.cache else { return }
    var next = monotonicNanoseconds()
    var count = 0
    while !isOver {
      memory.sample(cache)
      count += 1
      if count % 240 == 0, let sample = memory.samples.last, let worst = memory.worst {
        progress(
          "\(Int(sample.seconds)) s: resident \(sample.residentBytes >> 20) MiB of \(sample.limit >> 20), furthest "
            + "\(fixed(Double(worst.overshoot) / 1_048_576, 1)) MiB from the limit")
      }
      next += 250_000_000
      let now = monotonicNanoseconds()
      if next > now { sleepNanoseconds(Int(next - now)) }
    }
  }

  /// Closes and opens files, changes the limit, saves and restores what is cached.
  func keepHouse() {
    isReady.wait()
    guard let memory, let cache = target.cache else { return }
    var random = RandomWords(seed: seed &* 5_000_011)
    let files = target.files
    while !isOver {
      sleepNanoseconds(Int(random.next(below: 200_000_000)) + 20_000_000)
      if isOver { break }
      do {
        switch random.next(below: 16) {
        case 0..<10: try files[Int(random.next(below: UInt64(files.count)))].reopen()
        case 10..<14: try changeLimit(of: cache, memory, &random)
        default:
          target.counts.count(.saveResidency)
          try cache.saveResidency(to: residency)
          target.counts.count(.restoreResidency)
          let restored = try cache.restoreResidency(from: residency, bytesPerSecond: 64 << 20)
          // Some are cut short.
          sleepNanoseconds(Int(random.next(below: 300_000_000)))
          restored.cancel()
          let report = restored.wait()
          // A file that is just being closed is left out.
          for failure in report.failures { target.counts.note(failure) }
        }
      } catch {
        // What the files refuse they have noted themselves.
        if failures.count < 5 { failures.append("keeping house: \(error)") }
      }
    }
  }

  private func changeLimit(of cache: PageCache, _ memory: SoakMemory, _ random: inout RandomWords) throws {
    let configured = target.configuration.memoryLimit
    // From a third on, up to twice of it; a fourth of the time as it was.
    let most = target.configuration.maximumMemoryLimit ?? configured
    let wanted =
      random.next(below: 4) == 0 ? configured : configured / 3 + Int(random.next(below: UInt64(most - configured / 3)))
    let before = memory.limit.loadRelaxed()
    memory.limit.storeRelease(max(before, UInt64(wanted)))
    memory.limit.storeRelease(UInt64(try SoakLimit.change(cache, to: wanted)))
    target.counts.count(.changeLimit)
  }

  // MARK: The end

  /// Looks at all that is left, and sums up.
  func report(_ stamped: StampedReport, of soak: Soak) throws -> SoakReport {
    guard let memory, let cache = target.cache else { throw ExerciseError("the soak did not begin") }
    var report = SoakReport(configuration: target.configuration)
    report.seed = soak.seed
    report.seconds = stamped.seconds
    report.stamped = stamped
    report.samples = memory.samples
    report.worst = memory.worst
    report.baselineBytes = memory.baselineBytes
    report.statistics = try cache.statistics()
    report.verifiedBytes = blockThreads.reduce(stamped.readBytes) { $0 + $1.readBytes }
    report.violations = failures + stamped.details
    if !stamped.isClean, stamped.details.isEmpty { report.violations.append("the exercise is not clean") }
    for thread in blockThreads where thread.mismatchCount > 0 {
      report.violations.append("\(thread.mismatchCount) reads of blocks that are of no write")
      report.violations += thread.mismatches
    }
    if !blockThreads.contains(where: \.hasFailed) { try verifyBlocks(&report) }
    report.operations = target.counts.operations.map { (operation: $0.0, count: $0.1) }
    report.refusals = target.counts.refusals.map { (cause: $0.0, count: $0.1) }
    report.violations += target.counts.firstRefusals.map { "refused: \($0)" }
    report.fragmentedAllocations = cache.fragmentedAllocations
    if soak.judgesMemory, let worst = memory.worst, worst.overshoot > SoakMemory.tolerance {
      report.violations.append("at \(fixed(worst.seconds, 2)) s \(worst.overshoot) bytes were resident above the limit")
    }
    // Nothing is open any more.
    cache.reclaimDeferred()
    for left in cache.leftovers where left.count != 0 {
      report.violations.append("left over: \(left.count) \(left.name)")
    }
    let frames = cache.freeFrames + cache.nodeFramesLeft
    let all = try cache.statistics().frames
    if frames != all {
      report.violations.append(
        "\(frames) of \(all) frames are free or of nodes with no file open")
    }
    target.drop()
    return report
  }

  /// The block files as they are at the end: through the cache, and when all is synced, in the storage.
  private func verifyBlocks(_ report: inout SoakReport) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: SoakBlocks.blockBytes, alignment: 64)
    defer { unsafe buffer.deallocate() }
    for (number, blocks) in blocks.enumerated() {
      if let mismatch = unsafe try blocks.mismatch(throughout: blocks.file, buffer: buffer) {
        report.violations.append("block file \(number) at the end: \(mismatch)")
      }
      try blocks.file.sync(dataOnly: false)
      let stored = try KernelFile(blocks.file.path)
      defer { try? stored.close() }
      if let mismatch = unsafe try blocks.mismatch(throughout: stored, buffer: buffer) {
        report.violations.append("block file \(number) in the storage: \(mismatch)")
      }
      try blocks.file.close()
      report.verifiedAtEnd += UInt64(2 * blocks.byteCount)
    }
  }
}
