import Primitives

extension CachedFile {
  /// Reads into a span. As `read(fromAbsoluteOffset:into:)` of a raw buffer.
  /// - Returns: bytes read, from the start of the span on; what lies behind them is unchanged.
  @discardableResult
  public func read(fromAbsoluteOffset offset: Int64, into span: inout MutableRawSpan) throws(CacheError) -> Int {
    try unsafe span.withUnsafeMutableBytes { (buffer) throws(CacheError) in
      try unsafe read(fromAbsoluteOffset: offset, into: buffer)
    }
  }

  /// Reads into a span of bytes. As `read(fromAbsoluteOffset:into:)` of a raw buffer.
  /// - Returns: bytes read, from the start of the span on; what lies behind them is unchanged.
  @discardableResult
  public func read(fromAbsoluteOffset offset: Int64, into span: inout MutableSpan<UInt8>) throws(CacheError) -> Int {
    try unsafe span.withUnsafeMutableBytes { (buffer) throws(CacheError) in
      try unsafe read(fromAbsoluteOffset: offset, into: buffer)
    }
  }

  /// Reads bytes into a new array.
  /// - Parameter count: bytes wanted; the result is at most 1 GiB.
  /// - Returns: the bytes: fewer than wanted only at the end of the file.
  /// - Throws: as a read into a buffer; `.countTooLarge` if the file has more than 1 GiB of what is wanted.
  /// - Cost: as a read into a buffer, and an allocation.
  public func read(fromAbsoluteOffset offset: Int64, count: Int) throws(CacheError) -> [UInt8] {
    let range = try checked(.read, offset: offset, count: count)
    while true {
      let asked = try capacity(for: range)
      // Not by way of the initialiser: all arrays of no elements are one, and it would write to that.
      if asked == 0 { return [] }
      var failure: CacheError?
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: asked) { memory, count in
        do throws(CacheError) {
          count = try unsafe read(
            fromAbsoluteOffset: offset, into: UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: asked))
        } catch { failure = error }
      }
      if let failure { throw failure }
      if asked == count || bytes.count < asked { return bytes }
    }
  }

  /// Reads into several buffers, one after the other, as preadv(2) does. Up to the atomic length, all of it is of one instant (P1).
  /// - Returns: bytes read, over all buffers.
  /// - Throws: as `read(fromAbsoluteOffset:into:)`; `.rangeOverflow` also if the buffers' lengths do not add up to an `Int`.
  /// - Cost: as a hit of many slots; no allocation but for the array.
  @discardableResult
  public func read(
    fromAbsoluteOffset offset: Int64, into buffers: [UnsafeMutableRawBufferPointer]
  ) throws(CacheError) -> Int {
    var total = 0
    for index in unsafe buffers.indices {
      let (sum, overflow) = unsafe total.addingReportingOverflow(buffers[index].count)
      guard !overflow else { throw error(.read, nil, .rangeOverflow(offset: offset, count: .max)) }
      total = sum
    }
    let read = try readPieces(offset: offset, count: total, hasPass: false) {
      (offset, count, done, pass) throws(CacheError) in
      var sink = unsafe ScatterSink(buffers, skipping: done)
      return try readPiece(offset: offset, count: count, into: &sink, pass: &pass)
    }
    return read ?? 0
  }

  /// What the cache allocates for one call at most: an allocation that fails ends the program.
  static var largestAllocation: Int { 1 << 30 }

  /// By how much a file may become longer beside a read of so many bytes, before the read has to be done again: an eighth, so that one that grows steadily does not keep it from its end.
  static func growth(of length: Int) -> Int { max(4096, length / 8) }

  /// Memory for a read of a range into new memory, so that no large count becomes a large allocation: for what the file has of it now, and some more, if more is wanted.
  ///
  /// How long the file is, is decided by the read: a write may make it longer before that. If a read fills memory that is less than was wanted, there may be more, and the caller reads
  /// once more. One that took what fits would return new bytes up to the old end, which is no state that the file had (D17).
  /// - Returns: 0 if the file ends before the range, or the range is empty.
  func capacity(for range: Range<Int64>) throws(CacheError) -> Int {
    let size = try file(.read, range).length
    let length = Int(max(0, min(range.upperBound, size) - range.lowerBound))
    let most = CachedFile.largestAllocation
    guard length <= most else { throw error(.read, range, .countTooLarge(length, most: most)) }
    return length == 0 ? 0 : min(range.count, length + CachedFile.growth(of: length))
  }
}
