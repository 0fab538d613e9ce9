import Primitives

/// How long it takes to cut the last MiB off a file while somebody reads MiBs around there.
struct TruncationLatency: Sendable {
  private let plan: AtomicityPlan

  init(_ plan: AtomicityPlan) { self.plan = plan }

  private static var cutBytes: Int { 1 << 20 }

  private final class Times: Sendable {
    private let monitor = Monitor()
    private let stopped = SharedFlag()
    // Guarded by `monitor`.
    nonisolated(unsafe) private var taken: [Double] = []
    nonisolated(unsafe) private var failure: String?

    var isStopped: Bool { stopped.isSet }

    func finish(_ values: [Double], _ error: String?) {
      monitor.withLock {
        unsafe taken = values
        unsafe failure = error
      }
      stopped.set()
    }

    var result: (values: [Double], failure: String?) { monitor.withLock { unsafe (taken, failure) } }
  }

  func measure(_ entry: AtomicityEntry) throws -> AtomicityTruncation {
    let times = Times()
    let fileBytes = plan.fileBytes
    let truncations = plan.truncations
    onThreads(2) { thread in
      if thread == 0 {
        Self.read(entry.arm, fileBytes: fileBytes) { times.isStopped }
      } else {
        var values: [Double] = []
        do {
          let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.cutBytes, alignment: 4096)
          defer { unsafe bytes.deallocate() }
          unsafe bytes.initializeMemory(as: UInt8.self, repeating: 1)
          for _ in 0..<truncations {
            let start = monotonicNanoseconds()
            try entry.arm.resize(to: Int64(fileBytes - Self.cutBytes))
            values.append(Double(monotonicNanoseconds() - start) / 1000)
            try unsafe entry.arm.write(at: Int64(fileBytes - Self.cutBytes), .init(bytes))
          }
          times.finish(values, nil)
        } catch {
          times.finish(values, "\(error)")
        }
      }
    }
    let (values, failure) = times.result
    if let failure { throw BenchmarkError("\(entry.name): \(failure)") }
    let sorted = values.sorted()
    return AtomicityTruncation(
      arm: entry.name, samples: sorted.count, median: medianOfSorted(sorted), p99: percentile(0.99, ofSorted: sorted),
      max: sorted[sorted.count - 1])
  }

  private static func read(_ arm: any AtomicityArm, fileBytes: Int, until isStopped: () -> Bool) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: cutBytes, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
    var random = RandomWords(seed: 1)
    while !isStopped() {
      let offset = fileBytes - 3 * cutBytes + Int(random.next(below: UInt64(2 * cutBytes)))
      _ = unsafe arm.read(at: Int64(offset), into: buffer)
    }
  }
}
