import PageCache
import Primitives

/// Replays traces through caches that are too small for them: how much each policy of reclaim misses, and how fast it is.
package struct EvictionBenchmark: Sendable {
  package var traces: [AccessTrace] = []
  /// Frames of data as shares of the pages of a trace.
  package var shares = [0.1, 0.4]
  package var policies = PageCache.Configuration.Reclaim.allCases

  package init() {}

  package struct Cell: Sendable {
    package let trace: String
    package let share: Double
    package let policy: String
    /// Frames of data that there should be, and that there were on average once the cache was full.
    package let frames: Int
    package let resident: Double
    package let missRatio: Double
    /// Of a model that keeps what was used last.
    package let missRatioOfLRU: Double
    /// Reads in a second, misses included.
    package let readsPerSecond: Double
  }

  package enum Problem: Error, CustomStringConvertible {
    case wrongPage(wanted: Int, got: UInt64)
    case tooSmall(frames: Int)

    package var description: String {
      switch self {
      case .wrongPage(let wanted, let got): "page \(wanted) was read, and what came was page \(got)"
      case .tooSmall(let frames): "no cache can be made that holds as few as \(frames) frames"
      }
    }
  }

  package func run(progress: (String) -> Void) throws -> [Cell] {
    var cells: [Cell] = []
    for trace in traces {
      for share in shares {
        let frames = max(1, Int(Double(trace.uniquePages) * share))
        let lru = Double(trace.missesOfLeastRecentlyUsed(capacity: frames)) / Double(trace.pages.count)
        for policy in policies {
          progress("\(trace.name), \(frames) frames, \(policy.rawValue)")
          let replay = try fitting(trace, policy, frames: frames)
          cells.append(
            Cell(
              trace: trace.name, share: share, policy: policy.rawValue, frames: frames, resident: replay.resident,
              missRatio: Double(replay.misses) / Double(trace.pages.count), missRatioOfLRU: lru,
              readsPerSecond: Double(trace.pages.count) / replay.seconds))
        }
      }
    }
    return cells
  }

  package static func lines(_ cells: [Cell]) -> [String] {
    func row(_ texts: [String]) -> String {
      zip(texts, [18, 7, 15, 9, 11, 9, 9, 12]).map { text, width in
        text.count < width ? text + String(repeating: " ", count: width - text.count) : text
      }.joined(separator: " ")
    }
    return [row(["trace", "share", "policy", "frames", "resident", "misses", "LRU's", "reads/s"])]
      + cells.map { cell in
        row([
          cell.trace.count > 18 ? String(cell.trace.prefix(17)) + "…" : cell.trace, fixed(cell.share, 2), cell.policy,
          "\(cell.frames)", fixed(cell.resident, 1), fixed(cell.missRatio, 4), fixed(cell.missRatioOfLRU, 4),
          fixed(cell.readsPerSecond, 0),
        ])
      }
  }

  // MARK: One replay

  struct Replay {
    var misses = 0
    var resident = 0.0
    var seconds = 0.0
  }

  /// The limit counts index nodes and all else, and what is wanted is so many frames of data: so the trace is replayed with other limits until there are.
  private func fitting(_ trace: AccessTrace, _ policy: PageCache.Configuration.Reclaim, frames: Int) throws -> Replay {
    var pool = frames + frames / 16 + 64
    var best: Replay?
    for _ in 0..<8 {
      let replay = try replay(trace, policy, poolFrames: pool)
      if best.map({ abs($0.resident - Double(frames)) > abs(replay.resident - Double(frames)) }) ?? true {
        best = replay
      }
      let missing = Double(frames) - replay.resident
      if abs(missing) <= max(1, Double(frames) * 0.001) { break }
      pool += Int(missing.rounded())
    }
    guard let best else { throw Problem.tooSmall(frames: frames) }
    return best
  }

  private func replay(
    _ trace: AccessTrace, _ policy: PageCache.Configuration.Reclaim, poolFrames: Int
  ) throws -> Replay {
    let bytes = NumberedPages.pageBytes
    let cache = try PageCache(
      // Pages as they are asked for: what is read ahead would be no matter of the policy.
      .init(
        memoryLimit: poolFrames * (bytes + 64), folioOrders: 0...0, maximumAtomicLength: bytes, reclaim: policy,
        readAheadLength: 0))
    let file = try cache.open(
      store: NumberedPages(trace.uniquePages, object: "\(trace.name) \(policy.rawValue)"))
    defer { try? file.close() }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: bytes)
    defer { unsafe buffer.deallocate() }
    var result = Replay()
    var samples: [Int] = []
    let start = monotonicNanoseconds()
    for (number, page) in trace.pages.enumerated() {
      let offset = Int64(page) * Int64(bytes)
      if try unsafe file.tryRead(fromAbsoluteOffset: offset, into: buffer) == nil {
        result.misses += 1
        _ = try unsafe file.read(fromAbsoluteOffset: offset, into: buffer)
      }
      let got = unsafe buffer.load(as: UInt64.self)
      guard got == UInt64(page) else { throw Problem.wrongPage(wanted: Int(page), got: got) }
      if number & 63 == 0, cache.hasEvicted { samples.append(cache.residentFrames) }
    }
    result.seconds = Double(monotonicNanoseconds() - start) / 1e9
    result.resident =
      samples.isEmpty ? Double(cache.residentFrames) : Double(samples.reduce(0, +)) / Double(samples.count)
    return result
  }
}
