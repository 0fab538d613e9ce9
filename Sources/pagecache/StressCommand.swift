import ArgumentParser
import PageCacheBenchmarking
import SystemPackage

struct StressCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stress", abstract: "Read at all lengths beside eviction, and check every byte.",
    discussion: """
      Makes a file in which each 8-byte word is a function of its offset, reads it through a cache a tenth of its size, and checks what it gets. A \
      failure prints the seed that replays its reads.
      """)

  @Option(help: "Reads, by all threads together.")
  var reads = 10_000_000

  @Option(help: "Threads. (default: all cores)", transform: { try validated(single(parseCounts($0, in: 1...256))) })
  var threads: Int?

  @Option(help: "What the reads are drawn from.")
  var seed: UInt64 = 1

  @Option(
    help: "Size of the file.", transform: { try validated(single(parseByteCounts($0, in: 1 << 20...1 << 40))) })
  var fileBytes = 128 << 20

  @Option(help: "Order of the folios, 0 to 9.")
  var order = 0

  @Option(help: "Where to make the file.")
  var directory = "."

  func validate() throws {
    guard reads > 0 else { throw ValidationError("\(reads) is no number of reads") }
    guard (0...9).contains(order) else { throw ValidationError("orders are 0 to 9, not \(order)") }
  }

  mutating func run() throws {
    let output = try Output(json: nil, files: [])
    var stress = ReadStress()
    stress.reads = reads
    stress.threads = threads ?? ReadStress.allCores
    stress.seed = seed
    stress.fileByteCount = fileBytes
    stress.folioOrders = order...order
    output.progress("\(reads) reads by \(stress.threads) threads, seed \(seed)")
    let report = try failing { [stress] in try stress.run(in: FilePath(directory)) }
    for line in report.lines { output.table(line) }
    if !report.isClean { throw ExitCode.failure }
  }
}
