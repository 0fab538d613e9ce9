import Primitives

/// One file size, block size and number of threads: the rounds of all arms, in both placements, interleaved.
struct ReadCell: Sendable {
  let fileBytes: Int
  let blockBytes: Int
  let threads: Int
  let placements: [Placement]
  let contestants: [Contestant]

  private struct Entry {
    let contestant: Contestant
    let placement: Placement

    /// The arm that a thread uses.
    func arm(thread: Int) -> any ReadArm { contestant.arms[placement == .same ? 0 : thread] }
  }

  private var entries: [Entry] {
    contestants.flatMap { contestant in placements.map { Entry(contestant: contestant, placement: $0) } }
  }

  // MARK: Checking

  /// Compares some random blocks, read by each arm, with what must be there.
  /// - Throws: `BenchmarkError` at the first difference.
  func verify() throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: blockBytes, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    var random = RandomWords(seed: 42)
    for contestant in contestants {
      let files = placements.contains(.different) ? threads : 1
      for number in 0..<files {
        for _ in 0..<16 {
          let offset = random.next(below: UInt64(fileBytes / blockBytes)) &* UInt64(blockBytes)
          unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0xA5)
          let count = unsafe contestant.arms[number].read(at: offset, into: buffer)
          guard count == blockBytes, unsafe TestFiles.isRight(.init(buffer), file: number, offset: offset) else {
            throw BenchmarkError(
              "\(contestant.name) reads wrong: \(count) bytes at \(offset) of a file of \(byteCountText(fileBytes)), "
                + "blocks of \(byteCountText(blockBytes))")
          }
        }
      }
    }
  }

  // MARK: Measuring

  /// What the threads hand to each other, between barriers.
  private final class Board: Sendable {
    let barrier: StartBarrier
    let start = InlineWord(0)
    let shortReads = SharedCounter()
    private let monitor = Monitor()
    // Guarded by `monitor`: of each step, reads and the time when the last thread stopped.
    nonisolated(unsafe) private var totals: [Step]

    private struct Step {
      var reads = 0
      var nanoseconds: UInt64 = 0
      var processorNanoseconds: UInt64 = 0
    }

    init(threads: Int, steps: Int) {
      barrier = StartBarrier(count: threads)
      unsafe totals = Array(repeating: Step(), count: steps)
    }

    func add(step: Int, reads: Int, nanoseconds: UInt64, processorNanoseconds: UInt64) {
      monitor.withLock {
        unsafe totals[step].reads += reads
        unsafe totals[step].processorNanoseconds += processorNanoseconds
        unsafe totals[step].nanoseconds = max(totals[step].nanoseconds, nanoseconds)
      }
    }

    func nanosecondsPerRead(step: Int, threads: Int) -> Double {
      monitor.withLock {
        unsafe Double(totals[step].nanoseconds) * Double(threads) / Double(max(1, totals[step].reads))
      }
    }

    func processorShare(step: Int, processors: Int) -> Double {
      monitor.withLock {
        unsafe Double(totals[step].processorNanoseconds)
          / (Double(max(1, totals[step].nanoseconds)) * Double(processors))
      }
    }
  }

  /// Nanoseconds that a batch should take, so that looking at the clock costs nothing beside it.
  private static var batchNanoseconds: UInt64 { 50_000 }

  /// Reads that an arm does before it is measured in a round: what the others have left in the processor's caches is not the arm's
  /// doing. A page table, or an index, of a large file is itself large: 2 MiB for 1 GiB. Without this, rounds of 5 ms showed
  /// 480 ns for a read of such a mapping, and rounds of 400 ms 88. Enough to touch nearly all of its cache lines, each
  /// of which leads to 32 KiB of the file.
  private var leadReads: Int { 4 * (fileBytes >> 15) / threads }

  /// ... but no longer than this.
  private static var leadNanoseconds: UInt64 { 100_000_000 }

  /// The order of a round: each begins with another arm, so that none always follows the same one's leavings.
  private static func entry(round: Int, position: Int, count: Int) -> Int { (round * 5 + position) % count }

  /// - Throws: `BenchmarkError` if a read returned less than a block.
  func measure(rounds: Int, milliseconds: Int) throws -> [ReadMeasurement] {
    let entries = entries
    let count = entries.count
    // One round more: the first warms up and finds out how many reads make a batch.
    let board = Board(threads: threads, steps: (rounds + 1) * count)
    let bufferBytes = ReadLoop.bufferBytes(forBlock: blockBytes)
    let duration = UInt64(milliseconds) * 1_000_000
    onThreads(threads) { [self] thread in
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 4096)
      defer { unsafe buffer.deallocate() }
      unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
      var batches = [Int](repeating: 1, count: count)
      for round in 0...rounds {
        for position in 0..<count {
          let number = ReadCell.entry(round: round, position: position, count: count)
          let arm = entries[number].arm(thread: thread)
          var loop = unsafe ReadLoop(
            seed: UInt64(round) << 32 | UInt64(thread), blockBytes: blockBytes, fileBytes: fileBytes, buffer: buffer)
          unsafe ReadCell.lead(arm, blockBytes: blockBytes, fileBytes: fileBytes, reads: leadReads, buffer: buffer)
          board.barrier.wait { board.start.storeRelaxed(monotonicNanoseconds()) }
          let start = board.start.loadRelaxed()
          let processorStart = threadNanoseconds()
          let reads = ReadCell.read(
            arm, &loop, until: start + duration, batch: &batches[number], adjusting: round == 0)
          board.add(
            step: round * count + number, reads: reads, nanoseconds: monotonicNanoseconds() - start,
            processorNanoseconds: threadNanoseconds() - processorStart)
          board.shortReads.add(loop.shortReads)
          board.barrier.wait()
        }
      }
    }
    guard board.shortReads.value == 0 else {
      throw BenchmarkError("\(board.shortReads.value) reads returned less than a block of \(byteCountText(blockBytes))")
    }
    let processors = min(threads, availableCores())
    return entries.indices.map { number in
      ReadMeasurement(
        fileBytes: fileBytes, blockBytes: blockBytes, threads: threads, placement: entries[number].placement,
        arm: entries[number].contestant.kind, folioOrder: entries[number].contestant.folioOrder,
        nanoseconds: (1...rounds).map { board.nanosecondsPerRead(step: $0 * count + number, threads: threads) },
        processorShares: (1...rounds).map {
          board.processorShare(step: $0 * count + number, processors: processors)
        })
    }
  }

  /// Reads without being measured.
  private static func lead(
    _ arm: any ReadArm, blockBytes: Int, fileBytes: Int, reads: Int, buffer: UnsafeMutableRawBufferPointer
  ) {
    var loop = unsafe ReadLoop(
      seed: monotonicNanoseconds(), blockBytes: blockBytes, fileBytes: fileBytes, buffer: buffer)
    let end = monotonicNanoseconds() + leadNanoseconds
    var left = reads
    while left > 0, monotonicNanoseconds() < end { left -= arm.readBatch(&loop, count: min(left, 64)) }
  }

  /// Reads in batches until a time has come. Returns how many reads it did.
  private static func read(
    _ arm: any ReadArm, _ loop: inout ReadLoop, until end: UInt64, batch: inout Int, adjusting: Bool
  ) -> Int {
    var reads = 0
    var now = monotonicNanoseconds()
    repeat {
      let before = now
      reads += arm.readBatch(&loop, count: batch)
      now = monotonicNanoseconds()
      if adjusting, now - before < batchNanoseconds / 2 { batch *= 2 }
    } while now < end
    return reads
  }
}
