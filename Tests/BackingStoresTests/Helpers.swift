import BackingStores
import CPrimitives
import Glibc
import Primitives
import Synchronization
import SystemPackage
import Testing

/// A directory of a test's own, removed with everything in it when the test drops it.
final class TemporaryDirectory: Sendable {
  let path: FilePath

  init(in parent: String = "/tmp") throws {
    var template = Array("\(parent)/pagecache-stores-XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil }
    try #require(made, "no temporary directory in \(parent)")
    path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  deinit {
    for name in names(in: path) {
      let entry = path.appending(name).string
      if unsafe unlink(entry) != 0 { unsafe rmdir(entry) }
    }
    unsafe rmdir(path.string)
  }

  /// Makes a file of the test pattern, on disk and not in the kernel's cache.
  @discardableResult
  func makeFile(_ name: String = "file", size: Int, seed: Int64 = 0) throws -> FilePath {
    let file = path.appending(name)
    let descriptor = try FileDescriptor.open(
      file, .readWrite, options: [.create, .truncate], permissions: [.ownerReadWrite])
    defer { try? descriptor.close() }
    for run in patternRuns(0..<Int64(size), seed: seed) { try descriptor.writeAll(run) }
    fsync(descriptor.rawValue)
    posix_fadvise(descriptor.rawValue, 0, 0, POSIX_FADV_DONTNEED)
    return file
  }

  /// How many descriptors of this process lead into the directory.
  var openDescriptorCount: Int {
    names(in: "/proc/self/fd").count { name in
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe readlink("/proc/self/fd/\(name)", $0.baseAddress!, $0.count)
      }
      return count > 0 && String(decoding: buffer.prefix(count), as: UTF8.self).hasPrefix(path.string)
    }
  }

  private func names(in directory: FilePath) -> [String] {
    guard let stream = unsafe opendir(directory.string) else { return [] }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) {
        unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }
}

/// What test files hold. Neighbouring bytes and neighbouring pages differ.
func patternByte(at offset: Int64, seed: Int64 = 0) -> UInt8 {
  UInt8(truncatingIfNeeded: offset &* 7 &+ (offset >> 12) &* 131 &+ seed &+ 1)
}

/// The same for a range, in runs that end with pages. Byte by byte it would take a debug build seconds.
///
/// In a page the pattern is a wave of 256 bytes, and another page or seed is another place to start in it: 183 * 7 is 1
/// modulo 256.
func patternRuns(_ range: Range<Int64>, seed: Int64) -> [ArraySlice<UInt8>] {
  var runs: [ArraySlice<UInt8>] = []
  var offset = range.lowerBound
  while offset < range.upperBound {
    let count = Int(min(range.upperBound, (offset | 4095) + 1) - offset)
    let start = Int((offset &+ 183 &* ((offset >> 12) &* 131 &+ seed &+ 1)) & 255)
    runs.append(wave[start..<start + count])
    offset += Int64(count)
  }
  return runs
}

private let wave: [UInt8] = (0..<4096 + 256).map { UInt8(truncatingIfNeeded: $0 * 7) }

/// Aligned memory to read into.
@safe
final class Frames: @unchecked Sendable {
  let memory: UnsafeMutableRawBufferPointer
  private let whole: UnsafeMutableRawBufferPointer

  /// - Parameter skew: Bytes by which the memory misses its alignment.
  init(_ count: Int, skew: Int = 0) {
    unsafe whole = .allocate(byteCount: count + skew, alignment: 4096)
    unsafe memory = UnsafeMutableRawBufferPointer(rebasing: whole[skew...])
    unsafe memset(whole.baseAddress!, 0xEE, whole.count)
  }

  deinit { unsafe whole.deallocate() }

  func request(
    at offset: Int64, segment: Int = 4096, _ execution: StoreExecution = .caller
  ) -> StoreReadRequest {
    let starts = unsafe stride(from: 0, to: memory.count, by: segment)
    let segments = unsafe starts.map {
      unsafe UnsafeMutableRawBufferPointer(rebasing: memory[$0..<min($0 + segment, memory.count)])
    }
    return unsafe StoreReadRequest(offset: offset, segments: segments, execution: execution)
  }

  var bytes: [UInt8] { unsafe Array(memory) }

