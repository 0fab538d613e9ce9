import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// The hit path as it would be if readers counted references: the same lookup, with a reference to the folio held around the copy.
///
/// Only for comparison (L32): the benchmark arms `cache-refcount` and `cache-refcount-cas`. The cache itself holds folios this way on slow
/// paths only, through `SpeculativeReference`.
package struct ReferencedReader: Sendable {
  private let file: CachedFile

  package init(_ file: CachedFile) { self.file = file }

  /// Reads, taking and giving back the reference by fetch-and-add.
  /// - Cost: as a hit, and two locked instructions on a word that all readers of the folio share.
  package func read(
    fromAbsoluteOffset offset: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(CacheError) -> Int {
    try unsafe read(offset, buffer, byCompareExchange: false)
  }

  /// The same by loops of compare-and-exchange.
  package func readByCompareExchange(
    fromAbsoluteOffset offset: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(CacheError) -> Int {
    try unsafe read(offset, buffer, byCompareExchange: true)
  }

  /// Folio by folio, each with a reference of its own: as the kernel does, and not atomic over several.
  @inline(__always)
  private func read(
    _ offset: Int64, _ buffer: UnsafeMutableRawBufferPointer, byCompareExchange: Bool
  ) throws(CacheError) -> Int {
    if let start = buffer.baseAddress, buffer.count > 0, let record = ThreadRecord.fast(slot: file.slotNumber) {
      record.enter(file.clock)
      let words = FileWords(word: file.active.loadRelaxed())
      var done = 0
      repeat {
        let piece = unsafe plain(
          words, UInt64(bitPattern: offset) &+ UInt64(truncatingIfNeeded: done), to: start + done,
          count: buffer.count &- done, byCompareExchange: byCompareExchange)
        if piece == notServed { break }
        done &+= piece
      } while done < buffer.count
      record.exit()
      if done == buffer.count {
        record.counter(Counter.hitSizes &+ Counter.sizeClass(UInt64(truncatingIfNeeded: done))).addAsOnlyWriter(1)
        return done
      }
    }
    return try unsafe file.readSlowly(offset: offset, into: buffer, hasPass: false)
  }

  /// As `Hit.plain`, as far as the slot goes; but the entry is confirmed before the copy: the reference keeps the frame from then on.
  @inline(__always)
  private func plain(
    _ words: FileWords, _ offset: UInt64, to destination: UnsafeMutableRawPointer, count wanted: Int,
    byCompareExchange: Bool
  ) -> Int {
    let size = words.size.loadAcquire()
    guard offset < size else { return notServed }
    guard let location = PageIndex.locateCovered(root: words.root, slotMask: words.slotMask, key: offset) else {
      return notServed
    }
    let entry = location.entry
    guard entry.isPlainHit else { return notServed }
    let slotByteCount = (1 as UInt64) &<< location.shift
    let within = offset & (slotByteCount &- 1)
    let count = min(UInt64(truncatingIfNeeded: wanted), size &- offset, slotByteCount &- within)
    let head = entry.headFrame(shift: Int(truncatingIfNeeded: words.frameShift))
    let folio = file.frames[head]
    guard byCompareExchange ? folio.tryTakeReferenceByCompareExchange() : folio.tryTakeReference() else {
      return notServed
    }
    let isConfirmed = location.slot.loadRelaxed() == entry.word && words.size.loadRelaxed() == size
    if isConfirmed {
      let source = unsafe UnsafeRawPointer(
        bitPattern: words.arena &+ UInt(truncatingIfNeeded: entry.arenaOffset &+ within)
      ).unsafelyUnwrapped
      unsafe racyCopy(to: destination, from: source, count: Int(truncatingIfNeeded: count))
    }
    let wasLast = byCompareExchange ? folio.giveBackReferenceByCompareExchange() : folio.giveBackReference()
    if wasLast { file.engine.pool.retire(head) }
    return isConfirmed ? Int(truncatingIfNeeded: count) : notServed
  }
}
