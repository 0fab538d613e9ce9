/// What is read ahead, and when to go on.
struct ReadAheadPlan: Equatable {
  /// Ranges of pages, in the order in which they will be wanted.
  var ranges: [ClosedRange<UInt64>]
  /// The page whose first access says that it is time for more.
  var mark: UInt64
}

/// The accesses of one handle that look like streams: one behind the other, or the same distance apart. Several at a time, as of a merge.
///
/// It sees only what misses, and the marks that were left: hits cost it nothing (L16). A lone miss brings nothing but itself; so random accesses do not over-read.
struct ReadAheadStreams {
  /// Pages that one step reads ahead at most.
  let most: UInt64

  struct Stream {
    /// Where the last access began, how many pages it had, and the page behind it.
    var start: UInt64
    var count: UInt64
    var next: UInt64
    /// Between the starts of two accesses, if they are not one behind the other.
    var stride: UInt64 = 0
    /// How often in a row the stride was seen.
    var confirmations = 0
    /// Everything before is here, or under way; 0 if nothing is.
    var end: UInt64 = 0
    /// Pages, or accesses, that the last step read ahead.
    var window: UInt64 = 0
    var mark: UInt64?
    var lastUse: UInt64
  }

  private(set) var streams: [Stream] = []
  private var clock: UInt64 = 0

  static let mostStreams = 8
  /// Pages that a first step reads ahead at least.
  private static let leastWindow: UInt64 = 16
  /// The longest stride that is recognized, in pages, and how many accesses are read ahead at most.
  private static let longestStride: UInt64 = 1 << 12
  private static let mostStrides: UInt64 = 64

  init(most: UInt64) { self.most = most }

  /// An access of which something was missing.
  /// - Parameter isSequential: the caller has said that it will go on, so that the first access is enough.
  mutating func missed(_ pages: ClosedRange<UInt64>, isSequential: Bool = false) -> ReadAheadPlan? {
    clock += 1
    let (first, count) = (pages.lowerBound, UInt64(pages.count))
    // One pass, and no array: this is done at every miss. The nearest access before it may be of the same stride.
    var striding: Int?
    var nearest: Int?
    for number in streams.indices {
      if streams[number].stride == 0 {
        if continues(streams[number], first) { return advance(number, to: pages) }
      } else if striding == nil, isInStep(streams[number], first) {
        striding = number
      }
      if isNear(streams[number], first), nearest.map({ streams[$0].start < streams[number].start }) ?? true {
        nearest = number
      }
    }
    if let striding { return stride(striding, to: pages) }
    let fresh = Stream(start: first, count: count, next: pages.upperBound + 1, lastUse: clock)
    if isSequential {
      let number = put(fresh)
      return advance(number, to: pages)
    }
    if let number = nearest {
      var stream = fresh
      stream.stride = first - streams[number].start
      stream.confirmations = 1
      streams[number] = stream
      return nil
    }
    _ = put(fresh)
    return nil
  }

  /// A marked page has been read for the first time.
  /// - Parameter isContinued: the page before it is cached too. Else it was not read ahead for a sequence.
  mutating func reached(_ page: UInt64, isContinued: Bool = true) -> ReadAheadPlan? {
    clock += 1
    if let number = streams.firstIndex(where: { $0.mark == page }) {
      let stream = streams[number]
      if stream.stride == 0 { return advance(number, to: page...page) }
      // The mark is on the first page of the first access that was read ahead.
      return stride(number, to: page...page + stream.count - 1)
    }
    // Of a stream that has been ahead of the mark already, because something was missed.
    if streams.contains(where: { page < $0.end && page + ($0.end - min($0.start, $0.end)) >= $0.start }) { return nil }
    guard isContinued else { return nil }
    // Left by another handle, or by a stream that has been forgotten: it goes on here.
    let number = put(Stream(start: page, count: 1, next: page + 1, lastUse: clock))
    return advance(number, to: page...page)
  }

  /// Whether an access goes on where a stream stands: behind it, in its last page, or in what was read ahead and has gone again.
  private func continues(_ stream: Stream, _ first: UInt64) -> Bool {
    first + 1 >= stream.next && first <= max(stream.next, stream.end)
  }

  /// Whether an access is one of a stride: the next one, or a later one that was read ahead.
  private func isInStep(_ stream: Stream, _ first: UInt64) -> Bool {
    first > stream.start && (first - stream.start) % stream.stride == 0
      && first <= max(stream.end, stream.start &+ stream.stride)
  }

  private func isNear(_ stream: Stream, _ first: UInt64) -> Bool {
    stream.window == 0 && stream.next < first && first - stream.start <= ReadAheadStreams.longestStride
  }

  private mutating func put(_ stream: Stream) -> Int {
    if streams.count < ReadAheadStreams.mostStreams {
      streams.append(stream)
      return streams.count - 1
    }
    let oldest = streams.indices.min { streams[$0].lastUse < streams[$1].lastUse } ?? 0
    streams[oldest] = stream
    return oldest
  }

  /// The next window: twice the last one.
  private mutating func advance(_ number: Int, to pages: ClosedRange<UInt64>) -> ReadAheadPlan? {
    var stream = streams[number]
    stream.start = pages.lowerBound
    stream.count = UInt64(pages.count)
    stream.next = max(pages.upperBound + 1, stream.next)
    stream.lastUse = clock
    stream.window =
      stream.window == 0
      ? min(most, max(4 * stream.count, ReadAheadStreams.leastWindow)) : min(most, 2 * stream.window)
    let begin = max(stream.next, stream.end)
    // No further than a window beyond where the reader is.
    let end = max(begin, stream.next + 2 * stream.window)
    // To where a large folio ends: so the next window begins with one.
    let unit = 1 << UInt64(UInt64.bitWidth - 1 - max(1, stream.window).leadingZeroBitCount) as UInt64
    let last = (min(begin + stream.window, end) + unit - 1) / unit * unit
    guard most > 0, begin < end, last < 1 << 52 else {
      streams[number] = stream
      return nil
    }
    stream.end = last
    stream.mark = begin
    streams[number] = stream
    return ReadAheadPlan(ranges: [begin...last - 1], mark: begin)
  }

  /// The next accesses of a stride, once it has been seen twice.
  private mutating func stride(_ number: Int, to pages: ClosedRange<UInt64>) -> ReadAheadPlan? {
    var stream = streams[number]
    stream.start = pages.lowerBound
    stream.count = max(UInt64(pages.count), stream.window == 0 ? 0 : stream.count)
    stream.next = pages.upperBound + 1
    stream.lastUse = clock
    stream.confirmations += 1
    defer { streams[number] = stream }
    guard stream.confirmations >= 2, stream.count <= most else { return nil }
    stream.window = min(stream.window == 0 ? 4 : 2 * stream.window, ReadAheadStreams.mostStrides, most / stream.count)
    var ranges: [ClosedRange<UInt64>] = []
    let reach = stream.start + 2 * stream.window * stream.stride
    var start = max(stream.start + stream.stride, stream.end)
    while UInt64(ranges.count) < stream.window, start <= reach, start < 1 << 52 {
      ranges.append(start...start + stream.count - 1)
      start += stream.stride
    }
    guard let mark = ranges.first?.lowerBound else { return nil }
    stream.end = start
    stream.mark = mark
    return ReadAheadPlan(ranges: ranges, mark: mark)
  }
}
