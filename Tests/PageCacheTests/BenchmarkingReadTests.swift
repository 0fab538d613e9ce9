import PageCacheBenchmarking
import Testing

@Suite(.serialized) struct BenchmarkingReadTests {
  private func plan() -> ReadPlan {
    var plan = ReadPlan()
    plan.fileBytes = [4 << 10]
    plan.blockBytes = [1, 4096, 8192]
    plan.threads = [1, 2]
    plan.rounds = 3
    plan.millisecondsPerRound = 1
    plan.directory = "/tmp"
    return plan
  }

  @Test func everyRowIsThereAndPositive() throws {
    var lines: [String] = []
    var sections: [Int] = []
    let results = try ReadBenchmark.run(plan(), progress: { lines.append($0) }) { sections.append($2) }
    #expect(sections == [1, 2])
    #expect(lines.contains { $0.contains("8 KiB are larger") })
    let report = try readReport(fromJSON: jsonText(results.report))
    #expect(report == results.report)
    #expect(report.benchmark == "reads" && report.machine.cores > 0 && report.machine.memoryBytes > 0)
    for arm in ReadArmKind.allCases {
      for block in [1, 4096] {
        for (threads, placement) in [(1, Placement.same), (2, .same), (2, .different)] {
          let rows = report.rows.filter {
            $0.arm == arm.rawValue && $0.blockBytes == block && $0.threads == threads && $0.placement == placement
          }
          let row = try #require(rows.first, "\(arm) \(block) \(threads) \(placement)")
          #expect(rows.count == 1)
          #expect(row.fileBytes == 4096)
          #expect(row.folioOrder == (arm.usesCache ? 0 : nil))
          for spread in [row.nanosecondsPerRead, row.mebibytesPerSecond] {
            #expect(spread.min > 0 && spread.min <= spread.median && spread.median <= spread.max)
          }
          for ratio in [row.ratioToPread, row.ratioToMmap] {
            let ratio = try #require(ratio)
            #expect(ratio.low > 0 && ratio.low <= ratio.median && ratio.median <= ratio.high)
          }
        }
      }
    }
    #expect(report.rows.count == ReadArmKind.allCases.count * 2 * 3)
  }

  @Test func jsonHasTheAgreedShape() throws {
    var plan = plan()
    plan.threads = [1]
    plan.blockBytes = [256]
    plan.arms = [.mmap, .cache]
    let text = try jsonText(ReadBenchmark.run(plan).report)
    for key in [
      "benchmark", "machine", "rows", "file_bytes", "block_bytes", "threads", "placement", "arm", "folio_order",
      "ns_per_read", "mib_per_s", "min", "median", "max", "ratio_to_mmap", "low", "high",
    ] {
      #expect(text.contains("\"\(key)\" :"), "\(key)")
    }
    #expect(text.contains("\"folio_order\" : null"))
    #expect(text.contains("\"folio_order\" : 0"))
    #expect(!text.contains("ratio_to_pread"), "pread was not measured")
  }

