import CPrimitives
import Glibc
internal import SystemPackage

/// A regular file, open for reading.
struct OpenedFile: ~Copyable {
  var descriptor: OwnedDescriptor
  var status: FileStatus
  /// What reads must be multiples of. Nil if they go through the kernel's page cache.
  var alignment: DirectAlignment?
  /// The descriptor's open file description is also that of somebody else's descriptor.
  var isShared = false
}

/// Opening a file without blocking on what it turns out to be.
///
/// open(2) of a path can block (a FIFO without a writer) and can have effects (a tape drive rewinds). So
/// the path is first opened with `O_PATH`, which only names the file; what it names is looked at; and only a regular
/// file is opened for reading, by the name's descriptor, so that nothing else can take the path's place in between.
struct FileOpening {
  var name: String
  /// Nil for a descriptor somebody gave us.
  var path: FilePath?
  var policy: DirectIOPolicy
  var system: FileSystemCalls

  /// Opening again by the path can find another file there every time. Somebody who renames in a loop must not hold us
  /// up.
  static let attemptsMax = 3

  /// - Returns: Nil for a path that leads to nothing, if `missingIsNil`.
  func openPath(_ path: FilePath, missingIsNil: Bool = false) throws(StoreError) -> OpenedFile? {
    for _ in 0..<Self.attemptsMax {
      let anchor: OwnedDescriptor
      switch system.open(path, pagecache_open_path_only | O_CLOEXEC) {
      case .success(let descriptor): anchor = OwnedDescriptor(descriptor)
      case .failure(.noSuchFileOrDirectory) where missingIsNil: return nil
      case .failure(let errno): throw error(.of(errno))
      }
      let status = try regularFileStatus(anchor.rawValue)
      do throws(ReopenFailure) {
        return try openForReading(anchor.rawValue, status)
      } catch {
        switch error {
        case .otherFile: continue
        case .system(let errno): throw self.error(.of(errno))
        case .refusesDirect(let why): throw self.error(.other(why))
        }
      }
    }
    throw keepsChanging
  }

  var keepsChanging: StoreError { error(.other("another file took its place each time it was opened")) }

  func openDuplicate(of given: Int32) throws(StoreError) -> OpenedFile {
    let status = try regularFileStatus(given)
    do throws(ReopenFailure) {
      return try openForReading(given, status)
    } catch {
      switch error {
      case .refusesDirect(let why): throw self.error(.other(why))
      case .otherFile: throw self.error(.system(.badFileDescriptor))
      case .system(let errno): return try share(given, status, because: errno)
      }
    }
  }

  /// The descriptor itself, where it cannot be opened again. Its flags are the owner's as well, so they are taken as
  /// they are.
  private func share(_ given: Int32, _ status: FileStatus, because reason: Errno) throws(StoreError) -> OpenedFile {
    let flags = fcntl(given, F_GETFL)
    guard flags >= 0 else { throw error(.of(Errno(rawValue: errno))) }
    guard flags & O_ACCMODE != O_WRONLY, flags & pagecache_open_path_only == 0 else {
      // What read(2) would say, unless the file itself may not be read.
      throw error(.of(reason == .noSuchFileOrDirectory ? .badFileDescriptor : reason))
    }
    let alignment = flags & pagecache_open_direct != 0 ? suitableAlignment(status.direct) ?? .frame : nil
    switch (policy, alignment) {
    case (.required, nil):
      throw error(.other("direct I/O is required, and the descriptor was not opened for it: \(reason)"))
    case (.never, _?):
      throw error(.other("buffered I/O is required, and the descriptor was opened for direct I/O: \(reason)"))
    default: break
    }
    let copy = fcntl(given, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw error(.of(Errno(rawValue: errno))) }
    return OpenedFile(descriptor: OwnedDescriptor(copy), status: status, alignment: alignment, isShared: true)
  }

  /// What was left of a path when a descriptor was made from it: what errors call it.
  static func name(of descriptor: Int32, system: FileSystemCalls) -> String {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    for directory in system.descriptorDirectories {
      let link = directory.appending("\(descriptor)")
      let count = unsafe link.withPlatformString { link in
        unsafe buffer.withUnsafeMutableBytes { unsafe readlink(link, $0.baseAddress!, $0.count) }
      }
      if count > 0 { return String(decoding: buffer.prefix(count), as: UTF8.self) }
    }
    return "descriptor \(descriptor)"
  }

  func regularFileStatus(_ descriptor: Int32) throws(StoreError) -> FileStatus {
    switch system.status(descriptor) {
    case .failure(let errno): throw error(.of(errno))
    case .success(let status):
      if let kind = status.kind { throw error(.notRegularFile(kind)) }
      return status
    }
  }

  func error(_ cause: StoreError.Cause) -> StoreError {
    StoreError(operation: .open, store: name, cause: cause)
  }
}

// MARK: - By a descriptor

extension FileOpening {
  enum ReopenFailure: Error {
    case system(Errno)
    /// The path leads to another file by now.
    case otherFile
    case refusesDirect(String)
  }

