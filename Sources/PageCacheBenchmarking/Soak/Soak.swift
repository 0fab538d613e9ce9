import Glibc
import PageCache
import Primitives
import SystemPackage

/// Everything at a time, for a long time: reads of all lengths, changes of all kinds, files that are closed and opened again, limits that change, what is cached
/// saved and brought back. Every byte that is read is checked, and the process's memory is held against the limit.
package struct Soak: Sendable {
  package var seconds = 900.0
  package var seed: UInt64 = 1
  package var memoryLimit = 160 << 20
  package var folioOrders = 0...9
  /// Threads of the exercise; two more read and write files that are larger than the cache, one keeps house, and one measures.
  package var threads = 4
  /// The C library keeps what is freed as it sees fit. Then it is in the measured memory, whoever has used it.
  package var keepsMallocAsItIs = false
  /// Whether too much memory is a violation: not where others use the process's memory meanwhile.
  package var judgesMemory = true
  package let path: FilePath

  package init(path: FilePath) { self.path = path }

  private static var blockThreads: Int { 2 }
  private static var blockFiles: Int { 2 }

  /// - Throws: whatever stands in the way of soaking at all.
  package func run(progress: @escaping @Sendable (String) -> Void = { _ in }) throws -> SoakReport {
    if !keepsMallocAsItIs { ResidentMemory.returnFreedMemory() }
    let configuration = PageCache.Configuration(
      memoryLimit: memoryLimit, folioOrders: folioOrders, writeBackAge: .milliseconds(500),
      maximumMemoryLimit: 2 * memoryLimit)
    let target = SoakTarget(configuration)
    let paths = (0..<Self.blockFiles).map { FilePath("\(path).blocks-\($0)") } + [FilePath("\(path).residency")]
    func remove() { for path in paths { unsafe _ = path.withPlatformString { unsafe unlink($0) } } }
    remove()
    defer { remove() }
    // Together three times the limit.
    let blockCount = max(4, memoryLimit * 3 / Self.blockFiles / SoakBlocks.blockBytes)
    let blocks = try paths.prefix(Self.blockFiles).map {
      SoakBlocks(try target.open($0), blockCount: min(SoakBlocks.mostBlocks, blockCount))
    }
    let work = SoakWork(
      target: target, blocks: blocks, residency: paths[Self.blockFiles], seconds: seconds, seed: seed,
      blockThreads: Self.blockThreads)

    var exercise = StampedExercise(path: path, target: target)
    exercise.threads = threads
    exercise.seconds = seconds
    exercise.seed = seed
    exercise.whenReady = { try work.begin(progress) }
    let outcome = SoakOutcome()
    // The others wait until the exercise has its memory.
    onThreads(3 + Self.blockThreads) { [exercise] thread in
      switch thread {
      case 0:
        outcome.note { try exercise.run() }
        work.stop()
      case 1: work.measure(progress)
      case 2: work.keepHouse()
      default: work.readAndWriteBlocks(thread - 3)
      }
    }
    let stamped = try outcome.get()
    return try work.report(stamped, of: self)
  }
}

/// What the exercise came to, on its thread.
private final class SoakOutcome: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var result: Result<StampedReport, any Error>?

  func note(_ body: () throws -> StampedReport) {
    let result = Result { try body() }
    monitor.withLock { unsafe self.result = result }
  }

  func get() throws -> StampedReport {
    guard let result = monitor.withLock({ unsafe result }) else { throw ExerciseError("the exercise did not end") }
    return try result.get()
  }
}