  func holdsPattern(_ count: Int, at offset: Int64, seed: Int64 = 0) -> Bool {
    var done = 0
    for run in patternRuns(offset..<offset + Int64(count), seed: seed) {
      let isEqual = unsafe run.withUnsafeBytes {
        unsafe memcmp($0.baseAddress!, memory.baseAddress! + done, $0.count) == 0
      }
      guard isEqual else { return false }
      done += run.count
    }
    return true
  }
}

/// A value that one thread sets and another waits for.
final class Promise<Value: Sendable>: Sendable {
  private let monitor = Monitor()
  // Safe: read and written with the monitor held only.
  private nonisolated(unsafe) var values: [Value] = []

  func fulfil(_ value: Value) {
    monitor.withLock {
      unsafe values.append(value)
      monitor.broadcast()
    }
  }

  func wait() -> Value { wait(for: 1)[0] }

  func wait(for count: Int) -> [Value] {
    monitor.withLock {
      while unsafe values.count < count { monitor.wait() }
      return unsafe values
    }
  }

  var count: Int { monitor.withLock { unsafe values.count } }
  var all: [Value] { monitor.withLock { unsafe values } }
}

extension BackingStore {
  /// Reads, and keeps the frames until it is done: a request does not.
  func read(
    _ frames: Frames, at offset: Int64, segment: Int = 4096, _ execution: StoreExecution = .caller,
    completion: @escaping @Sendable (Result<Int, StoreError>) -> Void
  ) {
    read(frames.request(at: offset, segment: segment, execution)) { result in
      withExtendedLifetime(frames) { completion(result) }
    }
  }

  /// Reads and waits.
  func readAndWait(
    _ frames: Frames, at offset: Int64, segment: Int = 4096, _ execution: StoreExecution = .caller
  ) -> Result<Int, StoreError> {
    let promise = Promise<Result<Int, StoreError>>()
    read(frames, at: offset, segment: segment, execution) { promise.fulfil($0) }
    return promise.wait()
  }
}

extension Result where Success == Int, Failure == StoreError {
  var count: Int? { try? get() }
  var cause: StoreError.Cause? { if case .failure(let error) = self { error.cause } else { nil } }
}

/// The error that opening gives, or nil if it succeeds.
func openingError(_ open: () throws(StoreError) -> LocalFileStore) -> StoreError? {
  do throws(StoreError) {
    _ = try open()
    return nil
  } catch {
    return error
  }
}

/// What the machine under the tests can do, found out without the store.
enum Machine {
  /// Whether files in /tmp can be read by `O_DIRECT`, in units that the kernel names.
  static let readsDirectly: Bool = {
    guard let directory = try? TemporaryDirectory(), let file = try? directory.makeFile(size: 4096),
      let descriptor = try? FileSystemCalls.linux.open(file, pagecache_open_direct).get()
    else { return false }
    defer { close(descriptor) }
    let frames = Frames(4096)
    return unsafe pread(descriptor, frames.memory.baseAddress!, 4096, 0) == 4096
      && (try? FileSystemCalls.linux.status(descriptor).get().direct) != .unknown
  }()

  /// Whether the kernel can be made to forget a file in /tmp at all: not on tmpfs.
  static let dropsCaches: Bool = {
    guard let directory = try? TemporaryDirectory(), let file = try? directory.makeFile(size: 65536) else {
      return false
    }
    return residentPages(of: file) == 0
  }()

  static let hasSharedMemory: Bool = unsafe access("/dev/shm", W_OK) == 0
}

/// Pages of a file in the kernel's cache.
func residentPages(of file: FilePath) -> Int {
  guard let descriptor = try? FileDescriptor.open(file, .readOnly) else { return -1 }
  defer { try? descriptor.close() }
  let size = Int((try? descriptor.seek(offset: 0, from: .end)) ?? 0)
  let mapping = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, descriptor.rawValue, 0)!
  defer { unsafe munmap(mapping, size) }
  var pages = [UInt8](repeating: 0, count: (size + 4095) / 4096)
  guard unsafe mincore(mapping, size, &pages) == 0 else { return -1 }
  return pages.count { $0 & 1 != 0 }
}

/// Looks every millisecond whether something has become true. False after ten seconds.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<10_000 {
    if condition() { return true }
    sleepNanoseconds(1_000_000)
  }
  return false
}
