import BackingStores
import Primitives

extension CachedFile {
  /// Makes a range a hole: it reads as zero, and takes no storage where it covers whole blocks. The size stays; what lies past the end is ignored.
  ///
  /// At one instant up to the atomic length (P1), and here beyond that, too. Any range. As fallocate(2) with `FALLOC_FL_PUNCH_HOLE`.
  /// - Throws: `CacheError` with cause `.badRange`, `.readOnly`, `.closed`, `.forkedChild`, `.noFrames`, or `.store` if the store refuses, with `.unsupported` if it cannot:
  ///   then nothing has changed.
  /// - Cost: a call of the store, a few locks, and a step for each cached folio. Pages that are covered in part take a frame if they are lent to somebody,
  ///   and a frame and a read of the store if they are not cached.
  public func punchHole(_ range: Range<Int64>) throws(CacheError) {
    let file = try structureFile(.punchHole, range)
    try file.zero(range, change: .punchHole, operation: .punchHole)
  }

  /// Makes a range read as zero, with storage behind it. As `punchHole(_:)` in all else; as fallocate(2) with `FALLOC_FL_ZERO_RANGE`.
  /// - Parameter keepingSize: what lies past the end is ignored; else the file grows to the end of the range.
  /// - Throws: as `punchHole(_:)`; `.sizeTooLarge`.
  /// - Cost: as `punchHole(_:)`.
  public func zeroRange(_ range: Range<Int64>, keepingSize: Bool = false) throws(CacheError) {
    let file = try structureFile(.zeroRange, range)
    if !keepingSize { try checkSize(range.upperBound, of: file, .zeroRange, range) }
    try file.zero(range, change: .zero(keepingSize: keepingSize), operation: .zeroRange)
  }

  /// Has the store put storage behind a range, so that writing there does not run out of it. Contents do not change.
  ///
  /// As fallocate(2) without flags, or with `FALLOC_FL_KEEP_SIZE`. Done piece by piece by some stores: if it fails, a part may have storage.
  /// - Parameter keepingSize: the size stays; else the file grows to the end of the range.
  /// - Throws: as `zeroRange(_:keepingSize:)`.
  /// - Cost: a call of the store and a few locks.
  public func allocate(_ range: Range<Int64>, keepingSize: Bool = false) throws(CacheError) {
    let file = try structureFile(.allocate, range)
    if !keepingSize { try checkSize(range.upperBound, of: file, .allocate, range) }
    // What lies past the largest size can get no storage, and needs none if the size stays.
    let wanted = range.clamped(to: 0..<file.maximumSize)
    guard !wanted.isEmpty else { return }
    try file.allocate(wanted, keepingSize: keepingSize)
  }

  /// Takes a range out of the file: what follows moves down, and the file becomes shorter. At one instant, at any length (P1).
  ///
  /// As fallocate(2) with `FALLOC_FL_COLLAPSE_RANGE`. What is cached from there on is dropped, after it has been made durable.
  /// - Parameter range: in whole blocks, of 4096 bytes or of the store's if they are larger; ends before the end of the file.
  /// - Throws: `CacheError` with cause `.unaligned`, `.pastEnd`, and as `punchHole(_:)`; `.store` with `.system(.invalidArgument)` where the store's blocks
  ///   are larger and the range is not in whole ones.
  /// - Cost: a write-back of what is dirty behind the range, and a flush if anything was; a grace period; a call of the store; a step for each cached folio.
  public func collapseRange(_ range: Range<Int64>) throws(CacheError) {
    let file = try structureFile(.collapseRange, range)
    guard !range.isEmpty else { return }
    try checkAligned(range, .collapseRange)
    try file.collapse(range)
  }

  /// Puts a hole into the file: what is there moves up, and the file becomes longer. At one instant, at any length (P1).
  ///
  /// As fallocate(2) with `FALLOC_FL_INSERT_RANGE`; as `collapseRange(_:)` in all else.
  /// - Parameter range: in whole blocks, as for `collapseRange(_:)`; begins before the end of the file.
  /// - Throws: as `collapseRange(_:)`; `.sizeTooLarge`.
  /// - Cost: as `collapseRange(_:)`, but for the grace period.
  public func insertRange(_ range: Range<Int64>) throws(CacheError) {
    let file = try structureFile(.insertRange, range)
    guard !range.isEmpty else { return }
    try checkAligned(range, .insertRange)
    try file.insert(range)
  }

  /// Makes storage that is shared with other files, or within the file, the range's own: writing there does not run out of it. Contents do not change.
  /// - Throws: as `punchHole(_:)`; stores that share nothing say `.unsupported`.
  /// - Cost: a call of the store and a few locks.
  public func unshare(_ range: Range<Int64>) throws(CacheError) {
    let file = try structureFile(.unshare, range)
    guard !range.isEmpty else { return }
    let pages = file.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count))
    try file.withStructure(pages, shortens: false, operation: .unshare, range: range) {
      () throws(CacheError) -> Void? in
      let clamped = range.clamped(to: 0..<max(range.lowerBound, file.length))
      guard !clamped.isEmpty else { return () }
      try file.changeStore(.unshare, range, size: { $0 }, claimsEnd: false) {
        () throws(StoreError) in try file.store.change(.unshare, clamped)
      }
      return ()
    }
  }

  /// The file, if this handle may change it and the range can be one.
  func structureFile(_ operation: CacheError.Operation, _ range: Range<Int64>) throws(CacheError) -> FileCore {
    let file = try writableFile(operation, range)
    guard range.lowerBound >= 0 else { throw error(operation, range, .badRange(range)) }
    return file
  }

  func checkSize(
    _ size: Int64, of file: FileCore, _ operation: CacheError.Operation, _ range: Range<Int64>
  ) throws(CacheError) {
    guard size <= file.maximumSize else {
      throw error(operation, range, .sizeTooLarge(size, most: file.maximumSize))
    }
  }

  private func checkAligned(_ range: Range<Int64>, _ operation: CacheError.Operation) throws(CacheError) {
    let block = Int64(engine.pool.frameByteCount)
    guard range.lowerBound % block == 0, range.upperBound % block == 0 else {
      throw error(operation, range, .unaligned(block: block))
    }
  }
}
