import ArgumentParser
import PageCache
import PageCacheBenchmarking
import SystemPackage

struct StatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stat", abstract: "Read files through a cache and show what it did.",
    discussion: """
      Each file is read from its start to its end, twice: once from the store, and once from the cache as far as it fits. Then the cache's \
      statistics are printed.
      """)

  @Argument(help: "Files to read.")
  var files: [String]

  @Option(
    help: "Memory limit of the cache.",
    transform: { try validated(single(parseByteCounts($0, in: 1...Int.max))) })
  var limit = 64 << 20

  @Option(help: "Order of the folios: 2^n frames of 4 KiB, 0 to 9.")
  var order = 0

  func validate() throws {
    guard (0...9).contains(order) else { throw ValidationError("orders are 0 to 9, not \(order)") }
    guard !files.isEmpty else { throw ValidationError("no file is named") }
  }

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    let cache = try failing { try PageCache(.init(memoryLimit: limit, folioOrders: order...order)) }
    var isComplete = true
    for path in files {
      // One bad file does not hide the others.
      do {
        let file = try cache.open(FilePath(path))
        let bytes = try readThrough(file)
        _ = try readThrough(file)
        let resident = try file.residency().reduce(0) { $0 + $1.count }
        output.table("\(path): \(bytes) bytes, \(resident) of them cached")
        for line in StatisticsReport.lines(try cache.statistics()) { output.table("  " + line) }
        try file.close()
      } catch {
        isComplete = false
        output.progress("\(error)")
      }
    }
    if !isComplete { throw ExitCode.failure }
  }

  /// Reads a file from start to end and returns how long it is.
  private func readThrough(_ file: CachedFile) throws -> Int64 {
    var offset: Int64 = 0
    while true {
      let bytes = try file.read(fromAbsoluteOffset: offset, count: 1 << 20)
      if bytes.isEmpty { return offset }
      offset += Int64(bytes.count)
    }
  }
}
