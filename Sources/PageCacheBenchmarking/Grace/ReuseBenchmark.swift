import PageCache
import Primitives

/// What it costs that a frame that has left the index waits for a grace period before somebody else gets it (L15): evictions a second with it and without, in one
/// interleaved run.
///
/// Without it, the readers of this benchmark might find a frame to be another page's by now, and would notice, as the words are looked at again; but for a
/// version that comes round. No cache that is made otherwise does without.
package struct ReuseBenchmark: Sendable {
  package var threads = [1, availableCores()]
  package var rounds = 7
  package var milliseconds = 1000
  /// Bytes that the cache may have; the file has four times as many.
  package var limit = 64 << 20

  package init() {}

  package mutating func makeQuick() {
    rounds = 3
    milliseconds = 50
    limit = 16 << 20
  }

  package struct Row: Sendable, Codable, Equatable {
    package var threads: Int
    package var evictionsPerSecond: Spread
    package var evictionsPerSecondAtOnce: Spread
    /// Of each round: with the grace period, by without.
    package var ratio: Spread
    /// Frames of the pool, and how many of them waited at most.
    package var frames: Int
    package var mostDeferredFrames: Int
    package var gracePeriodsPerThousandEvictions: Double

    enum CodingKeys: String, CodingKey {
      case threads, ratio, frames
      case evictionsPerSecond = "evictions_per_second"
      case evictionsPerSecondAtOnce = "evictions_per_second_at_once"
      case mostDeferredFrames = "most_deferred_frames"
      case gracePeriodsPerThousandEvictions = "grace_periods_per_thousand_evictions"
    }
  }

  package func run(progress: (String) -> Void = { _ in }) throws -> [Row] {
    var rows: [Row] = []
    for threads in Set(threads).sorted() {
      progress("frames that wait, and that do not, beside \(threads) threads")
      let (deferring, atOnce) = (try Arm(self, defers: true), try Arm(self, defers: false))
      defer {
        deferring.close()
        atOnce.close()
      }
      for arm in [deferring, atOnce] { try arm.fill() }
      let before = try deferring.cache.statistics()
      var (rates, ratesAtOnce): ([Double], [Double]) = ([], [])
      for round in 0..<rounds {
        // By turns first.
        for arm in round % 2 == 0 ? [deferring, atOnce] : [atOnce, deferring] {
          let rate = try arm.evictionsPerSecond(threads: threads, milliseconds: milliseconds)
          if arm === deferring { rates.append(rate) } else { ratesAtOnce.append(rate) }
        }
      }
      let after = try deferring.cache.statistics()
      rows.append(
        Row(
          threads: threads, evictionsPerSecond: Spread(rates), evictionsPerSecondAtOnce: Spread(ratesAtOnce),
          ratio: Spread(zip(rates, ratesAtOnce).map { $0 / max(1, $1) }), frames: after.frames,
          mostDeferredFrames: after.peakDeferredFrames,
          gracePeriodsPerThousandEvictions: 1000 * Double(after.gracePeriods - before.gracePeriods)
            / Double(max(1, after.evictions - before.evictions))))
    }
    return rows
  }

  package static func lines(_ rows: [Row]) -> [String] {
    func text(_ spread: Spread) -> String {
      "\(fixed(spread.median, 0)) (\(fixed(spread.min, 0))-\(fixed(spread.max, 0)))"
    }
    var lines = [
      leading("evictions a second", to: 20) + padded("after a grace period", to: 30) + padded("at once", to: 30)
        + padded("ratio", to: 22) + padded("most that waited", to: 20) + padded("periods ÷ 1000", to: 16)
    ]
    for row in rows {
      let ratio = "\(fixed(row.ratio.median, 2)) (\(fixed(row.ratio.min, 2))-\(fixed(row.ratio.max, 2)))"
      lines.append(
        leading("  \(row.threads) threads", to: 20) + padded(text(row.evictionsPerSecond), to: 30)
          + padded(text(row.evictionsPerSecondAtOnce), to: 30) + padded(ratio, to: 22)
          + padded("\(row.mostDeferredFrames) of \(row.frames)", to: 20)
          + padded(fixed(row.gracePeriodsPerThousandEvictions, 2), to: 16))
    }
    return lines
  }

  /// One cache, and one file of single pages.
  private final class Arm: Sendable {
    let cache: PageCache
    private let file: CachedFile
    private let pages: Int

    init(_ benchmark: ReuseBenchmark, defers: Bool) throws {
      var configuration = PageCache.Configuration(
        memoryLimit: benchmark.limit, folioOrders: 0...0, maximumAtomicLength: NumberedPages.pageBytes,
        readAheadLength: 0)
      configuration.defersReuse = defers
      cache = try PageCache(configuration)
      pages = 4 * benchmark.limit / NumberedPages.pageBytes
      file = try cache.open(store: NumberedPages(pages, object: defers ? "deferred" : "at once"))
    }

    func close() { try? file.close() }

    func fill() throws {
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: NumberedPages.pageBytes, alignment: 64)
      defer { unsafe buffer.deallocate() }
      for page in 0..<pages { try unsafe file.read(fromAbsoluteOffset: Int64(page * buffer.count), into: buffer) }
    }

    func evictionsPerSecond(threads: Int, milliseconds: Int) throws -> Double {
      let before = try cache.statistics().evictions
      let failures = SharedCounter()
      let start = monotonicNanoseconds()
      let end = start + UInt64(milliseconds) * 1_000_000
      onThreads(threads) { [file, pages] thread in
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: NumberedPages.pageBytes, alignment: 64)
        defer { unsafe buffer.deallocate() }
        var random = RandomWords(seed: start &+ UInt64(thread))
        while monotonicNanoseconds() < end {
          for _ in 0..<16 {
            let page = Int(random.next(below: UInt64(pages)))
            let count = try? unsafe file.read(fromAbsoluteOffset: Int64(page * buffer.count), into: buffer)
            if count != buffer.count { failures.add(1) }
          }
        }
      }
      let seconds = Double(monotonicNanoseconds() - start) / 1e9
      guard failures.value == 0 else { throw BenchmarkError("\(failures.value) reads failed") }
      return Double(try cache.statistics().evictions - before) / seconds
    }
  }
}
