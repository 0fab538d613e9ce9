import PageCache
import Primitives
import SystemPackage

/// Readers of all lengths against eviction: a cache a tenth of the file, every byte of every read checked.
package struct ReadStress: Sendable {
  /// Reads by all threads together.
  package var reads = 1_000_000
  package var threads = 2
  package var seed: UInt64 = 1
  package var fileByteCount = 128 << 20
  /// A tenth of the file if nil.
  package var memoryLimit: Int?
  package var folioOrders = 0...0
  package var usesMembarrier = true

  package init() {}

  package static var allCores: Int { availableCores() }

  package struct Report: Sendable {
    package var reads: UInt64 = 0
    package var bytes: UInt64 = 0
    package var mismatches: UInt64 = 0
    package var errors: UInt64 = 0
    /// The first thing that went wrong, with all that is needed to do it again.
    package var firstFailure: String?
    package var seconds = 0.0
    package var memoryLimit = 0
    /// Peak resident memory above that of before the cache was made; nil where the kernel does not tell.
    package var peakResidentBytes: Int?
    package var statistics: PageCache.Statistics?

    package var isClean: Bool { mismatches == 0 && errors == 0 }

    package var lines: [String] {
      var lines = [
        "\(reads) reads, \(bytes) bytes, every one checked, in \(fixed(seconds, 1)) s: \(mismatches) mismatches, \(errors) errors"
      ]
      if let firstFailure { lines.append("first: \(firstFailure)") }
      if let peak = peakResidentBytes {
        let over = peak - memoryLimit
        lines.append(
          "peak resident memory above the baseline: \(peak) bytes; limit \(memoryLimit), so \(fixed(Double(over) / 1_048_576, 1)) MiB more"
        )
      }
      if let statistics { lines += StatisticsReport.lines(statistics) }
      return lines
    }
  }

  /// Runs it over a file that it makes in a directory and removes again.
  package func run(in directory: FilePath) throws -> Report {
    let file = try PatternFile(
      creating: directory.appending("pagecache-stress-\(monotonicNanoseconds())"), byteCount: fileByteCount)
    defer { file.remove() }
    return try run(over: file)
  }

  func run(over pattern: PatternFile) throws -> Report {
    let limit = memoryLimit ?? fileByteCount / 10
    // All that the readers themselves need is there, and touched, before the memory is measured.
    let workers = (0..<threads).map { StressReader(number: $0, stress: self, file: pattern) }
    let baseline = ResidentMemory.current
    let canMeasure = ResidentMemory.resetPeak()

    var configuration = PageCache.Configuration(memoryLimit: limit, folioOrders: folioOrders)
    configuration.usesMembarrier = usesMembarrier
    let cache = try PageCache(configuration)
    let file = try cache.open(pattern.path)
    let start = monotonicNanoseconds()
    onThreads(threads) { workers[$0].run(file) }
    var report = Report()
    report.seconds = Double(monotonicNanoseconds() - start) / 1e9
    report.memoryLimit = limit
    if canMeasure { report.peakResidentBytes = ResidentMemory.peak - baseline }
    report.statistics = try cache.statistics()
    for worker in workers {
      let part = worker.report
      report.reads += part.reads
      report.bytes += part.bytes
      report.mismatches += part.mismatches
      report.errors += part.errors
      if report.firstFailure == nil { report.firstFailure = part.firstFailure }
    }
    try file.close()
    return report
  }
}

/// One thread of the stress.
@safe
private final class StressReader: @unchecked Sendable {
  private let number: Int
  private let stress: ReadStress
  private let file: PatternFile
  private let buffer: UnsafeMutableRawBufferPointer
  // Written by the thread that runs, read when it has ended.
  private(set) var report = ReadStress.Report()

  private static let longest = 1 << 20
  /// Reads go to a window of this many bytes for a while, so that most hit.
  private static let window: UInt64 = 1 << 20
  private static let readsInWindow = 20_000
  private static let canary: UInt8 = 0xC5

