import BackingStores
import Primitives

extension CachedFile {
  /// Exchanges a range of this file with one of another, or of this one. At one instant, at any length (P1).
  ///
  /// Done through memory, with nobody else reading or writing the ranges meanwhile: of local file systems only XFS has a call for it, and only where it was
  /// made for that. If the store refuses in the middle, what was exchanged is put back, as far as it lets itself be written to;
  /// what it does not take stays in the cache, dirty. A crash in the middle leaves a part of the ranges exchanged, and of the piece under way, 256 KiB,
  /// maybe the bytes of one side in both places.
  /// - Parameters:
  ///   - range: of this file; not past its end.
  ///   - other: open for writing in the same cache.
  ///   - offset: of the other range, which is as long, and not past the end either.
  /// - Throws: `CacheError` with cause `.overlap`, `.pastEnd`, `.differentCaches`, and as a write.
  /// - Cost: what is dirty of the two is made durable; both are read and written once, in pieces of 256 KiB, each with a flush of both.
  public func exchange(_ range: Range<Int64>, with other: CachedFile, at offset: Int64) throws(CacheError) {
    let (file, partner) = try pair(range, other, offset, .exchange, reads: false)
    _ = try other.writableFile(.exchange, range)
    guard !range.isEmpty else { return }
    try file.exchange(range, with: partner, at: offset..<offset + Int64(range.count))
  }
}

extension FileCore {
  /// Both sides of a piece fit into the frames of one call of the largest atomic length there is by default.
  private static var exchangePiece: Int64 { 1 << 18 }

  func exchange(_ range: Range<Int64>, with other: FileCore, at there: Range<Int64>) throws(CacheError) {
    let here = FilePart(file: self, range: range, mode: .changingStore)
    let partner = FilePart(file: other, range: there, mode: .changingStore)
    try FileCore.withClaims(here, partner, operation: .exchange) { () throws(CacheError) -> Void? in
      guard range.upperBound <= length else { throw error(.exchange, range, .pastEnd(size: length)) }
      guard there.upperBound <= other.length else { throw error(.exchange, range, .pastEnd(size: other.length)) }
      guard try settle(here.pages, isAll: true, operation: .exchange, range: range),
        try other.settle(partner.pages, isAll: true, operation: .exchange, range: there)
      else { return nil }
      // Nobody sees the new bytes anywhere before the claims are let go: they have to be filled first.
      try changeToUnknown(here.pages, newLength: nil, grows: true, operation: .exchange) {}
      try other.changeToUnknown(partner.pages, newLength: nil, grows: true, operation: .exchange) {}
      var done: Int64 = 0
      do throws(CacheError) {
        while done < Int64(range.count) {
          let count = min(FileCore.exchangePiece, Int64(range.count) - done)
          try exchangePiece(at: range.lowerBound + done, with: other, at: there.lowerBound + done, count: Int(count))
          done += count
        }
      } catch {
        // All or nothing, if it can be had.
        while done > 0 {
          let count = done % FileCore.exchangePiece == 0 ? FileCore.exchangePiece : done % FileCore.exchangePiece
          done -= count
          do throws(CacheError) {
            try exchangePiece(at: range.lowerBound + done, with: other, at: there.lowerBound + done, count: Int(count))
          } catch { break }
        }
        throw error
      }
      return ()
    }
  }

  /// Exchanges one piece in the stores. Nothing of it is cached, and both are claimed.
  private func exchangePiece(at offset: Int64, with other: FileCore, at place: Int64, count: Int) throws(CacheError) {
    let memory = unsafe TemporaryMemory.allocate(byteCount: 2 * count)
    defer { unsafe TemporaryMemory.deallocate(memory) }
    let mine = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
    let theirs = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count...])
    try unsafe copyClaimed(offset..<offset + Int64(count), into: mine, operation: .exchange)
    try unsafe other.copyClaimed(place..<place + Int64(count), into: theirs, operation: .exchange)
    if let failure = unsafe put(UnsafeRawBufferPointer(theirs), at: offset) {
      unsafe putBack(UnsafeRawBufferPointer(mine), at: offset)
      throw error(.exchange, offset..<offset + Int64(count), .store(failure))
    }
    if let failure = unsafe other.put(UnsafeRawBufferPointer(mine), at: place) {
      unsafe other.putBack(UnsafeRawBufferPointer(theirs), at: place)
      unsafe putBack(UnsafeRawBufferPointer(mine), at: offset)
      throw error(.exchange, offset..<offset + Int64(count), .store(failure))
    }
    // While there still is a copy: what the store has lost is kept, dirty, and is exchanged all the same.
    unsafe settle(UnsafeRawBufferPointer(theirs), at: offset)
    unsafe other.settle(UnsafeRawBufferPointer(mine), at: place)
  }

  /// Makes what was put durable, or keeps it.
  private func settle(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    do throws(StoreError) {
      try noticingFailures { () throws(StoreError) in try flush(dataOnly: true) }
    } catch {
      // It has been noted for every handle.
      unsafe keepDirty(bytes, at: offset)
    }
  }

  private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> StoreError? {
    let (written, failure) = unsafe writeAll(bytes, at: offset)
    index.withLock {
      noteWritten(through: offset + Int64(written), count: written)
      noteChangeLocked()
    }
    return failure
  }

  /// Puts back what was there; what the store does not take is kept, dirty.
  private func putBack(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    if unsafe put(bytes, at: offset) != nil {
      unsafe keepDirty(bytes, at: offset)
    } else {
      unsafe settle(bytes, at: offset)
    }
  }

  private func keepDirty(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    let pages = self.pages(offset: UInt64(offset), count: UInt64(bytes.count))
    engine.dirtyBudget.giveBack(-pages.count)
    // If even memory fails, the error of the exchange is all that is left to say.
    _ = try? unsafe write(
      bytes, offset..<offset + Int64(bytes.count), durability: .writeBack,
      room: DirtyRoom(pages: pages.count, isSynchronous: false), point: nil, operation: .exchange)
  }
}
