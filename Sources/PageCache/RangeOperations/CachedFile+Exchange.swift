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
  /// Both sides of a piece, and what is put back of one, fit into the frames of one call.
  private var exchangePiece: Int64 {
    let quarter = engine.configuration.maximumAtomicLength / 4 & ~(frameByteCount - 1)
    return Int64(min(1 << 18, max(frameByteCount, quarter)))
  }

  func exchange(_ range: Range<Int64>, with other: FileCore, at there: Range<Int64>) throws(CacheError) {
    let here = FilePart(file: self, range: range, mode: .changingStore)
    let partner = FilePart(file: other, range: there, mode: .changingStore)
    try FileCore.withClaims(here, partner, operation: .exchange) { () throws(CacheError) -> Void? in
      guard range.upperBound <= length else { throw error(.exchange, range, .pastEnd(size: length)) }
      guard there.upperBound <= other.length else { throw error(.exchange, range, .pastEnd(size: other.length)) }
      guard try settle(here.pages, isAll: true, operation: .exchange, range: range),
        try other.settle(partner.pages, isAll: true, operation: .exchange, range: there)
      else { return nil }
      // No reader sees the new bytes anywhere before the claims are let go: they have to be filled first.
      _ = try carryOut(FileChange(operation: .exchange, range: range, content: .unknown, pages: here.pages))
      _ = try other.carryOut(FileChange(operation: .exchange, range: there, content: .unknown, pages: partner.pages))
      var done: Int64 = 0
      do throws(CacheError) {
        while done < Int64(range.count) {
          let count = min(exchangePiece, Int64(range.count) - done)
          try exchangePiece(at: range.lowerBound + done, with: other, at: there.lowerBound + done, count: Int(count))
          done += count
        }
      } catch {
        // All or nothing, if it can be had.
        while done > 0 {
          let count = done % exchangePiece == 0 ? exchangePiece : done % exchangePiece
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
    let here = offset..<offset + Int64(count)
    let there = place..<place + Int64(count)
    let hasPageInCommon =
      other === self
      && pages(offset: UInt64(offset), count: UInt64(count)).overlaps(
        pages(offset: UInt64(place), count: UInt64(count)))
    if hasPageInCommon { return try exchangeNeighbours(here, there) }
    let memory = unsafe TemporaryMemory.allocate(byteCount: 2 * count)
    defer { unsafe TemporaryMemory.deallocate(memory) }
    let (first, second) = unsafe (
      UnsafeMutableRawBufferPointer(rebasing: memory[..<count]),
      UnsafeMutableRawBufferPointer(rebasing: memory[count...])
    )
    try unsafe copyClaimed(here, into: first, operation: .exchange)
    try unsafe other.copyClaimed(there, into: second, operation: .exchange)
    let mine = UnsafeRawBufferPointer(first)
    let theirs = UnsafeRawBufferPointer(second)
    var isMine = true
    var failure: StoreError?
    // Both sides have their frames in hand before the first store is told.
    _ = try unsafe keepingWhatIsLost(theirs, at: offset) { [self] () throws(CacheError) in
      failure = try unsafe other.keepingWhatIsLost(mine, at: place) { [self] () throws(CacheError) in
        if let failure = unsafe put(theirs, at: offset) { return failure }
        isMine = false
        if let failure = unsafe other.put(mine, at: place) { return failure }
        // While there still is a copy. How they end is seen by `keepingWhatIsLost`.
        for file in [self, other] { try? file.flush(dataOnly: true) }
        return nil
      }
      return failure
    }
    guard let failure else { return }
    if !isMine { unsafe other.putBack(theirs, at: place) }
    unsafe putBack(mine, at: offset)
    throw error(.exchange, here, .store(failure))
  }

  /// Exchanges two ranges of this file that have a page in common, with all that lies between them.
  private func exchangeNeighbours(_ one: Range<Int64>, _ other: Range<Int64>) throws(CacheError) {
    let (low, high) = one.lowerBound < other.lowerBound ? (one, other) : (other, one)
    let span = low.lowerBound..<high.upperBound
    let memory = unsafe TemporaryMemory.allocate(byteCount: 2 * span.count)
    defer { unsafe TemporaryMemory.deallocate(memory) }
    let (old, new) = unsafe (
      UnsafeMutableRawBufferPointer(rebasing: memory[..<span.count]),
      UnsafeMutableRawBufferPointer(rebasing: memory[span.count...])
    )
    try unsafe copyClaimed(span, into: old, operation: .exchange)
    unsafe new.copyMemory(from: UnsafeRawBufferPointer(old))
    for (from, to) in [(low, high), (high, low)] {
      let (from, to) = (Int(from.lowerBound - span.lowerBound), Int(to.lowerBound - span.lowerBound))
      unsafe UnsafeMutableRawBufferPointer(rebasing: new[to..<to + low.count])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: old[from..<from + low.count]))
    }
    let (before, after) = (UnsafeRawBufferPointer(old), UnsafeRawBufferPointer(new))
    let refusal = try unsafe keepingWhatIsLost(after, at: span.lowerBound) { [self] () throws(CacheError) in
      if let failure = unsafe put(after, at: span.lowerBound) { return failure }
      try? flush(dataOnly: true)
      return nil
    }
    guard let refusal else { return }
    unsafe putBack(before, at: span.lowerBound)
    throw error(.exchange, one, .store(refusal))
  }

  /// Has the store given some bytes, with frames for them in hand: what it has lost at the end is kept, dirty.
  /// - Parameter body: what a store has refused, if so. Then the cache has not changed; what the store was given is for the caller to put back.
  private func keepingWhatIsLost(
    _ bytes: UnsafeRawBufferPointer, at offset: Int64, _ body: @escaping () throws(CacheError) -> StoreError?
  ) throws(CacheError) -> StoreError? {
    let range = offset..<offset + Int64(bytes.count)
    let pages = self.pages(offset: UInt64(offset), count: UInt64(bytes.count))
    let watch = index.withLock { unsafe durability.watch }
    let change = unsafe FileChange(operation: .exchange, range: range, content: .bytes(bytes))
    var refusal: StoreError?
    let (_, owed) = try carryOut(change) { [self] () throws(CacheError) in
      refusal = try body()
      if refusal != nil { return 0 }
      // A page that an earlier piece has kept is changed, too.
      let isKept = index.withLock {
        unsafe durability.loss(since: watch) != nil
          || index.next(from: pages.lowerBound, through: pages.upperBound) != nil
      }
      return isKept ? bytes.count : 0
    }
    // It was not asked for room.
    engine.dirtyBudget.giveBack(-owed)
    return refusal
  }

  private func put(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> StoreError? {
    let (written, failure) = unsafe writeAll(bytes, at: offset)
    index.withLock {
      noteWritten(through: offset + Int64(written), count: written)
      noteChangeLocked()
    }
    return failure
  }

  /// Puts back what was there. What the store does not take, or loses, is kept, dirty. If even memory fails, the error of the exchange is all that is left to say.
  private func putBack(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    let watch = index.withLock { unsafe durability.watch }
    let failure = unsafe put(bytes, at: offset)
    if failure == nil { try? flush(dataOnly: true) }
    guard failure != nil || index.withLock({ unsafe durability.loss(since: watch) != nil }) else { return }
    let range = offset..<offset + Int64(bytes.count)
    guard let (_, owed) = try? carryOut(unsafe FileChange(operation: .exchange, range: range, content: .bytes(bytes)))
    else { return }
    engine.dirtyBudget.giveBack(-owed)
  }
}