  init(number: Int, stress: ReadStress, file: PatternFile) {
    self.number = number
    self.stress = stress
    self.file = file
    unsafe buffer = .allocate(byteCount: StressReader.longest + 64, alignment: 64)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: StressReader.canary)
  }

  deinit { unsafe buffer.deallocate() }

  func run(_ cached: CachedFile) {
    var random = RandomWords(seed: stress.seed &* 1_000_003 &+ UInt64(number))
    let share = stress.reads / stress.threads + (number < stress.reads % stress.threads ? 1 : 0)
    let size = UInt64(file.byteCount)
    var windowStart: UInt64 = 0
    for read in 0..<share {
      if read % StressReader.readsInWindow == 0 {
        windowStart = random.next(below: max(1, size - min(size, StressReader.window)))
      }
      let choice = random.next(below: 1000)
      let limit: UInt64 = choice == 0 ? UInt64(StressReader.longest) : choice < 10 ? 32768 : choice < 200 ? 4096 : 300
      let count = Int(random.next(below: limit) + 1)
      let isFar = random.next(below: 1000) < 4
      let offset = isFar ? random.next(below: size) : windowStart + random.next(below: min(size, StressReader.window))
      check(cached, offset: min(offset, size), count: count, way: random.next(below: 16), read: read)
    }
  }

  private func check(_ cached: CachedFile, offset: UInt64, count: Int, way: UInt64, read: Int) {
    do {
      let expected = min(count, file.byteCount - Int(offset))
      switch way {
      case 0: try borrow(cached, offset: offset, count: count, expected: expected, read: read)
      case 1: try many(cached, offset: offset, count: count, read: read)
      default:
        let wanted = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        let done = try unsafe cached.read(fromAbsoluteOffset: Int64(offset), into: wanted)
        unsafe verify(UnsafeRawBufferPointer(rebasing: buffer[..<done]), offset, expected: expected, read: read)
        // P3: behind what was read, nothing changed.
        if unsafe buffer[count..<count + 16].contains(where: { $0 != StressReader.canary }) {
          fail("read \(read) of thread \(number): bytes behind the \(count) asked for have changed")
          unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count..<count + 16])
            .initializeMemory(as: UInt8.self, repeating: StressReader.canary)
        }
        // What was read is not the canary for the next, shorter read.
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<done])
          .initializeMemory(as: UInt8.self, repeating: StressReader.canary)
      }
    } catch {
      report.errors += 1
      note("read \(read) of thread \(number), \(count) bytes at \(offset): \(error)")
    }
  }

  private func borrow(_ cached: CachedFile, offset: UInt64, count: Int, expected: Int, read: Int) throws {
    try cached.withBytes(atAbsoluteOffset: Int64(offset), count: count) { span in
      unsafe span.withUnsafeBytes { unsafe verify($0, offset, expected: expected, read: read) }
    }
  }

  private func many(_ cached: CachedFile, offset: UInt64, count: Int, read: Int) throws {
    // A few reads side by side, of at most 300 bytes.
    let each = min(count, 300)
    var requests: [CachedFile.ReadRequest] = []
    for index in 0..<4 {
      let place = min(offset + UInt64(index * 5000), UInt64(file.byteCount))
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[index * 304..<index * 304 + each])
      requests.append(unsafe CachedFile.ReadRequest(offset: Int64(place), buffer: part))
    }
    try cached.readMany(&requests)
    for index in requests.indices {
      let request = requests[index]
      let expected = min(each, file.byteCount - Int(request.offset))
      let bytes = unsafe UnsafeRawBufferPointer(rebasing: request.buffer[..<request.bytesRead])
      unsafe verify(bytes, UInt64(request.offset), expected: expected, read: read)
      unsafe request.buffer.initializeMemory(as: UInt8.self, repeating: StressReader.canary)
    }
  }

  private func verify(_ bytes: UnsafeRawBufferPointer, _ offset: UInt64, expected: Int, read: Int) {
    report.reads += 1
    report.bytes += UInt64(bytes.count)
    if bytes.count != expected {
      fail("read \(read) of thread \(number) at \(offset): \(bytes.count) bytes, not \(expected)")
    } else if let place = unsafe PatternFile.firstMismatch(bytes, at: offset) {
      fail("read \(read) of thread \(number): \(expected) bytes at \(offset) differ at \(place)")
    }
  }

  private func fail(_ what: String) {
    report.mismatches += 1
    note(what)
  }

  private func note(_ what: String) {
    if report.firstFailure == nil { report.firstFailure = "\(what) (seed \(stress.seed))" }
  }
}