  /// Opens the file under a descriptor for reading, directly if the policy wants it and the file system can.
  func openForReading(_ descriptor: Int32, _ status: FileStatus) throws(ReopenFailure) -> OpenedFile {
    guard policy != .never else { return try openBuffered(descriptor, status) }
    guard let alignment = suitableAlignment(status.direct) else {
      if policy == .required { throw .refusesDirect(Self.refusal(status.direct)) }
      return try openBuffered(descriptor, status)
    }
    do throws(ReopenFailure) {
      let opened = try reopen(descriptor, status, flags: pagecache_open_direct)
      return OpenedFile(descriptor: opened, status: status, alignment: alignment)
    } catch {
      // The kernel's word for "not on this file system". Everything else would stop a buffered open, too.
      guard case .system(.invalidArgument) = error else { throw error }
      if policy == .required { throw .refusesDirect("direct I/O is required, and the file system refuses it") }
      return try openBuffered(descriptor, status)
    }
  }

  private func openBuffered(_ descriptor: Int32, _ status: FileStatus) throws(ReopenFailure) -> OpenedFile {
    OpenedFile(descriptor: try reopenBuffered(descriptor, status), status: status, alignment: nil)
  }

  func reopenBuffered(_ descriptor: Int32, _ status: FileStatus) throws(ReopenFailure) -> OwnedDescriptor {
    let opened = try reopen(descriptor, status, flags: 0)
    // The kernel must not read ahead: this cache does, and pages that the kernel guessed would be a second copy that
    // nobody drops.
    posix_fadvise(opened.rawValue, 0, 0, POSIX_FADV_RANDOM)
    return opened
  }

  /// Buffered, whatever the policy: pages that are written in part need no alignment then, and the kernel may write
  /// them back when it suits.
  func reopenForWriting(_ descriptor: Int32, _ status: FileStatus) throws(ReopenFailure) -> OwnedDescriptor {
    try reopen(descriptor, status, flags: O_RDWR)
  }

  /// A new open file description of the same file: own flags, own offset. Or one that a store left that could not close
  /// it.
  private func reopen(_ descriptor: Int32, _ status: FileStatus, flags: Int32) throws(ReopenFailure) -> OwnedDescriptor
  {
    if mayOpen(descriptor, flags),
      let parked = ParkedDescriptors.shared.take(of: LocalFileStore.identity(of: status), flags: flags)
    {
      return OwnedDescriptor(parked)
    }
    for directory in system.descriptorDirectories {
      switch system.open(directory.appending("\(descriptor)"), flags | O_CLOEXEC) {
      case .success(let opened): return OwnedDescriptor(opened)
      // Not mounted there. The descriptor is open, so it is not the file that is missing.
      case .failure(.noSuchFileOrDirectory), .failure(.notDirectory): continue
      case .failure(let errno): throw .system(errno)
      }
    }
    guard let path else { throw .system(.noSuchFileOrDirectory) }
    // By the path then, which may lead to anything by now: without blocking, and not trusted until it is seen to be the
    // same file.
    switch system.open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) {
    case .failure(.noSuchFileOrDirectory): throw .otherFile
    case .failure(let errno): throw .system(errno)
    case .success(let opened):
      let opened = OwnedDescriptor(opened)
      switch system.status(opened.rawValue) {
      case .success(let found) where found.isSameFile(as: status): return opened
      case .success: throw .otherFile
      case .failure(let errno): throw .system(errno)
      }
    }
  }

  /// Whether opening the file once more would be allowed. Asked only where it will not be tried.
  private func mayOpen(_ descriptor: Int32, _ flags: Int32) -> Bool {
    guard ParkedDescriptors.shared.hasAny else { return false }
    let access = flags & O_ACCMODE == O_RDONLY ? R_OK : R_OK | W_OK
    for name in system.descriptorDirectories.map({ $0.appending("\(descriptor)") }) + (path.map { [$0] } ?? []) {
      switch Self.refusal(of: name, access: access) {
      case nil: return true
      case .some(.noSuchFileOrDirectory), .some(.notDirectory): continue
      default: return false
      }
    }
    return false
  }

  /// The error that open(2) would give, as far as permissions are concerned.
  static func refusal(of path: FilePath, access: Int32) -> Errno? {
    // By the effective identity, as open(2) would decide. AT_EACCESS has no name in Swift's Glibc module.
    let isAllowed = unsafe path.withPlatformString { unsafe faccessat(AT_FDCWD, $0, access, 0x200) } == 0
    return isAllowed ? nil : Errno(rawValue: errno)
  }

  /// What direct reads must be multiples of, or nil if whole frames are not.
  private func suitableAlignment(_ support: FileStatus.DirectSupport) -> DirectAlignment? {
    switch support {
    case .impossible: return nil
    // No file system in use asks for more than a page; whole frames are the most that we can offer.
    case .unknown: return .frame
    case .aligned(let memory, let offset):
      let alignment = DirectAlignment(memory: memory, offset: offset)
      return alignment.suitsFrames ? alignment : nil
    }
  }

  private static func refusal(_ support: FileStatus.DirectSupport) -> String {
    guard case .aligned(let memory, let offset) = support else {
      return "direct I/O is required, and the file system cannot do it with this file"
    }
    return "direct I/O is required, and the file system wants addresses in multiples of \(memory) bytes and offsets in "
      + "multiples of \(offset): neither may be more than a frame of 4096"
  }
}
