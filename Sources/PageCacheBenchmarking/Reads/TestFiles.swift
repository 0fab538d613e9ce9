import Glibc
import PageCache
import Primitives
import SystemPackage

/// Files of one size with contents that can be checked: each 8-byte word is a function of the file's number and its offset.
///
/// They have names only until everything that reads them has been opened: whatever ends the process, nothing stays on the disk.
final class TestFiles {
  let fileBytes: Int
  private(set) var descriptors: [Int32] = []
  private(set) var mappings: [SharedMapping] = []
  private var caches: [(order: Int, cache: PageCache, files: [CachedFile])] = []

  /// Makes the files, warms the kernel's cache, and fills caches of ours of the given orders.
  init(fileBytes: Int, count: Int, orders: [Int], isMapped: Bool, directory: String) throws {
    self.fileBytes = fileBytes
    let place = try TestFiles.makeDirectory(in: directory)
    var paths: [String] = []
    defer {
      for path in paths { unsafe unlink(path) }
      unsafe rmdir(place)
    }
    for number in 0..<count {
      let path = "\(place)/file-\(number)"
      let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw TestFiles.failure("create \(path)") }
      paths.append(path)
      descriptors.append(descriptor)
      try TestFiles.write(descriptor, number: number, byteCount: fileBytes, path: path)
    }
    for order in orders {
      let limit = ReadPlan.cacheBytes(fileBytes: fileBytes, files: count, order: order)
      // Up to the order, as the cache chooses.
      let cache = try PageCache(.init(memoryLimit: limit, folioOrders: 0...order))
      var files: [CachedFile] = []
      for path in paths { files.append(try cache.open(FilePath(path))) }
      caches.append((order, cache, files))
    }
    if isMapped {
      for descriptor in descriptors {
        guard let mapping = SharedMapping(descriptor: descriptor, byteCount: fileBytes) else {
          throw TestFiles.failure("map a file of \(byteCountText(fileBytes))")
        }
        mappings.append(mapping)
      }
    }
    try warm()
  }

  deinit {
    for mapping in mappings { mapping.unmap() }
    for descriptor in descriptors { close(descriptor) }
  }

  func cachedFiles(order: Int) -> [CachedFile] { caches.first { $0.order == order }?.files ?? [] }

  // MARK: Contents

  /// The word of a file at an offset that is a multiple of 8.
  static func word(file: Int, offset: UInt64) -> UInt64 {
    var word = (offset &>> 3 &+ UInt64(truncatingIfNeeded: file) &<< 56) &* 0x9E37_79B9_7F4A_7C15
    word = (word ^ word &>> 32) &* 0xD6E8_FEB8_6659_FD93
    return word ^ word &>> 32
  }

  /// Whether a block holds what it must.
  static func isRight(_ block: UnsafeRawBufferPointer, file: Int, offset: UInt64) -> Bool {
    var position = 0
    while position < block.count {
      let at = offset &+ UInt64(position)
      let word = TestFiles.word(file: file, offset: at & ~7)
      if at & 7 == 0, block.count - position >= 8 {
        let found = unsafe block.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        guard found == word.littleEndian else { return false }
        position += 8
      } else {
        guard unsafe block[position] == UInt8(truncatingIfNeeded: word &>> (at & 7 &* 8)) else { return false }
        position += 1
      }
    }
    return true
  }

  private static func write(_ descriptor: Int32, number: Int, byteCount: Int, path: String) throws {
    let chunk = min(1 << 20, (byteCount + 7) & ~7)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    var offset = 0
    while offset < byteCount {
      for place in stride(from: 0, to: chunk, by: 8) {
        unsafe buffer.storeBytes(
          of: word(file: number, offset: UInt64(offset + place)).littleEndian, toByteOffset: place, as: UInt64.self)
      }
      let count = unsafe pwrite(descriptor, buffer.baseAddress, min(chunk, byteCount - offset), off_t(offset))
      guard count > 0 else { throw failure("write \(path)") }
      // A short write ends where it likes: go on from the last whole word.
      guard count % 8 == 0 || offset + count == byteCount else { throw failure("write \(path): cut short") }
      offset += count
    }
    guard fsync(descriptor) == 0 else { throw failure("sync \(path)") }
  }

  // MARK: Warming

  /// Reads everything twice by every way: the first time brings it in, the second leaves nothing cold to do for a later read.
  private func warm() throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(1 << 20, fileBytes), alignment: 4096)
    defer { unsafe buffer.deallocate() }
    for _ in 0..<2 {
      for descriptor in descriptors {
        var offset = 0
        while offset < fileBytes {
          let count = unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
          guard count > 0 else { throw TestFiles.failure("read back a file of \(byteCountText(fileBytes))") }
          offset += count
        }
      }
      for (_, _, files) in caches {
        for file in files {
          var offset = 0
          while offset < fileBytes {
            let count = unsafe try file.read(fromAbsoluteOffset: Int64(offset), into: buffer)
            guard count > 0 else {
              throw BenchmarkError("\(file.name) ends at \(offset) for the cache, not at \(fileBytes)")
            }
            offset += count
          }
        }
      }
    }
    for (order, _, files) in caches {
      for file in files {
        for offset in stride(from: 0, to: fileBytes, by: 4096) {
          let page = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(4096, buffer.count)])
          guard unsafe try file.tryRead(fromAbsoluteOffset: Int64(offset), into: page) != nil else {
            throw BenchmarkError("the cache of order \(order) did not keep all of \(file.name)")
          }
        }
      }
    }
  }

  // MARK: Places

  private static func failure(_ what: String) -> BenchmarkError {
    BenchmarkError("cannot \(what): \(Errno(rawValue: errno))")
  }

  /// The given directory, or the first of some that exists: a build folder is rarely on a memory file system, which
  /// would refuse direct I/O.
  static func parentDirectory(_ given: String?) -> String {
    if let given { return given }
    for place in ["bench-results", ".build"] where isDirectory(place) { return place }
    if let place = unsafe getenv("TMPDIR") { return unsafe String(cString: place) }
    return "/tmp"
  }

  private static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private static func makeDirectory(in parent: String) throws -> String {
    var template = Array("\(parent)/pagecache-bench-XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer {
      unsafe mkdtemp($0.baseAddress.unsafelyUnwrapped) != nil
    }
    guard made else { throw failure("make a directory in \(parent)") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Bytes free on the file system of a directory.
  static func availableDisk(_ directory: String) throws -> Int {
    var status = statvfs()
    guard unsafe statvfs(directory, &status) == 0 else { throw failure("use \(directory)") }
    return Int(status.f_bavail) * Int(status.f_frsize)
  }
}
