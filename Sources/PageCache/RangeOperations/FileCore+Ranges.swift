import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Makes a range read as zero, in the store and here.
  func zero(
    _ range: Range<Int64>, change: StoreRangeChange, newLength: (Int64) -> Int64, operation: CacheError.Operation
  ) throws(CacheError) {
    guard !range.isEmpty else { return }
    while true {
      let before = length
      let after = newLength(before)
      let clamped = range.clamped(to: 0..<after)
      guard !clamped.isEmpty else { return }
      // From the old end on, if the file grows: nobody else makes it longer meanwhile.
      let pages =
        after > before
        ? self.pages(from: min(clamped.lowerBound, before))
        : self.pages(offset: UInt64(clamped.lowerBound), count: UInt64(clamped.count))
      let isDone = try withStructure(pages, shortens: false, operation: operation, range: range) {
        () throws(CacheError) in
        guard after == before ? length >= clamped.upperBound : length == before else { return false }
        func changeStore() throws(CacheError) {
          try self.changeStore(
            operation, range, size: { change.keepsSize ? $0 : max($0, clamped.upperBound) }, makesHoles: true
          ) { () throws(StoreError) in try store.change(change, clamped) }
        }
        let here = clamped.clamped(to: 0..<before)
        guard try writeBackEdges(of: here, operation: operation) else { return nil }
        if here.isEmpty {
          try publish(grownLength: after, operation: operation, changingStore: changeStore)
        } else {
          try changeToZero(
            here, becomesHole: true, newLength: after > before ? after : nil, operation: operation,
            changingStore: changeStore)
        }
        return true
      }
      if isDone { return }
    }
  }

  func allocate(_ range: Range<Int64>, keepingSize: Bool) throws(CacheError) {
    while true {
      let before = length
      let isLonger = !keepingSize && range.upperBound > before
      // From the old end on, if the file grows: nobody else makes it longer meanwhile.
      let pages =
        isLonger
        ? self.pages(from: min(range.lowerBound, before))
        : self.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count))
      let isDone = try withStructure(pages, shortens: false, operation: .allocate, range: range) {
        () throws(CacheError) in
        guard isLonger ? length == before : keepingSize || length >= range.upperBound else { return false }
        let end = keepingSize ? 0 : range.upperBound
        try publish(grownLength: end, operation: .allocate) { () throws(CacheError) in
          try changeStore(
            .allocate, range, size: { keepingSize ? $0 : max($0, range.upperBound) }, makesHoles: true
          ) { () throws(StoreError) in try store.change(.allocate(keepingSize: keepingSize), range) }
        }
        return true
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
      guard try settle(pages, extends: true, operation: .collapseRange, range: range) else { return nil }
      let after = length - Int64(range.count)
      try changeToUnknown(pages, newLength: after, grows: false, operation: .collapseRange) { () throws(CacheError) in
        try changeStore(.collapseRange, range, size: { _ in after }, makesHoles: true) { () throws(StoreError) in
          try store.change(.collapse, range)
        }
      }
      return ()
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
      guard try settle(pages, extends: true, operation: .insertRange, range: range) else { return nil }
      try changeToUnknown(pages, newLength: after, grows: true, operation: .insertRange) { () throws(CacheError) in
        try changeStore(.insertRange, range, size: { _ in after }, makesHoles: true) { () throws(StoreError) in
          try store.change(.insert, range)
        }
      }
      return ()
    }
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
