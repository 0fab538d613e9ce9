import CPrimitives
import Glibc
internal import SystemPackage

extension LocalFileStore {
  /// Changes the file's size.
  /// - Throws: `StoreError` of the operation `resize`: `.system(.badFileDescriptor)` before `prepareToWrite()`,
  ///   `.system(.fileTooLarge)`, ...
  /// - Cost: one system call.
  public func resize(to size: Int64) throws(StoreError) {
    let descriptor = try writingDescriptor(.resize)
    if let errno = system.resize(descriptor, size) { throw failure(.resize, .of(errno)) }
  }

  /// Changes what storage lies behind a range, by fallocate(2). Nothing for an empty range.
  ///
  /// One that runs out of space (`.system(.noSpace)`) can have changed a part of the range: ext4 and others then have
  /// allocated the start of it, and a file that was to grow has grown up to there; a range that was to be zeroed may
  /// read as zero in part. No bytes outside the range have changed.
  /// - Throws: `StoreError` of the change's operation, with the range: `.unsupported` where the file system cannot do
  ///   it, `.system(.invalidArgument)` for a range that is not aligned to its blocks or lies wrongly,
  ///   `.system(.badFileDescriptor)` before `prepareToWrite()`, ...
  /// - Cost: one system call, which may write back and wait.
  public func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
    let descriptor = try writingDescriptor(change.operation, range)
    guard range.lowerBound >= 0 else { throw failure(change.operation, range, .system(.invalidArgument)) }
    guard !range.isEmpty else { return }
    if let errno = system.allocate(descriptor, change.mode, range.lowerBound, Int64(range.count)) {
      throw failure(change.operation, range, .ofOptional(errno))
    }
  }

  /// Makes a range share the storage of a range of another local file (reflink), of the same file system, aligned to
  /// its blocks; the end of the source need not be, where it becomes the end of this file.
  ///
  /// One that runs out of space can have cloned the start of the range.
  /// - Throws: `StoreError` of the operation `clone`, with the range of the source.
  /// - Cost: one system call, which writes back both ranges first.
  public func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
    let descriptor = try writingDescriptor(.clone, range)
    guard let source = source as? LocalFileStore else { throw failure(.clone, range, .unsupported) }
    guard range.lowerBound >= 0, offset >= 0 else { throw failure(.clone, range, .system(.invalidArgument)) }
    // To the system a count of zero means up to the end.
    guard !range.isEmpty else { return }
    if let errno = system.clone(source.primary.value, range, descriptor, offset) {
      throw failure(.clone, range, .ofSharing(errno))
    }
  }

  /// Most bytes that some file systems compare in one call; and the others are not to hold their locks longer.
  private static let dedupeMax: Int64 = 16 << 20

  /// Makes a range share storage with a range of another local file that holds the same bytes.
  ///
  /// Where they differ after the first 16 MiB, what is before may share storage all the same. Contents never change.
  /// - Throws: `StoreError` of the operation `dedupe`, with the range of the other store: `.unsupported` also where the
  ///   range is not in whole blocks and does not end with both files.
  /// - Cost: two system calls, and one for each 16 MiB, which reads and compares both ranges.
  public func dedupe(
    _ range: Range<Int64>, with other: any BackingStore, at offset: Int64
  ) throws(StoreError) -> Bool {
    let descriptor = try writingDescriptor(.dedupe, range)
    guard let other = other as? LocalFileStore else { throw failure(.dedupe, range, .unsupported) }
    guard range.lowerBound >= 0, offset >= 0, !offset.addingReportingOverflow(Int64(range.count)).overflow else {
      throw failure(.dedupe, range, .system(.invalidArgument))
    }
    guard try dedupesWhole(range, of: other, at: offset) else { throw failure(.dedupe, range, .unsupported) }
    var done: Int64 = 0
    while done < Int64(range.count) {
      let start = range.lowerBound + done
      let piece = start..<min(start + Self.dedupeMax, range.upperBound)
      let count = system.dedupe(other.primary.value, piece, descriptor, offset + done)
      if count == PAGECACHE_DEDUPE_DIFFERS { return false }
      guard count >= 0 else {
        throw failure(.dedupe, range, .ofSharing(Errno(rawValue: Int32(truncatingIfNeeded: -count))))
      }
      guard count > 0 else { throw failure(.dedupe, range, .unsupported) }
      done += min(count, Int64(piece.count))
    }
    return true
  }

  /// Whether the system would compare all of a range. It silently leaves out a part of a block at the end, and says
  /// that it was the same; unless the end is that of both files.
  private func dedupesWhole(
    _ range: Range<Int64>, of other: LocalFileStore, at offset: Int64
  ) throws(StoreError) -> Bool {
    let statuses = (system.status(primary.value), other.system.status(other.primary.value))
    guard case (.success(let own), .success(let others)) = statuses else {
      throw failure(.dedupe, range, .system(.badFileDescriptor))
    }
    if Int64(range.count).isMultiple(of: max(own.blockSize, others.blockSize)) { return true }
    return range.upperBound == others.size && offset + Int64(range.count) == own.size
  }

  /// Whether a byte lies in a hole, and where that ends. Storage that was allocated and never written counts as a hole.
  ///
  /// Where the descriptor is the caller's own (it could not be opened again) all is data: to ask would move the
  /// caller's offset.
  /// - Throws: `StoreError` of the operation `extent`.
  /// - Cost: one system call for a hole, two for data.
  public func extent(at offset: Int64) throws(StoreError) -> StoreExtent {
    let descriptor = primary.value
    guard descriptor >= 0 else { throw failure(.extent, .system(.badFileDescriptor)) }
    guard !isShared else { return StoreExtent(isHole: false, end: .max) }
    // By several threads at a time: each moves the offset, and nobody uses it.
    let data = system.seek(descriptor, offset, false)
    switch Errno(rawValue: Int32(truncatingIfNeeded: -min(data, 0))) {
    case .noSuchAddressOrDevice: return StoreExtent(isHole: true, end: .max)
    case .invalidArgument where offset >= 0, .notSupported: return StoreExtent(isHole: false, end: .max)
    case let errno where data < 0: throw failure(.extent, .of(errno))
    default: break
    }
    guard data <= offset else { return StoreExtent(isHole: true, end: data) }
    let hole = system.seek(descriptor, offset, true)
    // Cut off in between.
    guard hole > offset else { return StoreExtent(isHole: false, end: .max) }
    return StoreExtent(isHole: false, end: hole)
  }

  private func writingDescriptor(
    _ operation: StoreError.Operation, _ range: Range<Int64>? = nil
  ) throws(StoreError) -> Int32 {
    let descriptor = writing.value
    guard descriptor >= 0 else { throw failure(operation, range, .system(.badFileDescriptor)) }
    return descriptor
  }
}

extension StoreRangeChange {
  /// As fallocate(2) wants it.
  fileprivate var mode: Int32 {
    switch self {
    case .allocate(let keepingSize): keepingSize ? FALLOC_FL_KEEP_SIZE : 0
    case .punchHole: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    case .zero(let keepingSize): FALLOC_FL_ZERO_RANGE | (keepingSize ? FALLOC_FL_KEEP_SIZE : 0)
    case .collapse: FALLOC_FL_COLLAPSE_RANGE
    case .insert: FALLOC_FL_INSERT_RANGE
    case .unshare: FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE
    }
  }
}

extension StoreError.Cause {
  /// Two files that cannot share storage, and ranges that are no whole blocks: then the bytes can be copied.
  fileprivate static func ofSharing(_ errno: Errno) -> Self {
    switch errno {
    case .improperLink, .invalidArgument: .unsupported
    default: ofOptional(errno)
    }
  }
}
