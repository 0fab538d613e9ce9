import Glibc
import Primitives
import ReadCopyUpdate

/// The figures of the read-copy-update room: what a read section costs, and how long a grace period takes beside readers.
package struct GraceBenchmark {
  /// Grace periods measured beside each kind of reader.
  package var samples = 2000
  /// Read sections in a measurement.
  package var sections = 20_000_000
  /// A measurement ends after this long, with at least one sample.
  package var millisecondsPerCase = 5000

  package init() {}

  package mutating func makeQuick() {
    samples = 200
    sections = 2_000_000
    millisecondsPerCase = 1000
  }

  package struct Readers: Sendable, Equatable {
    package let count: Int
    package let byteCount: Int

    package var name: String {
      switch count {
      case 0: "no reader"
      case 1: "one reader, \(byteCountText(byteCount)) a section"
      default: "\(count) readers, \(byteCountText(byteCount)) a section"
      }
    }
  }

  package struct Latency: Sendable, Codable, Equatable {
    package var min: Double
    package var median: Double
    package var p99: Double
    package var max: Double
  }

  package struct Row: Sendable, Codable, Equatable {
    package var readers: Int
    package var readerBytes: Int
    package var samples: Int
    package var gracePeriod: Latency

    enum CodingKeys: String, CodingKey {
      case readers, samples
      case readerBytes = "reader_bytes"
      case gracePeriod = "grace_period_ns"
    }
  }

  package struct Report: Sendable, Codable, Equatable {
    package var benchmark = "grace"
    package var machine: Machine
    /// Enter and exit.
    package var readSection: Spread
    /// The same, finding the thread's record first, as a hit does.
    package var readSectionWithRecord: Spread
    package var rows: [Row]

    enum CodingKeys: String, CodingKey {
      case benchmark, machine, rows
      case readSection = "read_section_ns"
      case readSectionWithRecord = "read_section_with_record_ns"
    }
  }

  /// - Throws: `BenchmarkError` if the process has too many domains.
  package func run(progress: (String) -> Void = { _ in }) throws -> Report {
    let domain: ReadDomain
    do { domain = try ReadDomain() } catch {
      throw BenchmarkError("the process has \(error.limit) read domains already")
    }
    guard domain.readersNeedNoFence else {
      throw BenchmarkError("membarrier(2) does not work here: readers take a fence each")
    }
    let cores = availableCores()
    var all = [
      Readers(count: 0, byteCount: 0), Readers(count: 1, byteCount: 256), Readers(count: 1, byteCount: 1 << 20),
    ]
    if cores > 1 { all.append(Readers(count: cores, byteCount: 256)) }
    progress("read sections")
    let section = Spread((0..<9).map { _ in sectionNanoseconds(domain) })
    let withRecord = Spread((0..<9).map { _ in sectionWithRecordNanoseconds(domain) })
    var rows: [Row] = []
    for readers in all {
      progress("grace periods beside \(readers.name)")
      let times = graceNanoseconds(domain, beside: readers).sorted()
      rows.append(
        Row(
          readers: readers.count, readerBytes: readers.byteCount, samples: times.count,
          gracePeriod: Latency(
            min: times[0], median: medianOfSorted(times), p99: percentile(0.99, ofSorted: times),
            max: times[times.count - 1])))
    }
    return Report(machine: Machine(), readSection: section, readSectionWithRecord: withRecord, rows: rows)
  }

  // MARK: Read sections

  @inline(never)
  private func sectionNanoseconds(_ domain: ReadDomain) -> Double {
    let record = domain.record()
    let clock = domain.clock
    let start = monotonicNanoseconds()
    for _ in 0..<sections {
      record.enter(clock)
      compilerFence()
      record.exit()
      compilerFence()
    }
    return Double(monotonicNanoseconds() - start) / Double(sections)
  }

  @inline(never)
  private func sectionWithRecordNanoseconds(_ domain: ReadDomain) -> Double {
    _ = domain.record()
    let slot = domain.slotNumber
    let clock = domain.clock
    let start = monotonicNanoseconds()
    for _ in 0..<sections {
      guard let record = ThreadRecord.fast(slot: slot) else { continue }
      record.enter(clock)
      compilerFence()
      record.exit()
      compilerFence()
    }
    return Double(monotonicNanoseconds() - start) / Double(sections)
  }

  // MARK: Grace periods

  private func graceNanoseconds(_ domain: ReadDomain, beside readers: Readers) -> [Double] {
    let stop = Flag()
    let started = StartBarrier(count: readers.count + 1)
    let times = Times()
    onThreads(readers.count + 1) { thread in
      if thread == 0 {
        started.wait()
        times.take(self.synchronise(domain))
        stop.set()
      } else {
        Self.read(domain, byteCount: readers.byteCount, started: started, until: stop)
      }
    }
    return times.values
  }

  private func synchronise(_ domain: ReadDomain) -> [Double] {
    var times: [Double] = []
    let end = monotonicNanoseconds() + UInt64(millisecondsPerCase) * 1_000_000
    while times.count < samples {
      let start = monotonicNanoseconds()
      domain.synchronize()
      let now = monotonicNanoseconds()
      times.append(Double(now - start))
      if now > end { break }
    }
    return times
  }

  /// One read section after another, with a copy in each.
  private static func read(_ domain: ReadDomain, byteCount: Int, started: StartBarrier, until stop: Flag) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * byteCount, alignment: 4096)
    defer { unsafe memory.deallocate() }
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 1, count: 2 * byteCount)
    let record = domain.record()
    let clock = domain.clock
    started.wait()
    while !stop.isSet {
      record.enter(clock)
      unsafe _ = memcpy(memory + byteCount, memory, byteCount)
      compilerFence()
      record.exit()
    }
  }

  private final class Flag: Sendable {
    private let word = InlineWord(0)
    var isSet: Bool { word.loadRelaxed() != 0 }
    func set() { word.storeRelaxed(1) }
  }

  private final class Times: Sendable {
    private let monitor = Monitor()
    // Guarded by `monitor`.
    nonisolated(unsafe) private var taken: [Double] = []
    var values: [Double] { monitor.withLock { unsafe taken } }
    func take(_ values: [Double]) { monitor.withLock { unsafe taken = values } }
  }
}

extension GraceBenchmark.Report {
  /// The figures as lines of text.
  package var lines: [String] {
    var lines = [
      machine.summary, "",
      "read section, ns (min / median / max)",
      "  enter and exit               \(text(readSection))",
      "  ... and finding the record   \(text(readSectionWithRecord))", "",
      "grace period, µs" + padded("samples", to: 25) + padded("min", to: 10) + padded("median", to: 10)
        + padded("p99", to: 10) + padded("max", to: 10),
    ]
    for row in rows {
      let readers = GraceBenchmark.Readers(count: row.readers, byteCount: row.readerBytes)
      let times = [row.gracePeriod.min, row.gracePeriod.median, row.gracePeriod.p99, row.gracePeriod.max]
      lines.append(
        "  " + leading(readers.name, to: 29) + padded(String(row.samples), to: 10)
          + times.map { padded(fixed($0 / 1000, 1), to: 10) }.joined())
    }
    return lines
  }

  private func text(_ spread: Spread) -> String {
    "\(fixed(spread.min, 2)) / \(fixed(spread.median, 2)) / \(fixed(spread.max, 2))"
  }
}
