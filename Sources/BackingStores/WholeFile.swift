import CPrimitives
import Glibc
import Primitives
package import SystemPackage

/// A small file that is read and written whole: something a program keeps to remember by. It is never seen half
/// written.
package enum WholeFile {
  private static let written = InlineWord(0)

  /// Puts a file with these bytes in the place of the path. Whoever opens the path meanwhile, or after a power cut,
  /// finds the old file or the new one, and all of it.
  ///
  /// The bytes go to a file beside it, whose name ends in `.new`. If the process dies meanwhile, that stays.
  /// - Throws: `StoreError` of the operation that was refused; then what the path led to is as it was, unless only its
  ///   directory could not be flushed.
  /// - Cost: seven system calls and two flushes.
  package static func replace(
    _ path: FilePath, with bytes: [UInt8], system: FileSystemCalls = .linux
  ) throws(StoreError) {
    func refusal(_ operation: StoreError.Operation, _ errno: Errno) -> StoreError {
      StoreError(operation: operation, store: path.string, cause: .of(errno))
    }
    // No other call of this process, and no other process, writes to the same name.
    let number = written.fetchAddRelaxed(1)
    let new = FilePath("\(path.string).\(getpid()).\(number).new")
    switch system.create(new, [.ownerReadWrite]) {
    case .failure(let errno): throw refusal(.open, errno)
    case .success(let descriptor):
      let file = OwnedDescriptor(descriptor)
      var isRenamed = false
      defer { if !isRenamed { unsafe _ = new.withPlatformString { unsafe unlink($0) } } }
      if let errno = write(bytes, to: file.rawValue, system) { throw refusal(.write, errno) }
      if let errno = system.flush(file.rawValue, false) { throw refusal(.flush, errno) }
      let refused = unsafe new.withPlatformString { from in
        unsafe path.withPlatformString { to in unsafe rename(from, to) == 0 ? nil : Errno(rawValue: errno) }
      }
      if let refused { throw refusal(.rename, refused) }
      isRenamed = true
      // Whichever directory the path leads to by now.
      guard let name = path.lastComponent else { return }
      let status: FileStatus
      switch system.status(file.rawValue) {
      case .failure(let errno): throw refusal(.flush, errno)
      case .success(let found): status = found
      }
      let failure = UnflushedNames.flush(
        name, in: path.removingLastComponent(), of: LocalFileStore.identity(of: status), by: file.rawValue,
        system: system)
      if let failure { throw refusal(.flush, failure) }
    }
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, _ system: FileSystemCalls) -> Errno? {
    unsafe bytes.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count {
        // Safe: the system reads from it only.
        var vector = unsafe iovec(
          iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress.unsafelyUnwrapped + done),
          iov_len: bytes.count - done)
        let count = unsafe system.write(descriptor, &vector, 1, Int64(done))
        // A write of something that wrote nothing and gave no reason would be tried for ever.
        guard count > 0 else { return count == 0 ? .ioError : Errno(rawValue: Int32(truncatingIfNeeded: -count)) }
        done += min(count, bytes.count - done)
      }
      return nil
    }
  }

  /// Reads a regular file.
  /// - Parameters:
  ///   - startCount: bytes that are read first.
  ///   - wanted: how many bytes to read in all, by those and the file's size: nobody has to believe a file that it is
  ///     large.
  /// - Returns: what was read, and the file's size.
  /// - Throws: `StoreError` of operation `open` or `read`.
  /// - Cost: five system calls; an allocation for the bytes.
  package static func read(
    _ path: FilePath, startCount: Int, wanted: (_ start: [UInt8], _ size: Int64) -> Int,
    system: FileSystemCalls = .linux
  ) throws(StoreError) -> (bytes: [UInt8], size: Int64) {
    func refusal(_ operation: StoreError.Operation, _ cause: StoreError.Cause) -> StoreError {
      StoreError(operation: operation, store: path.string, cause: cause)
    }
    let opened: Int32
    // Without blocking, should the path lead to a FIFO.
    switch system.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) {
    case .failure(let errno): throw refusal(.open, .of(errno))
    case .success(let descriptor): opened = descriptor
    }
    let file = OwnedDescriptor(opened)
    let size: Int64
    switch system.status(file.rawValue) {
    case .failure(let errno): throw refusal(.open, .of(errno))
    case .success(let status):
      if let kind = status.kind { throw refusal(.open, .notRegularFile(kind)) }
      size = status.size
    }
    func read(_ count: Int) throws(StoreError) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: count)
      var done = 0
      while done < count {
        let got = unsafe bytes.withUnsafeMutableBytes { bytes in
          // Safe: `done` is less than the count, so there are bytes.
          var vector = unsafe iovec(
            iov_base: bytes.baseAddress.unsafelyUnwrapped + done, iov_len: bytes.count - done)
          return unsafe system.read(file.rawValue, &vector, 1, Int64(done), 0)
        }
        guard got >= 0 else { throw refusal(.read, .of(Errno(rawValue: Int32(truncatingIfNeeded: -got)))) }
        // It has become shorter meanwhile.
        if got == 0 { break }
        done += min(got, count - done)
      }
      return Array(bytes[..<done])
    }
    let start = try read(Int(min(size, Int64(startCount))))
    return (try read(max(0, Int(min(size, Int64(wanted(start, size)))))), size)
  }
}
