import Glibc
import PageCache
import Primitives

/// What a process and its cache have at one moment.
package struct SoakSample: Sendable {
  /// Since the cache was made.
  package var seconds = 0.0
  /// Proportional set size of the process but for memory of files, and with it, less what they were before the cache was made.
  package var residentBytes = 0
  package var residentBytesWithFiles = 0
  /// The cache's limit.
  package var limit = 0
  package var freeFrames = 0
  package var nodeFrames = 0
  package var retiredFrames = 0
  /// Frames in the largest block that is free.
  package var largestFreeBlock = 0
}

/// Looks at the memory four times a second.
@safe
final class SoakMemory: @unchecked Sendable {
  private let baseline: (total: Int, ofFiles: Int)
  private let start = monotonicNanoseconds()
  private let most: Int
  /// What may be resident besides.
  static var tolerance: Int { 8 << 20 }
  /// The cache's limit: the larger one, while it is changed.
  let limit = InlineWord(0)
  // Written by the thread that samples, read when it has ended.
  private(set) var samples: [SoakSample]
  private(set) var worst: SoakSample?

  /// Takes the baseline. All that is not the cache's is there, and has been touched.
  init(seconds: Double) {
    most = Int(seconds * 4) + 16
    samples = Array(repeating: SoakSample(), count: most)
    samples.removeAll(keepingCapacity: true)
    _ = ResidentMemory.proportional
    baseline = ResidentMemory.proportional
  }

  var baselineBytes: Int { baseline.total - baseline.ofFiles }

  func sample(_ cache: PageCache) {
    guard samples.count < most else { return }
    var sample = SoakSample()
    let limitBefore = limit.loadAcquire()
    let now = ResidentMemory.proportional
    sample.limit = Int(max(limitBefore, limit.loadAcquire()))
    sample.seconds = Double(monotonicNanoseconds() - start) / 1e9
    sample.residentBytes = now.total - now.ofFiles - baselineBytes
    sample.residentBytesWithFiles = now.total - baseline.total
    sample.freeFrames = cache.freeFrames
    sample.nodeFrames = cache.nodeFramesLeft
    sample.retiredFrames = cache.retiredFrames
    sample.largestFreeBlock = cache.freeBlocks.lastIndex { $0 > 0 }.map { 1 << $0 } ?? 0
    samples.append(sample)
    if worst.map({ sample.overshoot > $0.overshoot }) ?? true { worst = sample }
  }
}

extension SoakSample {
  /// Bytes that are resident above the limit.
  package var overshoot: Int { residentBytes - limit }
}
