import Primitives

extension CachedFile {
  /// Writes bytes.
  ///
  /// A write of up to the atomic length takes effect at one instant: every read sees all of it or nothing (P1). A longer one is a sequence of such
  /// pieces. Offset and length need no alignment. A write past the end makes the file longer; what lies between reads as zero and takes no memory (P8).
  ///
  /// With `.writeThrough` the store has the bytes when this returns, with `.writeBack` the cache has them (P7): see `PageCache.Durability`.
  /// - Parameters:
  ///   - offset: bytes from the start of the file.
  ///   - bytes: nobody may change them during the call.
  ///   - point: these bytes are not to be in the store before this is durable: so a database keeps its log ahead of its data. Of another file of
  ///     this cache, with `.writeBack`, the bytes are held back; in other cases the point is made durable first.
  /// - Returns: how many bytes: all of them.
  /// - Throws: `CacheError` with cause `.readOnly`, `.closed`, `.negativeOffset`, `.rangeOverflow`, `.sizeTooLarge`, `.noFrames`, `.dirtyLimit`,
  ///   `.differentCaches` or `.forkedChild`; `.store` if the store refuses, `.partlyWritten` if it does so after a part. The error's range, where it has
  ///   one, begins with the first byte of the piece that failed: the pieces before it are written. What making the point durable throws.
  /// - Cost: into cached pages side by side that nobody has borrowed, `.writeBack`: one lock, a full fence, the copy; a locked instruction more where
  ///   nothing was dirty; no system call, no allocation. `.writeThrough`: one call of the store, the lock twice, a few allocations at most. Elsewhere a few
  ///   locks and allocations more; a page that is not cached takes a frame, and if it is written in part, a read of the store. Where too much waits to be
  ///   written back, waits until the background has made room; where that is not in this file's hands, a flush.
  @discardableResult
  public func write(
    toAbsoluteOffset offset: Int64, _ bytes: UnsafeRawBufferPointer, notBefore point: DurabilityPoint? = nil
  ) throws(CacheError) -> Int {
    if point == nil, try unsafe writeInPlace(offset: offset, bytes) { return bytes.count }
    return try unsafe writeSlowly(offset: offset, bytes, point)
  }

  /// Writes bytes. As `write(toAbsoluteOffset:_:notBefore:)` of a raw buffer.
  @discardableResult
  public func write(
    toAbsoluteOffset offset: Int64, _ bytes: RawSpan, notBefore point: DurabilityPoint? = nil
  ) throws(CacheError) -> Int {
    try unsafe bytes.withUnsafeBytes { (bytes) throws(CacheError) in
      try unsafe write(toAbsoluteOffset: offset, bytes, notBefore: point)
    }
  }

  /// Writes bytes. As `write(toAbsoluteOffset:_:notBefore:)` of a raw buffer.
  @discardableResult
  public func write(
    toAbsoluteOffset offset: Int64, _ bytes: [UInt8], notBefore point: DurabilityPoint? = nil
  ) throws(CacheError) -> Int {
    try unsafe write(toAbsoluteOffset: offset, bytes.span.bytes, notBefore: point)
  }

  /// Writes bytes at the end of the file, wherever that is at that instant: of several appending at a time, none overwrites another.
  ///
  /// Up to the atomic length; more are pieces, and another may come in between.
  /// - Returns: where the first byte went.
  /// - Throws: as `write(toAbsoluteOffset:_:notBefore:)`.
  /// - Cost: as a write.
  @discardableResult
  public func append(_ bytes: UnsafeRawBufferPointer) throws(CacheError) -> Int64 {
    let file = try writableFile(.append)
    var start: Int64?
    var done = 0
    repeat {
      let count = min(bytes.count - done, maximumAtomicLength)
      let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
      let place = try unsafe file.write(piece, at: nil, durability: durability, point: nil, operation: .append)
      if start == nil { start = place }
      done += count
    } while done < bytes.count
    if let start { noteLeft(start..<start + Int64(done)) }
    return start ?? file.size
  }

  /// Writes bytes at the end of the file. As `append(_:)` of a raw buffer.
  @discardableResult
  public func append(_ bytes: [UInt8]) throws(CacheError) -> Int64 {
    try unsafe bytes.span.bytes.withUnsafeBytes { (bytes) throws(CacheError) in try unsafe append(bytes) }
  }

  @inline(never)
  private func writeSlowly(
    offset: Int64, _ bytes: UnsafeRawBufferPointer, _ point: DurabilityPoint?
  ) throws(CacheError) -> Int {
    let range = try checked(.write, offset: offset, count: bytes.count)
    let file = try writableFile(.write, range)
    if let point { try settle(point, for: file, range) }
    var done = 0
    while done < bytes.count {
      let count = min(bytes.count - done, maximumAtomicLength)
      let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
      _ = try unsafe file.write(
        piece, at: offset + Int64(done), durability: durability, point: point, operation: .write)
      done += count
    }
    noteLeft(range)
    return done
  }

  /// Makes a point durable now, where bytes cannot be held back until it is.
  private func settle(_ point: DurabilityPoint, for file: FileCore, _ range: Range<Int64>) throws(CacheError) {
    guard point.file.engine === engine else { throw error(.write, range, .differentCaches) }
    guard durability == .writeThrough || point.file === file else { return }
    try point.makeDurable()
  }

  /// The file, if this handle may change it.
  func writableFile(
    _ operation: CacheError.Operation, _ range: Range<Int64>? = nil
  ) throws(CacheError) -> FileCore {
    let file = try file(operation, range)
    guard isWritable else { throw error(operation, range, .readOnly) }
    return file
  }
}
