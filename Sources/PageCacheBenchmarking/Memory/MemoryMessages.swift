/// What a process with an arm of `bench memory` says once it has everything in hand. A line of JSON; so does the peer, which is no Swift.
package struct MemoryReady: Codable, Sendable, Equatable {
  /// Of the streams of all threads, as text: JSON has no numbers of 64 bits.
  package var checksum: String
  /// Bytes of the process without what it caches.
  package var baselineBytes: Int

  enum CodingKeys: String, CodingKey {
    case checksum
    case baselineBytes = "baseline_bytes"
  }
}

/// What it is asked for: `run START READS NANOSECONDS`, reads of each thread from a place in its stream on, until so many are done or so long is over.
package struct MemoryRequest: Sendable, Equatable {
  package var start: Int
  package var reads: Int
  package var nanoseconds: Int

  package init(start: Int, reads: Int, nanoseconds: Int) {
    self.start = start
    self.reads = reads
    self.nanoseconds = nanoseconds
  }

  package init?(line: String) {
    let words = line.split(separator: " ")
    guard words.count == 4, words[0] == "run", let start = Int(words[1]), let reads = Int(words[2]),
      let nanoseconds = Int(words[3]), start >= 0, reads > 0, nanoseconds > 0
    else { return nil }
    self.init(start: start, reads: reads, nanoseconds: nanoseconds)
  }

  package var line: String { "run \(start) \(reads) \(nanoseconds)" }
}

/// What it answers.
package struct MemoryRun: Codable, Sendable, Equatable {
  /// Reads by all threads, and how long it took until the last had ended.
  package var reads: Int
  package var nanoseconds: Int
  /// Processor time of the process meanwhile, its own and the kernel's for it. Unlike the rate, hardly in the hands of others on the machine.
  package var processorNanoseconds: Int
  /// Reads that did not come from memory, where the arm can tell.
  package var misses: Int?
  /// Bytes that the process has had from the device meanwhile, as /proc/self/io tells.
  package var deviceBytes: Int
  /// Reads that failed or were short, and that returned another page than they should have.
  package var failed: Int
  package var wrong: Int
  /// Bytes that the process and what is cached for it take now.
  package var memoryBytes: Int

  enum CodingKeys: String, CodingKey {
    case reads, nanoseconds, misses, failed, wrong
    case processorNanoseconds = "processor_nanoseconds"
    case deviceBytes = "device_bytes"
    case memoryBytes = "memory_bytes"
  }

  package var readsPerSecond: Double { Double(reads) * 1e9 / Double(max(1, nanoseconds)) }
  package var processorNanosecondsPerRead: Double { Double(processorNanoseconds) / Double(max(1, reads)) }
  package var missRatio: Double { Double(misses ?? deviceBytes / 4096) / Double(max(1, reads)) }
}
