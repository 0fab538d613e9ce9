import PageCacheBenchmarking
import TestSupport
import Testing

// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct ScanBenchmarkTests {
  @Test func fioIsToldWhatToRead() {
    var run = FioRun(path: "/data/file", blockBytes: 16384, engine: "io_uring", depth: 64, byteCount: 1 << 20)
    run.skipBytes = 49152
    #expect(run.words.first == "fio")
    for word in [
      "--filename=/data/file", "--readonly", "--direct=1", "--rw=read:49152", "--bs=16384", "--ioengine=io_uring",
      "--iodepth=64", "--io_size=1048576", "--output-format=json",
    ] {
      #expect(run.words.contains(word), "\(word)")
    }
    run.skipBytes = 0
    #expect(run.words.contains("--rw=read"))
    run.isRandom = true
    #expect(run.words.contains("--rw=randread"))
  }

  private func report(error: Int = 0, bytes: Int = 1_073_741_824, rate: Int = 1_295_184_349) -> String {
    """
    fio: this is no part of the report
    {
      "fio version" : "fio-3.33",
      "jobs" : [
        { "jobname" : "scan", "error" : \(error),
          "read" : { "io_bytes" : \(bytes), "io_kbytes" : 1048576, "bw_bytes" : \(rate), "iops" : 1235.2 },
          "write" : { "io_bytes" : 0, "bw_bytes" : 0 } }
      ]
    }
    """
  }

  @Test func fiosReportIsRead() throws {
    #expect(try FioRun.bytesPerSecond(json: report(), wanted: 1 << 30) == 1_295_184_349)
  }

  @Test func whatIsNoGoodReportIsRefused() {
    for text in [
      "", "no such file", "{}", #"{"jobs":[]}"#, report(error: 5), report(bytes: 4096), report(rate: 0),
      String(report().dropLast(20)),
    ] {
      #expect(throws: BenchmarkError.self, "\(text)") { try FioRun.bytesPerSecond(json: text, wanted: 1 << 30) }
    }
  }

  @Test func depthsKeepADiskAtWork() {
    #expect(ScanShape.all.map(\.depth) == [32, 4, 64, 64])
    #expect(ScanShape.all.map { $0.blockCount(fileBytes: 1 << 30) } == [8192, 1024, 16384, 16384])
  }

  @Test func everyRowIsThereAndFillsWhatIsAsked() throws {
    var plan = ScanPlan()
    plan.fileBytes = 16 << 20
    plan.limit = 32 << 20
    plan.rounds = 2
    let report = try ScanBenchmark(plan, directory: "/tmp", withFio: false).run { _ in }
    #expect(report.sections.map(\.shape) == ScanShape.all)
    for section in report.sections {
      #expect(section.rows.map(\.arm) == [.cache, .pread])
      for row in section.rows {
        #expect(row.mebibytesPerSecond.count == 2 && row.mebibytesPerSecond.allSatisfy { $0 > 0 })
      }
      #expect(section.ratios(to: .pread).count == 2)
    }
    // Nothing is read ahead at random.
    let random = report.sections[3].rows[0]
    #expect(random.askedBytes > 0 && Double(random.filledBytes) <= 1.05 * Double(random.askedBytes))
    #expect(report.lines.contains { $0.contains("filled from the store") })
    let text = try jsonText(report)
    for key in [
      "benchmark", "machine", "file_bytes", "sections", "mib_per_s", "filled_bytes", "asked_bytes", "read_mode",
    ] {
      #expect(text.contains("\"\(key)\" :"), "\(key)")
    }
  }
}
