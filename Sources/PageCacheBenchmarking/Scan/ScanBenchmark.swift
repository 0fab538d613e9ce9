import BackingStores
import Glibc
import PageCache
import Primitives
import SystemPackage

/// Reads a file of which nothing is cached, from its start to its end, with gaps, and at random.
///
/// Every measurement begins cold: the kernel has forgotten the file, which is checked, and the cache is a new one. Its memory has been touched before, as that of
/// a cache in use has been. The rounds of all arms are interleaved, each beginning with another.
package struct ScanBenchmark {
  private let plan: ScanPlan
  private let directory: String
  private let engine: String?

  /// - Parameter withFio: whether fio is run where it is installed.
  package init(_ plan: ScanPlan, directory: String, withFio: Bool = true) {
    self.plan = plan
    self.directory = directory
    engine = withFio ? FioRun.bestEngine() : nil
  }

  package func run(progress: (String) -> Void) throws -> ScanReport {
    guard try TestFiles.availableDisk(directory) > plan.fileBytes + (64 << 20) else {
      throw BenchmarkError("\(directory) has not the \(byteCountText(plan.fileBytes)) free that the file takes")
    }
    if engine == nil { progress("without the arms fio and fio-one: fio is not installed") }
    progress("making a file of \(byteCountText(plan.fileBytes))")
    let file = try PatternFile(
      creating: FilePath("\(directory)/pagecache-scan-\(getpid())"), byteCount: plan.fileBytes)
    defer { file.remove() }
    var report = ScanReport(machine: Machine(), plan: plan, engine: engine)
    report.readMode = try readMode(file.path)
    let arms: [ScanArm] = engine == nil ? [.cache, .pread] : ScanArm.allCases
    for shape in plan.shapes where shape.blockCount(fileBytes: plan.fileBytes) > 0 {
      var rows = arms.map { ScanReport.Row(arm: $0) }
      for round in 0..<plan.rounds {
        progress("\(shape.name): round \(round + 1) of \(plan.rounds)")
        for turn in arms.indices {
          let number = (turn + round) % arms.count
          try measure(shape, round: round, file, &rows[number])
        }
      }
      report.sections.append(ScanReport.Section(shape: shape, rows: rows))
    }
    return report
  }

  private func measure(_ shape: ScanShape, round: Int, _ file: PatternFile, _ row: inout ScanReport.Row) throws {
    try KernelCache.drop(file.path)
    let asked = shape.blockCount(fileBytes: plan.fileBytes) * shape.blockBytes
    let rate: Double
    switch row.arm {
    case .cache:
      let cache = try PageCache(
        .init(memoryLimit: plan.limit, folioOrders: 0...plan.largestOrder, populatesArena: true))
      let cached = try cache.open(file.path)
      defer { try? cached.close() }
      rate = try read(CacheArm(file: cached), shape, round: round)
      row.filledBytes += Int(try cache.statistics().filledBytes)
      // Blocks are whole frames.
      row.askedBytes += distinctBytes(shape, round: round)
    case .pread:
      let descriptor = try FileDescriptor.open(file.path, .readOnly)
      rate = try descriptor.closeAfter {
        try read(PreadArm(descriptor: descriptor.rawValue), shape, round: round)
      }
    case .fio, .fioOne:
      let isOne = row.arm == .fioOne
      var run = FioRun(
        path: "\(file.path)", blockBytes: shape.blockBytes, engine: isOne ? "psync" : engine ?? "psync",
        depth: isOne ? 1 : shape.depth, byteCount: asked)
      run.skipBytes = shape.strideBytes - shape.blockBytes
      run.isRandom = shape.isRandom
      rate = try run.bytesPerSecond()
    }
    row.mebibytesPerSecond.append(rate / 0x1p20)
  }

  /// - Returns: bytes a second.
  private func read<Arm: ReadArm>(_ arm: Arm, _ shape: ScanShape, round: Int) throws -> Double {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: shape.blockBytes, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    // The buffer's first touches are nobody's reads.
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
    let offsets = offsets(shape, round: round)
    let start = monotonicNanoseconds()
    for offset in offsets {
      guard unsafe arm.read(at: offset, into: buffer) == buffer.count else {
        throw BenchmarkError("a read of \(buffer.count) bytes at \(offset) failed or was short")
      }
      let last = buffer.count - 8
      let (head, tail) = unsafe (
        buffer.load(as: UInt64.self), buffer.load(fromByteOffset: last, as: UInt64.self)
      )
      guard head == PatternFile.word(at: offset), tail == PatternFile.word(at: offset + UInt64(last)) else {
        throw BenchmarkError("a read at \(offset) returned other bytes")
      }
    }
    return Double(offsets.count * shape.blockBytes) * 1e9 / Double(monotonicNanoseconds() - start)
  }

  private func offsets(_ shape: ScanShape, round: Int) -> [UInt64] {
    var random = RandomWords(seed: plan.seed &+ UInt64(round))
    let places = UInt64(plan.fileBytes / shape.strideBytes)
    return (0..<shape.blockCount(fileBytes: plan.fileBytes)).map {
      (shape.isRandom ? random.next(below: places) : UInt64($0)) * UInt64(shape.strideBytes)
    }
  }

  /// What a cache that keeps everything has to read: a block that comes twice, once.
  private func distinctBytes(_ shape: ScanShape, round: Int) -> Int {
    Set(offsets(shape, round: round)).count * shape.blockBytes
  }

  private func readMode(_ path: FilePath) throws -> String {
    let store = try LocalFileStore(path: path, threads: IOThreads(count: 1))
    defer { store.close() }
    return "reads of the store \(store.mode)"
  }
}
