import Primitives

/// The read-ahead of one handle: what its accesses look like, and what its owner has said of them.
///
/// It is asked on the slow path only: at a miss, and when a read was the first to reach a mark. What it decides is done by the threads for I/O, and whoever asked goes on.
final class ReadAhead: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var streams: ReadAheadStreams
  /// The pattern that the owner has announced.
  private let pattern = InlineWord(0)

  /// - Parameter most: pages that one step reads ahead at most.
  init(most: Int) { unsafe streams = ReadAheadStreams(most: UInt64(max(0, most))) }

  enum Pattern: UInt64 {
    case unknown = 0
    case sequential
    case random
  }

  func announce(_ pattern: Pattern) { self.pattern.storeRelaxed(pattern.rawValue) }
  var announced: Pattern { Pattern(rawValue: pattern.loadRelaxed()) ?? .unknown }

  func missed(_ pages: ClosedRange<UInt64>, in file: FileCore) {
    let announced = announced
    if announced == .random { return }
    start(monitor.withLock { unsafe streams.missed(pages, isSequential: announced == .sequential) }, in: file)
  }

  func reached(_ page: UInt64, in file: FileCore) {
    if announced == .random { return }
    let isContinued = page == 0 || file.lastPresent(from: page - 1, through: page - 1) != nil
    start(monitor.withLock { unsafe streams.reached(page, isContinued: isContinued) }, in: file)
  }

  private func start(_ plan: ReadAheadPlan?, in file: FileCore) {
    guard let plan else { return }
    for range in plan.ranges {
      file.readAhead(range, mark: range.contains(plan.mark) ? plan.mark : nil)
    }
  }
}
