import BackingStores
import PageIndex
import Primitives

extension FileCore {
  /// Has the store share storage.
  /// - Returns: false if it cannot: nothing has changed.
  func share(_ range: Range<Int64>, of source: FileCore, to offset: Int64) throws(CacheError) -> Bool {
    let block = Int64(frameByteCount)
    // No store shares less than a block; but for the end of the source, which must then be the end here.
    guard range.lowerBound % block == 0, offset % block == 0 else { return false }
    guard range.upperBound % block == 0 || range.upperBound == source.length else { return false }
    let target = offset..<offset + Int64(range.count)
    while true {
      let before = length
      switch try share(range, of: source, as: target, growsFrom: target.upperBound > before ? before : nil) {
      case .done: return true
      case .impossible: return false
      case .lengthHasChanged: continue
      }
    }
  }

  private enum Sharing { case done, impossible, lengthHasChanged }

  /// - Parameter growsFrom: how long this file is, if it becomes longer.
  private func share(
    _ range: Range<Int64>, of source: FileCore, as target: Range<Int64>, growsFrom before: Int64?
  ) throws(CacheError) -> Sharing {
    let block = Int64(frameByteCount)
    let here = FilePart(file: self, range: target, mode: .changingStore, growsFrom: before)
    let there = FilePart(file: source, range: range, mode: .reading)
    return try FileCore.withClaims(here, there, operation: .clone) { () throws(CacheError) -> Sharing? in
      guard before.map({ $0 == length }) ?? (target.upperBound <= length) else { return .lengthHasChanged }
      guard range.upperBound <= source.length else { throw error(.clone, range, .pastEnd(size: source.length)) }
      guard range.upperBound % block == 0 || range.upperBound == source.length && target.upperBound >= length else {
        return .impossible
      }
      do throws(StoreError) {
        // The store must have what it is to share. What it lacks at the end may be given to it only with a claim to the end: then copy.
        if try source.writeBack(there.pages, holding: source === self ? .changingStore : .reading) { return nil }
        // A claim for reading does not keep the background from being on its way.
        source.awaitWriteBacks()
        guard source.index.withLock({ unsafe source.storeState.size >= range.upperBound }) else { return .impossible }
      } catch { throw self.error(.clone, range, .store(error)) }
      // And what is dirty here, in folios that are replaced in part.
      guard try settle(here.pages, operation: .clone, range: target) else { return nil }
      do throws(CacheError) {
        try changeToUnknown(here.pages, newLength: target.upperBound, grows: true, operation: .clone) {
          () throws(CacheError) in
          try changeStore(.clone, target, size: { max($0, target.upperBound) }, makesHoles: true) {
            () throws(StoreError) in try store.clone(range, of: source.store, to: target.lowerBound)
          }
        }
      } catch {
        if case .store(let refusal) = error.cause, case .unsupported = refusal.cause { return .impossible }
        throw error
      }
      return .done
    }
  }

  /// Copies in atomic pieces.
  /// - Returns: bytes copied: fewer than the range has if the source has become shorter.
  func copy(
    _ range: Range<Int64>, of source: FileCore, to offset: Int64, durability: PageCache.Durability, atomicLength: Int,
    _ operation: CacheError.Operation
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
        guard !present.isEmpty else { return 0 }
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
    let here = FilePart(file: self, range: range, mode: .reading)
    let partner = FilePart(file: other, range: there, mode: .reading)
    return try FileCore.withClaims(here, partner, operation: .dedupe) { () throws(CacheError) -> Bool? in
      do throws(StoreError) {
        let mode: RangeTable.Mode = other === self ? .changingStore : .reading
        if try writeBack(here.pages, holding: mode) { return nil }
        if try other.writeBack(partner.pages, holding: mode) { return nil }
        awaitWriteBacks()
        other.awaitWriteBacks()
        let hasAll =
          index.withLock { unsafe storeState.size >= range.upperBound }
          && other.index.withLock { unsafe other.storeState.size >= there.upperBound }
        // What a store does not have, it cannot share.
        guard hasAll else {
          throw StoreError(operation: .dedupe, store: name, range: range, cause: .unsupported)
        }
        // Nobody takes it for a change by others.
        index.withLock {
          unsafe changesBegun += 1
          unsafe storeState.noteChange()
          noteChangeLocked()
        }
        return try store.dedupe(there, with: other.store, at: range.lowerBound)
      } catch {
        throw self.error(.dedupe, range, .store(error))
      }
    }
  }
}