  @Test func tableAndPictureShowWhatWasMeasured() throws {
    let results = try ReadBenchmark.run(plan())
    let table = ReadTable(results).section(fileBytes: 4096, threads: 2)
    #expect(table.allSatisfy { $0.count <= 160 })
    for arm in ReadArmKind.allCases { #expect(table.contains { $0.contains("  \(arm.rawValue)") }) }
    #expect(ReadTable(results).section(fileBytes: 5, threads: 2).isEmpty)
    let picture = try #require(ReadPlot(results).svg)
    #expect(picture.hasPrefix("<svg") && picture.hasSuffix("</svg>\n"))
    for arm in ReadArmKind.allCases { #expect(picture.contains(">\(arm.rawValue)<")) }
    #expect(!picture.contains("nan") && !picture.contains("inf"))
  }

  @Test func whatDoesNotFitIsSkippedWithItsReason() throws {
    var plan = plan()
    plan.fileBytes = [1 << 40]
    let results = try ReadBenchmark.run(plan)
    #expect(results.report.rows.isEmpty)
    #expect(results.skipped.count == 1 && results.skipped[0].contains("1024 GiB"))
    #expect(ReadPlot(results).svg == nil)
  }

  @Test func aMissingDirectoryIsAnError() {
    var plan = plan()
    plan.directory = "/nonexistent/place"
    let error = #expect(throws: BenchmarkError.self) { try ReadBenchmark.run(plan) }
    #expect(error?.description.contains("/nonexistent/place") == true)
  }

  @Test func deferredReuseHasFigures() throws {
    var benchmark = ReuseBenchmark()
    benchmark.makeQuick()
    let rows = try benchmark.run()
    #expect(rows.allSatisfy { $0.evictionsPerSecond.min > 0 && $0.evictionsPerSecondAtOnce.min > 0 })
    #expect(rows.allSatisfy { 1...$0.frames ~= $0.mostDeferredFrames && $0.gracePeriodsPerThousandEvictions > 0 })
    #expect(ReuseBenchmark.lines(rows).count == rows.count + 1)
  }

  @Test func gracePeriodsHaveFigures() throws {
    var benchmark = GraceBenchmark()
    benchmark.samples = 10
    benchmark.sections = 1000
    let report = try benchmark.run()
    #expect(report.rows.count >= 3)
    #expect(report.rows.allSatisfy { $0.samples > 0 && $0.gracePeriod.min > 0 })
    #expect(report.rows.allSatisfy { $0.gracePeriod.max >= $0.gracePeriod.p99 })
    #expect(report.readSection.min > 0)
    #expect(report.lines.count >= 10)
  }
}

/// The arms over protocols, on plain memory.
@Suite struct BenchmarkingArmTests {
  @safe
  final class Memory: ByteBorrowing, BatchReading, @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) {
      unsafe bytes = .allocate(byteCount: count, alignment: 8)
      for index in 0..<count { unsafe bytes[index] = UInt8(truncatingIfNeeded: index &* 7) }
    }

    deinit { unsafe bytes.deallocate() }

    func withBytes<Result: ~Copyable>(
      atAbsoluteOffset offset: Int64, count: Int, _ body: (RawSpan) throws -> Result
    ) throws -> Result {
      try unsafe body(UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<(Int(offset) + count)]).bytes)
    }

    @safe
    struct Request {
      let offset: UInt64
      let buffer: UnsafeMutableRawBufferPointer
      var count = -1
    }

    static func request(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Request {
      unsafe Request(offset: offset, buffer: buffer)
    }

    static func count(of request: Request) -> Int { request.count }

    func readMany(_ requests: inout [Request]) throws {
      for index in requests.indices {
        let start = Int(requests[index].offset)
        unsafe requests[index].buffer.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + requests[index].buffer.count)]))
        unsafe requests[index].count = requests[index].buffer.count
      }
    }
  }

  @Test(arguments: [1, 256, 4096])
  func theyReadWhatIsThere(block: Int) {
    let memory = Memory(count: 4096)
    let room = ReadLoop.bufferBytes(forBlock: block)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 64)
    defer { unsafe buffer.deallocate() }
    func check(_ arm: some ReadArm) {
      let one = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<block])
      let offset = 4096 / block / 2 * block
      let expected = (0..<block).map { UInt8(truncatingIfNeeded: (offset + $0) &* 7) }
      unsafe #expect(arm.read(at: UInt64(offset), into: one) == block)
      unsafe #expect(Array(one) == expected)
      var loop = unsafe ReadLoop(seed: 1, blockBytes: block, fileBytes: 4096, buffer: buffer)
      let done = arm.readBatch(&loop, count: 100)
      #expect(done >= 100 && done < 100 + ReadLoop.batchLimit)
      #expect(loop.shortReads == 0)
    }
    check(BorrowArm(memory))
    check(BatchArm(memory))
  }
}
