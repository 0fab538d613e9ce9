import BackingStores
import Primitives

extension CachedFile {
  /// Makes a range of this file what a range of another one is, or of this one: by sharing storage where the store can, else by copying.
  ///
  /// As ioctl(2) with `FICLONERANGE`. Up to the atomic length it takes effect at one instant, in which both files are looked at (P1); where storage is shared, at any
  /// length. The file grows if the range ends past its end.
  /// - Parameters:
  ///   - range: of the source; not past its end. Storage is shared for whole blocks only.
  ///   - source: open in the same cache.
  ///   - offset: where in this file the first byte goes.
  /// - Throws: `CacheError` with cause `.badRange`, `.pastEnd`, `.overlap` for ranges of one file that overlap, `.differentCaches`, `.sizeTooLarge`, `.readOnly`, `.closed`,
  ///   `.forkedChild`, `.noFrames`, `.dirtyLimit`, `.store`, `.partlyWritten`.
  /// - Cost: sharing: a write-back and a flush of what is owed for the two ranges, and one call of the store. Copying:
  ///   a piece of memory of the atomic length, reads of what is not cached of the source, which is not kept, and a write for each piece.
  public func clone(_ range: Range<Int64>, of source: CachedFile, to offset: Int64) throws(CacheError) {
    let (file, other) = try pair(range, source, offset, .clone, reads: true)
    guard range.upperBound <= other.length else { throw error(.clone, range, .pastEnd(size: other.length)) }
    guard !range.isEmpty else { return }
    if try file.share(range, of: other, to: offset) { return }
    _ = try file.copy(
      range, of: other, to: offset, durability: durability, atomicLength: maximumAtomicLength, .clone, isExact: true)
  }

  /// Copies a range of another file, or of this one, into this file: by sharing storage where the store can.
  ///
  /// As copy_file_range(2): what lies past the end of the source is left out. As `clone(_:of:to:)` in all else.
  /// - Returns: bytes copied.
  /// - Throws: as `clone(_:of:to:)`, but for `.pastEnd`, unless somebody shortens the source meanwhile.
  /// - Cost: as `clone(_:of:to:)`.
  @discardableResult
  public func copy(_ range: Range<Int64>, of source: CachedFile, to offset: Int64) throws(CacheError) -> Int64 {
    let (file, other) = try pair(range, source, offset, .copy, reads: true)
    let present = range.clamped(to: 0..<max(range.lowerBound, other.length))
    guard !present.isEmpty else { return 0 }
    if try file.share(present, of: other, to: offset, isCut: present != range) { return Int64(present.count) }
    // How much of it there is, is looked at again when it is copied.
    return try file.copy(
      range, of: other, to: offset, durability: durability, atomicLength: maximumAtomicLength, .copy, isExact: false)
  }

  /// Has the store keep one copy of two ranges that hold the same bytes. Contents do not change.
  ///
  /// As ioctl(2) with `FIDEDUPERANGE`.
  /// - Returns: false if the bytes differ.
  /// - Throws: as `clone(_:of:to:)`; stores that share nothing say `.unsupported`.
  /// - Cost: a write-back of what is dirty of the two, and a call of the store, which compares them.
  public func dedupe(_ range: Range<Int64>, with other: CachedFile, at offset: Int64) throws(CacheError) -> Bool {
    let (file, source) = try pair(range, other, offset, .dedupe, reads: false)
    guard range.upperBound <= file.length else { throw error(.dedupe, range, .pastEnd(size: file.length)) }
    let there = offset..<offset + Int64(range.count)
    guard there.upperBound <= source.length else { throw error(.dedupe, range, .pastEnd(size: source.length)) }
    guard !range.isEmpty else { return true }
    return try file.dedupe(range, with: source, at: there)
  }

  /// The two files of an operation, with what can be checked without looking at them.
  /// - Parameter reads: the range is of the other file, and this one may grow; else it is of this file.
  func pair(
    _ range: Range<Int64>, _ other: CachedFile, _ offset: Int64, _ operation: CacheError.Operation, reads: Bool
  ) throws(CacheError) -> (FileCore, FileCore) {
    let file = try structureFile(operation, range)
    guard other.engine === engine else { throw error(operation, range, .differentCaches) }
    let partner = try other.file(operation, range)
    guard offset >= 0 else { throw error(operation, range, .negativeOffset(offset)) }
    let (end, overflow) = offset.addingReportingOverflow(Int64(range.count))
    guard !overflow else { throw error(operation, range, .rangeOverflow(offset: offset, count: range.count)) }
    if reads { try checkSize(end, of: file, operation, range) }
    guard file !== partner || !range.overlaps(offset..<end) || range.isEmpty else {
      throw error(operation, range, .overlap)
    }
    return (file, partner)
  }
}
