import CPrimitives
import Glibc
import SystemPackage

/// A file by the kernel's plain calls: buffered, on whatever file system it lies.
///
/// What a file system cannot do (clone, exchange) is done by reading and writing, after the checks that Linux makes: right for one thread,
/// and not atomic.
package final class KernelFile: ExercisedFile {
  let descriptor: Int32

  package init(_ path: FilePath) throws {
    descriptor = unsafe path.withPlatformString { unsafe Glibc.open($0, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
    guard descriptor >= 0 else { throw ExerciseError("open \(path)", errno: errno) }
  }

  package func close() throws {
    guard Glibc.close(descriptor) == 0 else { throw ExerciseError("close", errno: errno) }
  }

  package func size() throws -> Int64 {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw ExerciseError("fstat", errno: errno) }
    return Int64(status.st_size)
  }

  // MARK: Bytes

  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    while true {
      let count = unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
      if count >= 0 { return count }
      guard errno == EINTR else { throw ExerciseError("pread", errno: errno) }
    }
  }

  package func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    var done = 0
    repeat {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = unsafe pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw ExerciseError("pwrite", errno: errno) }
      done += count
    } while done < bytes.count
  }

  package func append(_ bytes: UnsafeRawBufferPointer) throws -> Int64 {
    let end = try size()
    try unsafe write(at: end, bytes)
    return end
  }

  package func resize(to size: Int64) throws {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw ExerciseError("ftruncate", errno: errno) }
  }

  // MARK: fallocate

  /// FALLOC_FL_KEEP_SIZE and the others, which Swift's Glibc module does not have.
  private enum Mode: Int32 {
    case allocate = 0
    case allocateKeepingSize = 1
    case punchHole = 3
    case collapse = 8
    case zero = 16
    case zeroKeepingSize = 17
    case insert = 32
    case unshareKeepingSize = 65
  }

  private func fallocate(_ mode: Mode, _ range: Range<Int64>) throws {
    let error = pagecache_fallocate(descriptor, mode.rawValue, range.lowerBound, Int64(range.count))
    guard error == 0 else { throw ExerciseError("fallocate, mode \(mode)", errno: error) }
  }

  package func allocate(_ range: Range<Int64>, keepingSize: Bool) throws {
    try fallocate(keepingSize ? .allocateKeepingSize : .allocate, range)
  }

  package func punchHole(_ range: Range<Int64>) throws { try fallocate(.punchHole, range) }

  package func zero(_ range: Range<Int64>, keepingSize: Bool) throws {
    try fallocate(keepingSize ? .zeroKeepingSize : .zero, range)
  }

  package func collapse(_ range: Range<Int64>) throws { try fallocate(.collapse, range) }

  package func insert(_ range: Range<Int64>) throws { try fallocate(.insert, range) }

  package func unshare(_ range: Range<Int64>) throws {
    let error = pagecache_fallocate(
      descriptor, Mode.unshareKeepingSize.rawValue, range.lowerBound, Int64(range.count))
    // A file system that shares nothing has nothing to unshare.
    guard error == 0 || error == EOPNOTSUPP else { throw ExerciseError("fallocate, unshare", errno: error) }
  }

  // MARK: Several ranges

  /// What FICLONERANGE takes.
  private struct CloneRange {
    var source: Int64
    var sourceOffset: UInt64
    var sourceLength: UInt64
    var destinationOffset: UInt64
  }

  private static let cloneRangeRequest: UInt = 0x4020_940D

  /// FICLONERANGE. Returns 0 or errno.
  fileprivate func share(_ range: Range<Int64>, of source: KernelFile, to offset: Int64) -> Int32 {
    var argument = CloneRange(
      source: Int64(source.descriptor), sourceOffset: UInt64(bitPattern: range.lowerBound),
      sourceLength: UInt64(range.count), destinationOffset: UInt64(bitPattern: offset))
    return unsafe ioctl(descriptor, KernelFile.cloneRangeRequest, &argument) == 0 ? 0 : errno
  }

  package func clone(_ range: Range<Int64>, of source: KernelFile, to offset: Int64) throws {
    // A length of nothing means: to the end.
    guard !range.isEmpty else { return }
    let error = share(range, of: source, to: offset)
    if error == 0 { return }
    guard error == EOPNOTSUPP || error == ENOTTY else { throw ExerciseError("clone", errno: error) }
    try checkRanges(range, of: source, to: offset)
    let end = offset + Int64(range.count)
    let sourceSize = try source.size()
    guard range.lowerBound % 4096 == 0, offset % 4096 == 0, range.upperBound <= sourceSize,
      try range.upperBound % 4096 == 0 || range.upperBound == sourceSize && end >= size()
    else { throw ExerciseError("clone", errno: EINVAL) }
    try move(source.bytes(range), to: offset)
  }

  package func copy(_ range: Range<Int64>, of source: KernelFile, to offset: Int64) throws {
    try checkRanges(range, of: source, to: offset)
    var done: Int64 = 0
    while done < range.count {
      let count = pagecache_copy_file_range(
        source.descriptor, range.lowerBound + done, descriptor, offset + done, range.count - Int(done))
      if count == 0 { throw ExerciseError("copy_file_range: the source ends") }
      guard count > 0 else { throw ExerciseError("copy_file_range", errno: Int32(-count)) }
      done += Int64(count)
    }
  }

  package func exchange(_ range: Range<Int64>, with other: KernelFile, at offset: Int64) throws {
    try checkExchange(range, with: other, at: offset)
    let mine = try bytes(range)
    try move(other.bytes(offset..<offset + Int64(range.count)), to: range.lowerBound)
    try other.move(mine, to: offset)
  }

  package func dedupe(_ range: Range<Int64>, with other: KernelFile, at offset: Int64) throws -> Bool {
    try checkExchange(range, with: other, at: offset)
    return try bytes(range) == other.bytes(offset..<offset + Int64(range.count))
  }

  private func checkExchange(_ range: Range<Int64>, with other: KernelFile, at offset: Int64) throws {
    try checkRanges(range, of: other, to: offset)
    let end = offset + Int64(range.count)
    let size = try size()
    let otherSize = try other.size()
    guard range.lowerBound % 4096 == 0, offset % 4096 == 0, range.upperBound <= size, end <= otherSize,
      range.count % 4096 == 0 || range.upperBound == size && end == otherSize
    else { throw ExerciseError("exchange", errno: EINVAL) }
  }

  private func checkRanges(_ range: Range<Int64>, of other: KernelFile, to offset: Int64) throws {
    let (end, overflow) = offset.addingReportingOverflow(Int64(range.count))
    guard range.lowerBound >= 0, offset >= 0, !overflow, other !== self || !range.overlaps(offset..<end) else {
      throw ExerciseError("two ranges", errno: EINVAL)
    }
  }

  private func bytes(_ range: Range<Int64>) throws -> [UInt8] {
    try unsafe [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
      count = unsafe try read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  private func move(_ bytes: [UInt8], to offset: Int64) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe write(at: offset, $0) }
  }

  // MARK: Looking and syncing

  /// SEEK_DATA and SEEK_HOLE.
  private func seek(_ offset: Int64, _ way: Int32) throws -> Int64? {
    let found = lseek(descriptor, off_t(offset), way)
    if found >= 0 { return Int64(found) }
    guard errno == ENXIO else { throw ExerciseError("lseek", errno: errno) }
    return nil
  }

  package func seekData(from offset: Int64) throws -> Int64? { try seek(offset, 3) }
  package func seekHole(from offset: Int64) throws -> Int64? { try seek(offset, 4) }

  package func sync(dataOnly: Bool) throws {
    guard (dataOnly ? fdatasync(descriptor) : fsync(descriptor)) == 0 else {
      throw ExerciseError("fsync", errno: errno)
    }
  }

  package func flush(_ range: Range<Int64>) throws { try sync(dataOnly: true) }

  /// Takes what is clean out of the kernel's cache.
  package func invalidate() throws { posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED)) }
}

