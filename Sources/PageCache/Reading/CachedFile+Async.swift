import Primitives

extension CachedFile {
  /// Reads into memory of the caller's; a miss suspends the task instead of blocking its thread.
  ///
  /// As the synchronous `read(fromAbsoluteOffset:into:)` in everything else. Not cancellable: it ends when the store does.
  /// - Cost: hit: as the synchronous read, on the caller's executor without suspending. Miss: the store's threads do its work; at the
  ///   memory limit the calling thread may evict and wait for a grace period, tens of microseconds; if every frame is held, for about 50
  ///   milliseconds before it gives up.
  @discardableResult
  nonisolated(nonsending) public func read(
    fromAbsoluteOffset offset: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) async throws(CacheError) -> Int {
    let count = unsafe hit(offset: offset, to: buffer)
    if count >= 0 { return count }
    var pass = ReadPass(keepsWords, isTaken: count == overtaken)
    let range = try checked(.read, offset: offset, count: buffer.count)
    if range.isEmpty { _ = try file(.read, range) }
    var done = 0
    while done < buffer.count {
      let wanted = min(buffer.count - done, maximumAtomicLength)
      let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + wanted])
      let copied = try await unsafe readPiece(
        offset: UInt64(offset) + UInt64(done), into: piece, pass: &pass)
      done += copied
      if copied < wanted { break }
    }
    return done
  }

  /// Reads one atomic piece. 0 at or past the end of the file.
  nonisolated(nonsending) private func readPiece(
    offset: UInt64, into buffer: UnsafeMutableRawBufferPointer, pass: inout ReadPass
  ) async throws(CacheError) -> Int {
    // Safe: a piece is never empty.
    var sink = unsafe ContiguousSink(buffer.baseAddress.unsafelyUnwrapped)
    let hit = unclaimedHit(offset: offset, count: buffer.count, into: &sink, pass: &pass)
    takeReadAheadNote(offset: offset, count: buffer.count)
    defer { if leavesNothing { dropBehind(offset: offset, count: buffer.count) } }
    if hit >= 0 { return hit }
    let range = Int64(offset)..<Int64(offset) + Int64(buffer.count)
    let file = try file(.read, range)
    guard Int64(offset) < file.length else { return 0 }
    countSlowRead(buffer.count)
    let slow = SlowRead(file, offset: offset, count: UInt64(buffer.count), operation: .read, readAhead: readAhead)
    await slow.begin()
    defer { slow.release() }
    while true {
      try await slow.holdAll()
      if let copied = slow.copy(offset: offset, count: buffer.count, into: &sink) { return copied }
    }
  }

  /// Reads bytes into a new array; a miss suspends the task.
  /// - Parameter count: bytes wanted; the result is at most 1 GiB.
  /// - Throws: as the other asynchronous read; `.countTooLarge` for more than 1 GiB.
  /// - Cost: as the other asynchronous read, and two allocations.
  nonisolated(nonsending) public func read(
    fromAbsoluteOffset offset: Int64, count: Int
  ) async throws(CacheError) -> [UInt8] {
    let range = try checked(.read, offset: offset, count: count)
    while true {
      let asked = try capacity(for: range)
      if asked == 0 { return [] }
      let memory = unsafe TemporaryMemory.allocate(byteCount: asked)
      defer { unsafe TemporaryMemory.deallocate(memory) }
      let done = try await unsafe read(fromAbsoluteOffset: offset, into: memory)
      // See `capacity`.
      if asked == count || done < asked { return unsafe [UInt8](memory[..<done]) }
    }
  }

  /// The file's bytes in chunks, in order.
  /// - Parameters:
  ///   - byteCount: bytes in each chunk but the last; at least 1. A chunk of up to the atomic length is of one instant.
  ///   - range: bytes of the file; to its end if nil.
  public func chunks(of byteCount: Int = 1 << 18, in range: Range<Int64>? = nil) -> Chunks {
    Chunks(file: self, byteCount: max(1, byteCount), range: range ?? 0..<Int64.max)
  }

  /// The chunks of a file, read as they are asked for.
  public struct Chunks: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = CacheError

    let file: CachedFile
    let byteCount: Int
    let range: Range<Int64>

    public func makeAsyncIterator() -> Iterator {
      Iterator(file: file, byteCount: byteCount, position: range.lowerBound, end: range.upperBound)
    }

    public struct Iterator: AsyncIteratorProtocol {
      let file: CachedFile
      let byteCount: Int
      var position: Int64
      let end: Int64

      /// The next chunk, or nil at the end of the file or range.
      /// - Throws: `CacheError` as the asynchronous read; the next call tries the same chunk again.
      /// - Cost: an allocation and an asynchronous read.
      nonisolated(nonsending) public mutating func next() async throws(CacheError) -> [UInt8]? {
        guard position >= 0 else { throw file.error(.read, nil, .negativeOffset(position)) }
        let wanted = Swift.min(Int64(byteCount), end - position)
        guard wanted > 0 else { return nil }
        let chunk = try await file.read(fromAbsoluteOffset: position, count: Int(wanted))
        position += Int64(chunk.count)
        return chunk.isEmpty ? nil : chunk
      }

      /// The next chunk, or nil at the end of the file or range.
      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(CacheError) -> [UInt8]? {
        try await next()
      }
    }
  }
}
