import Foundation

/// A run of fio: one process that reads a file directly, by any of its engines. What storage can do, without a cache.
package struct FioRun: Sendable, Equatable {
  package var program = "fio"
  package var path: String
  package var blockBytes: Int
  /// Bytes left out between two blocks of a sequential run.
  package var skipBytes = 0
  package var isRandom = false
  package var engine: String
  /// Reads under way at one time.
  package var depth: Int
  /// Bytes to be read, those left out not counted.
  package var byteCount: Int

  package init(path: String, blockBytes: Int, engine: String, depth: Int, byteCount: Int) {
    self.path = path
    self.blockBytes = blockBytes
    self.engine = engine
    self.depth = depth
    self.byteCount = byteCount
  }

  package var words: [String] {
    // A sequential run leaves so much out behind each block.
    let pattern = isRandom ? "randread" : skipBytes == 0 ? "read" : "read:\(skipBytes)"
    return [
      program, "--name=scan", "--filename=\(path)", "--readonly", "--allow_file_create=0", "--direct=1",
      "--rw=\(pattern)", "--bs=\(blockBytes)", "--ioengine=\(engine)", "--iodepth=\(depth)",
      "--io_size=\(byteCount)", "--randseed=1", "--output-format=json",
    ]
  }

  /// Runs it, and returns the bytes a second that it reports: of the reads alone, its start is not in it.
  func bytesPerSecond() throws -> Double {
    let process = try ChildProcess(words)
    let text = try process.wholeOutput()
    let status = process.finish()
    guard status == 0 else { throw BenchmarkError("fio ended with status \(status)") }
    return try FioRun.bytesPerSecond(json: text, wanted: byteCount)
  }

  /// What a run has reported.
  /// - Throws: `BenchmarkError` if the text is no report, tells of an error, or of fewer bytes than were wanted.
  package static func bytesPerSecond(json text: String, wanted: Int) throws -> Double {
    // It may say something before its report.
    guard let start = text.firstIndex(of: "{") else { throw BenchmarkError("fio reports nothing") }
    let report: FioReport
    do { report = try JSONDecoder().decode(FioReport.self, from: Data(text[start...].utf8)) } catch {
      throw BenchmarkError("fio's report cannot be read: \(error)")
    }
    guard report.jobs.count == 1, report.jobs[0].error == 0 else {
      throw BenchmarkError("fio reports the error \(report.jobs.first?.error ?? 0)")
    }
    let read = report.jobs[0].read
    guard read.byteCount >= wanted, read.bytesPerSecond > 0 else {
      throw BenchmarkError("fio has read \(read.byteCount) bytes of \(wanted)")
    }
    return read.bytesPerSecond
  }

  /// The best engine of those that are there: fio's default is one read at a time.
  static func bestEngine() -> String? {
    guard let program = ChildProcess.find("fio"), let process = try? ChildProcess([program, "--enghelp"]),
      let text = try? process.wholeOutput()
    else { return nil }
    let engines = text.split(whereSeparator: \.isWhitespace)
    return ["io_uring", "libaio", "posixaio"].first { engines.contains(Substring($0)) }
  }
}

/// Of fio's report, what is looked at.
private struct FioReport: Decodable {
  struct Job: Decodable {
    struct Read: Decodable {
      var byteCount: Int
      var bytesPerSecond: Double

      enum CodingKeys: String, CodingKey {
        case byteCount = "io_bytes"
        case bytesPerSecond = "bw_bytes"
      }
    }

    var error: Int
    var read: Read
  }

  var jobs: [Job]
}
