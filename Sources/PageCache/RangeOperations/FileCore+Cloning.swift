import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Has the store share storage.
  /// - Parameter isCut: the range was cut off where the source ended: the caller wants what the source has there by now.
  /// - Returns: false if it cannot: nothing has changed.
  func share(
    _ range: Range<Int64>, of source: FileCore, to offset: Int64, isCut: Bool = false
  ) throws(CacheError) -> Bool {
    let block = Int64(frameByteCount)
    // No store shares less than a block; but for the end of the source, which must then be the end here.
    guard range.lowerBound % block == 0, offset % block == 0 else { return false }
    guard range.upperBound % block == 0 || range.upperBound == source.length else { return false }
    let target = offset..<offset + Int64(range.count)
    while true {
      let before = length
      if isCut, range.upperBound != source.length { return false }
      let growsFrom = target.upperBound > before ? before : nil
      switch try share(range, of: source, as: target, isCut: isCut, growsFrom: growsFrom) {
      case .done: return true
      case .impossible: return false
      case .lengthHasChanged: continue
      case .sourceIsShort: try source.extendStore(for: .clone, range)
      }
    }
  }

  /// Makes the store as long as the file, which another store is to share bytes with.
  private func extendStore(for operation: CacheError.Operation, _ range: Range<Int64>) throws(CacheError) {
    // As far as no bytes are held back that have made it longer.
    try settleHoldBacks(0...index.geometry.maximumPage)
    try withStore(operation) { () throws(CacheError) in
      do throws(StoreError) { try extendStoreInTurn() } catch { throw self.error(operation, range, .store(error)) }
    }
  }

  private enum Sharing { case done, impossible, lengthHasChanged, sourceIsShort }

  /// - Parameter growsFrom: how long this file is, if it becomes longer.
  private func share(
    _ range: Range<Int64>, of source: FileCore, as target: Range<Int64>, isCut: Bool, growsFrom before: Int64?
  ) throws(CacheError) -> Sharing {
    let block = Int64(frameByteCount)
    let here = FilePart(file: self, range: target, mode: .changingStore, growsFrom: before)
    let there = FilePart(file: source, range: range, mode: .reading)
    return try FileCore.withClaims(here, there, operation: .clone) { () throws(CacheError) -> Sharing? in
      guard before.map({ $0 == length }) ?? (target.upperBound <= length) else { return .lengthHasChanged }
      guard range.upperBound <= source.length else { throw error(.clone, range, .pastEnd(size: source.length)) }
      if isCut, range.upperBound != source.length { return .impossible }
      guard range.upperBound % block == 0 || range.upperBound == source.length && target.upperBound >= length else {
        return .impossible
      }
      // The store must have what it is to share.
      let mode: RangeTable.Mode = source === self ? .changingStore : .reading
      guard try source.settle(there.pages, holding: mode, operation: .clone, range: range) else { return nil }
      guard source.index.withLock({ unsafe source.storeState.size >= range.upperBound }) else { return .sourceIsShort }
      // And what is dirty here, in folios that are replaced in part.
      guard try settle(here.pages, operation: .clone, range: target) else { return nil }
      do throws(CacheError) {
        try reshape(
          FileChange(
            operation: .clone, range: target, content: .unknown, length: .atLeast(target.upperBound),
            pages: here.pages)
        ) { [self] () throws(CacheError) in
          try changeStore(
            .clone, target, size: { max($0, target.upperBound) }, claimsEnd: before != nil
          ) { () throws(StoreError) in try store.clone(range, of: source.store, to: target.lowerBound) }
        }
      } catch {
        if case .store(let refusal) = error.cause, case .unsupported = refusal.cause { return .impossible }
        throw error
      }
      return .done
    }
  }

  /// Copies in atomic pieces.
  /// - Parameter isExact: a source that has become too short is an error, and the piece changes nothing.
  /// - Returns: bytes copied: fewer than the range has if the source has become shorter.
  func copy(
    _ range: Range<Int64>, of source: FileCore, to offset: Int64, durability: PageCache.Durability, atomicLength: Int,
    _ operation: CacheError.Operation, isExact: Bool
  ) throws(CacheError) -> Int64 {
    let memory = unsafe TemporaryMemory.allocate(byteCount: min(range.count, atomicLength))
    defer { unsafe TemporaryMemory.deallocate(memory) }
    var done: Int64 = 0
    while done < Int64(range.count) {
      let count = min(Int64(range.count) - done, Int64(atomicLength))
      let from = range.lowerBound + done..<range.lowerBound + done + count
      let to = offset + done..<offset + done + count
      let room = try takeRoom(
        for: pages(offset: UInt64(to.lowerBound), count: UInt64(to.count)), operation: operation, range: to)
      var isTaken = true
      defer { if isTaken { engine.dirtyBudget.giveBack(room.pages) } }
      let isThrough = durability == .writeThrough || room.isSynchronous
      let here = FilePart(file: self, range: to, mode: isThrough ? .changingStore : .changingCache)
      let there = FilePart(file: source, range: from, mode: .reading)
      let copied = try FileCore.withClaims(here, there, operation: operation) { () throws(CacheError) -> Int64? in
        let present = from.clamped(to: 0..<max(from.lowerBound, source.length))
        if isExact, present != from { throw error(operation, range, .pastEnd(size: source.length)) }
        guard !present.isEmpty else { return 0 }
        // Bytes that are held back in the source are so no longer, once they are copied.
        guard source.index.withLock({ unsafe !source.holdBacks.isHeld(there.pages) }) else { return nil }
        try unsafe source.copyClaimed(present, into: memory, operation: operation)
        isTaken = false
        _ = try unsafe write(
          UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<present.count]),
          to.lowerBound..<to.lowerBound + Int64(present.count),
          durability: isThrough ? .writeThrough : .writeBack, room: room, point: nil, operation: operation)
        return Int64(present.count)
      }
      done += copied
      if copied < count { break }
    }
    return done
  }

  func dedupe(_ range: Range<Int64>, with other: FileCore, at there: Range<Int64>) throws(CacheError) -> Bool {
    while true {
      switch try dedupeOnce(range, with: other, at: there) {
      case .done: return true
      case .impossible: return false
      case .lengthHasChanged, .sourceIsShort:
        try extendStore(for: .dedupe, range)
        try other.extendStore(for: .dedupe, there)
      }
    }
  }

  private func dedupeOnce(
    _ range: Range<Int64>, with other: FileCore, at there: Range<Int64>
  ) throws(CacheError) -> Sharing {
    let here = FilePart(file: self, range: range, mode: .reading)
    let partner = FilePart(file: other, range: there, mode: .reading)
    return try FileCore.withClaims(here, partner, operation: .dedupe) { () throws(CacheError) -> Sharing? in
      guard range.upperBound <= length else { throw error(.dedupe, range, .pastEnd(size: length)) }
      guard there.upperBound <= other.length else { throw error(.dedupe, range, .pastEnd(size: other.length)) }
      let mode: RangeTable.Mode = other === self ? .changingStore : .reading
      for part in [here, partner] {
        guard try part.file.settle(part.pages, holding: mode, operation: .dedupe, range: part.range) else { return nil }
      }
      // What a store does not have, it cannot share.
      for part in [here, partner]
      where part.file.index.withLock({ unsafe part.file.storeState.size < part.range.upperBound }) {
        return .some(.sourceIsShort)
      }
      // Others are not taken for having made the change.
      index.withLock {
        unsafe changesBegun += 1
        noteStoreChange()
        noteChangeLocked()
      }
      do throws(StoreError) {
        return try store.dedupe(there, with: other.store, at: range.lowerBound) ? .done : .impossible
      } catch {
        throw self.error(.dedupe, range, .store(error))
      }
    }
  }
}