/// The kernel's page cache.
package struct KernelTarget: ExerciseTarget {
  /// Whether the file system can share blocks.
  let canClone: Bool

  package init(canClone: Bool = false) { self.canClone = canClone }

  /// Finds out what the file system can do, with two files of its own that are removed again.
  /// - Parameter path: what their names begin with.
  package init(probing path: FilePath) throws {
    let paths = ["from", "to"].map { FilePath("\(path).\($0)") }
    defer { for path in paths { unsafe _ = path.withPlatformString { unsafe unlink($0) } } }
    let files = try paths.map { try KernelFile($0) }
    defer { for file in files { try? file.close() } }
    try files[0].resize(to: 4096)
    canClone = files[1].share(0..<4096, of: files[0], to: 0) == 0
  }

  package var name: String { "pread" }
  package var maximumAtomicLength: Int { 1 << 20 }

  /// What is one system call, and so could be.
  package var atomicChanges: Set<ExerciseChange> {
    var changes: Set<ExerciseChange> = [.write, .append, .resize, .punchHole, .zero, .collapse, .insert]
    if canClone { changes.insert(.clone) }
    return changes
  }

  package func open(_ path: FilePath) throws -> KernelFile { try KernelFile(path) }
}

extension KernelFile {
  /// All bytes of the file under a path.
  static func contents(_ path: String) throws -> [UInt8] {
    let file = try KernelFile(FilePath(path))
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
    let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(at: 0, into: $0) }
    bytes.removeLast(bytes.count - count)
    return bytes
  }
}
