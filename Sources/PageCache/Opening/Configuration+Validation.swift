import Folios
import PageIndex
import ReadCopyUpdate

extension PageCache.Configuration {
  /// Something that cannot work, with the number that would.
  public enum Problem: Sendable, Equatable, CustomStringConvertible {
    case memoryLimitTooSmall(given: Int, needed: Int)
    case memoryLimitTooLarge(given: Int, largest: Int)
    case folioOrdersOutOfRange(given: ClosedRange<Int>, allowed: ClosedRange<Int>)
    case atomicLengthOutOfRange(given: Int, allowed: ClosedRange<Int>)
    case ioThreadsOutOfRange(given: Int, allowed: ClosedRange<Int>)
    case readAheadOutOfRange(given: Int, allowed: ClosedRange<Int>)
    case writeBackAgeOutOfRange(given: Duration, allowed: ClosedRange<Duration>)

    public var description: String {
      switch self {
      case .memoryLimitTooSmall(let given, let needed):
        "a limit of \(given) bytes cannot serve one call of the atomic length, or what is set aside for tenants: it takes \(needed)"
      case .memoryLimitTooLarge(let given, let largest):
        "a limit of \(given) bytes is more than \(largest): than what an entry can address, or than the largest that the limit may become"
      case .folioOrdersOutOfRange(let given, let allowed): "folio orders \(given) are not within \(allowed)"
      case .atomicLengthOutOfRange(let given, let allowed):
        "an atomic length of \(given) bytes is not within \(allowed)"
      case .writeBackAgeOutOfRange(let given, let allowed): "a write-back age of \(given) is not within \(allowed)"
      case .readAheadOutOfRange(let given, let allowed): "a read-ahead of \(given) bytes is not within \(allowed)"
      case .ioThreadsOutOfRange(let given, let allowed): "\(given) I/O threads are not within \(allowed)"
      }
    }
  }

  static var allowedOrders: ClosedRange<Int> { 0...Entry.maximumOrder }
  static var allowedAges: ClosedRange<Duration> { .milliseconds(1)...(.seconds(86400)) }
  static var allowedThreads: ClosedRange<Int> { 1...64 }
  static var mostReadAhead: Int { 64 << 20 }

  /// A thread's scratch space holds two words for each slot that a read crosses, and a read that is not aligned crosses one more.
  var allowedAtomicLengths: ClosedRange<Int> { 1...(ThreadRecord.scratchCount / 2 - 8) << frameShift }

  /// The orders of folios that are made: the largest is not made where the pool has fewer than 64 of it, unless the smallest is as large.
  var usedOrders: ClosedRange<Int> {
    guard limitsOrders else { return folioOrders }
    let frames = max(
      1, min(memoryLimit, Entry.maximumArenaByteCount) / (1 << frameShift + FolioMetadata.byteCount) / 64)
    let largest = Int.bitWidth - 1 - frames.leadingZeroBitCount
    return folioOrders.lowerBound...max(folioOrders.lowerBound, min(folioOrders.upperBound, largest))
  }

  /// Frames that one call of the atomic length can need: its own, and those of the large folios at its two ends.
  var framesOfOneCall: Int {
    let pages = (maximumAtomicLength + (1 << frameShift) - 1) >> frameShift + 1
    if let fanOutShift {
      let geometry = IndexGeometry(fanOutShift: fanOutShift)
      let nodes = 2 * (63 / fanOutShift + 1) + pages
      return frames(forPages: pages, nodeByteCount: nodes * geometry.nodeByteCount)
    }
    // Of the nodes: two on each of seven levels of 512 slots, or what 64 slots need, whichever is more; the leaves of 64 slots besides.
    let nodeBytes =
      14 * IndexGeometry(fanOutShift: 9).nodeByteCount
      + (pages / 64 + 1) * IndexGeometry(fanOutShift: 6).nodeByteCount
    return frames(forPages: pages, nodeByteCount: nodeBytes)
  }

  /// Frames that reading so many pages, with so many bytes of index nodes, can need.
  func frames(forPages pages: Int, nodeByteCount: Int) -> Int {
    pages + (usedOrders.upperBound > 0 ? 2 << usedOrders.upperBound : 0)
      + (nodeByteCount + (1 << frameShift) - 1) >> frameShift
  }

  /// Frames set aside for index nodes and for what waits for a grace period. A quarter of the pool, and at least three chunks.
  func frameReserve(of frameCount: Int) -> Int { max(frameCount / 4, 48) }

  /// Frames without which one call of the atomic length could not be served.
  var leastFrames: Int { max(framesOfOneCall + 48, (framesOfOneCall * 4 + 2) / 3) }

  /// How the frames of the pool are divided: a third, and enough for one call of the atomic length, for what calls hold; the rest, half of the pool at most,
  /// for what is owed to stores.
  func budgets(of frameCount: Int) -> (calls: Int, owed: Int) {
    let capacity = frameCount - frameReserve(of: frameCount)
    let forCalls = max(framesOfOneCall, capacity / 3)
    return (min(capacity, forCalls), max(0, capacity - forCalls))
  }

  /// All that is wrong; empty if a cache can be made of it. P6: a limit that cannot serve one call of the atomic length is refused.
  public var problems: [Problem] {
    var problems: [Problem] = []
    let ordersAreRight =
      Self.allowedOrders.contains(folioOrders.lowerBound) && Self.allowedOrders.contains(folioOrders.upperBound)
    if !ordersAreRight { problems.append(.folioOrdersOutOfRange(given: folioOrders, allowed: Self.allowedOrders)) }
    let lengthIsRight = allowedAtomicLengths.contains(maximumAtomicLength)
    if !lengthIsRight {
      problems.append(.atomicLengthOutOfRange(given: maximumAtomicLength, allowed: allowedAtomicLengths))
    }
    if !Self.allowedThreads.contains(ioThreads) {
      problems.append(.ioThreadsOutOfRange(given: ioThreads, allowed: Self.allowedThreads))
    }
    if !Self.allowedAges.contains(writeBackAge) {
      problems.append(.writeBackAgeOutOfRange(given: writeBackAge, allowed: Self.allowedAges))
    }
    let largest = Entry.maximumArenaByteCount
    for limit in [memoryLimit, maximumMemoryLimit ?? 0] where limit > largest {
      problems.append(.memoryLimitTooLarge(given: limit, largest: largest))
    }
    if let maximumMemoryLimit, maximumMemoryLimit < memoryLimit {
      problems.append(.memoryLimitTooLarge(given: memoryLimit, largest: maximumMemoryLimit))
    }
    if readAheadLength < 0 || readAheadLength > Self.mostReadAhead {
      problems.append(.readAheadOutOfRange(given: readAheadLength, allowed: 0...Self.mostReadAhead))
    }
    if ordersAreRight, lengthIsRight {
      // A larger limit may have larger folios, and need more for them.
      var enough = self
      while true {
        let needed = enough.leastFrames * (1 << frameShift + FolioMetadata.byteCount)
        if enough.memoryLimit >= needed { break }
        enough.memoryLimit = needed
      }
      if enough.memoryLimit > memoryLimit {
        problems.append(.memoryLimitTooSmall(given: memoryLimit, needed: enough.memoryLimit))
      }
    }
    return problems
  }
}
