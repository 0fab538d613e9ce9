import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Makes a range read as zero, in the store and here.
  ///
  /// The claim covers all that is asked for, also what lies past the end: a write may be about to make the file longer, and takes effect before or after this, not in the
  /// middle of it. How long the file is, is looked at under the claim (D18).
  func zero(
    _ range: Range<Int64>, change: StoreRangeChange, operation: CacheError.Operation
  ) throws(CacheError) {
    guard !range.isEmpty else { return }
    try growing(range, grows: !change.keepsSize, operation: operation) { (before) throws(CacheError) -> Bool in
      let after = change.keepsSize ? before : max(before, range.upperBound)
      let clamped = range.clamped(to: 0..<after)
      guard !clamped.isEmpty else { return true }
      // Of the page in which the file ends all is told: it goes as a whole. Told of a part, a store zeroes that in memory, which it may lose, and there would be no copy of it.
      let reachesEnd = after == before && clamped.upperBound == before
      let told = reachesEnd ? clamped.lowerBound..<Int64(pageCount(before) << frameShift) : clamped
      // If the file does not become longer, the store does not either: where what made the file longer is not written
      // yet, it would get a size that the file never had.
      // Where the store ends behind the range it stays as long anyway, and some stores cannot be told.
      let toldChange =
        change != .punchHole && (reachesEnd || after == before && storeEnds(before: clamped.upperBound))
        ? .zero(keepingSize: true) : change
      // What lies past the old end is zero already.
      let here = clamped.clamped(to: 0..<max(clamped.lowerBound, before))
      guard try writeBackEdges(of: here, operation: operation) else { return false }
      try reshape(
        FileChange(
          operation: operation, range: here, content: here.isEmpty ? .none : .zeros(becomesHole: true),
          length: FileChange.Length(from: before, to: after))
      ) { [self] () throws(CacheError) in
        try changeStore(
          operation, range, size: { toldChange.keepsSize ? $0 : max($0, clamped.upperBound) }, claimsEnd: after > before
        ) { () throws(StoreError) in try store.change(toldChange, told) }
      }
      return true
    }
  }

  func allocate(_ range: Range<Int64>, keepingSize: Bool) throws(CacheError) {
    try growing(range, grows: !keepingSize, operation: .allocate) { (before) throws(CacheError) -> Bool in
      let after = keepingSize ? before : max(before, range.upperBound)
      // As for `zero`.
      let toldKeeping = keepingSize || after == before && storeEnds(before: range.upperBound)
      try reshape(
        FileChange(
          operation: .allocate, range: 0..<0, content: .none, length: FileChange.Length(from: before, to: after))
      ) { [self] () throws(CacheError) in
        try changeStore(
          .allocate, range, size: { toldKeeping ? $0 : max($0, range.upperBound) }, claimsEnd: after > before
        ) { () throws(StoreError) in try store.change(.allocate(keepingSize: toldKeeping), range) }
      }
      return true
    }
  }

  private func storeEnds(before end: Int64) -> Bool { index.withLock { unsafe storeState.size < end } }

  /// Runs a body with a range claimed; with all that follows, if the file becomes longer by it, so that no other call makes it longer meanwhile.
  /// - Parameter body: is given the length, which only calls behind the range change; false as nil for `withStructure`.
  private func growing(
    _ range: Range<Int64>, grows: Bool, operation: CacheError.Operation,
    _ body: (_ length: Int64) throws(CacheError) -> Bool
  ) throws(CacheError) {
    while true {
      let seen = length
      let isLonger = grows && range.upperBound > seen
      let pages =
        isLonger
        ? self.pages(from: min(range.lowerBound, seen))
        : self.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count))
      let isDone = try withStructure(pages, shortens: false, operation: operation, range: range) {
        () throws(CacheError) -> Bool? in
        let before = length
        guard !grows || (isLonger ? before == seen : before >= range.upperBound) else { return false }
        return try body(before) ? true : nil
      }
      if isDone { return }
    }
  }

  func collapse(_ range: Range<Int64>) throws(CacheError) {
    let pages = foliosAround(self.pages(from: range.lowerBound))
    guard range.upperBound < length else { throw error(.collapseRange, range, .pastEnd(size: length)) }
    try withStructure(pages, shortens: true, operation: .collapseRange, range: range) {
      () throws(CacheError) -> Void? in
      guard range.upperBound < length else { throw error(.collapseRange, range, .pastEnd(size: length)) }
      let after = length - Int64(range.count)
      return try move(.collapse, range, pages, length: .exactly(after), operation: .collapseRange)
    }
  }

  func insert(_ range: Range<Int64>) throws(CacheError) {
    let pages = foliosAround(self.pages(from: range.lowerBound))
    guard range.lowerBound < length else { throw error(.insertRange, range, .pastEnd(size: length)) }
    try withStructure(pages, shortens: false, operation: .insertRange, range: range) {
      () throws(CacheError) -> Void? in
      guard range.lowerBound < length else { throw error(.insertRange, range, .pastEnd(size: length)) }
      let (after, overflow) = length.addingReportingOverflow(Int64(range.count))
      guard !overflow, after <= maximumSize else {
        throw error(.insertRange, range, .sizeTooLarge(overflow ? .max : after, most: maximumSize))
      }
      return try move(.insert, range, pages, length: .atLeast(after), operation: .insertRange)
    }
  }

  /// Has the store move all that follows a range, after it has been made durable.
  private func move(
    _ change: StoreRangeChange, _ range: Range<Int64>, _ pages: ClosedRange<UInt64>, length: FileChange.Length,
    operation: CacheError.Operation
  ) throws(CacheError) -> Void? {
    guard try settle(pages, isAll: true, extends: true, operation: operation, range: range) else { return nil }
    try reshape(
      FileChange(operation: operation, range: range, content: .unknown, length: length, pages: pages)
    ) { [self] () throws(CacheError) in
      let moved = Int64(range.count) * (change == .collapse ? -1 : 1)
      try changeStore(
        operation, range, size: { $0 + moved }, claimsEnd: true
      ) { () throws(StoreError) in try store.change(change, range) }
    }
    return ()
  }
}

extension StoreRangeChange {
  /// Whether a store's size stays, also if it ends before the range does.
  fileprivate var keepsSize: Bool {
    switch self {
    case .allocate(let keepingSize), .zero(let keepingSize): keepingSize
    default: true
    }
  }
}
