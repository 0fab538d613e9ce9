import CPrimitives
import Glibc
import Primitives
public import SystemPackage

/// A regular file of the local system.
///
/// Reads go past the kernel's page cache (`O_DIRECT`) where the file system allows it: the cache in this process is the
/// only copy. Where it does not, reads are buffered, and the kernel is told not to keep what was read.
///
/// Opening waits for no writer of a FIFO and touches no device: a path is looked at before anything is opened for
/// reading, and what is not a regular file is refused. A store keeps reading the file that it opened, also after the
/// path was renamed or removed.
///
/// Writes go through the kernel's page cache always, by a descriptor of their own that `prepareToWrite` opens. Direct
/// reads of what the kernel has not written back yet see it.
///
/// Only claims lock anything, and only against other caches: other programs may write to the file meanwhile, and a read
/// during a write can give some of the old bytes and some of the new.
public final class LocalFileStore: BackingStore {
  /// The path as it was given, or the one that the descriptor was opened by.
  public let name: String

  /// The device's number as the realm, the inode's as the object. No other file can have both while this one is open.
  public let identity: StoreIdentity

  /// Whether opening made the file.
  public let wasCreated: Bool

  /// Absolute, so that it leads to the same place from another working directory. Nil if a descriptor was given.
  let path: FilePath?
  let policy: DirectIOPolicy
  let system: FileSystemCalls
  let threads: IOThreads
  /// What the primary descriptor's reads must be multiples of. Nil if it reads buffered.
  let alignment: DirectAlignment?

  // Three descriptors rather than one that changes: a thread may be reading by the first while another finds that it
  // does not work, and another writes.
  /// Opened first. -1 when closed.
  let primary: SharedDescriptor
  /// Buffered, beside a direct primary that refused a read. -1 until it is needed.
  let secondary = SharedDescriptor()
  /// Buffered, for reading and writing. -1 until the store is prepared for writing.
  let writing: SharedDescriptor
  /// The primary descriptor's open file description is also that of the caller's descriptor: its offset and its locks
  /// are the caller's.
  let isShared: Bool
  /// When the file was made, where the file system knows.
  let created: StoreStatus.ChangeStamp?
  /// The file system accepted `O_DIRECT` and refused to read by it. Never goes back.
  let refusedDirect = SharedFlag()
  /// The kernel does not know `RWF_DONTCACHE` here. Never goes back.
  let refusedReadFlag = SharedFlag()
  /// What the device has refused.
  let losses = Losses()
  /// Largest size of a file here; 0 until it is known.
  let learntMaximumSize = InlineWord(0)
  /// Held while descriptors are opened late or closed, never during a read.
  let changingDescriptors = Monitor()
  // Guarded by `changingDescriptors`.
  nonisolated(unsafe) var claimed: Claim?

  /// Opens the file at a path. Symbolic links are followed.
  ///
  /// A file that is made is empty. The first `flush` that succeeds, of this store or of another one of the file in this
  /// process, makes its name durable, too.
  /// - Parameters:
  ///   - path: Relative paths start at the working directory.
  ///   - creating: Whether to make the file. One that is there is not emptied, whatever is said here.
  ///   - permissions: Of a file that is made, less the process's umask. Without leave to read it, it is made, but not
  ///     opened.
  ///   - directIO: Whether to go past the kernel's page cache.
  ///   - threads: Who does reads that must not hold up their caller.
  /// - Throws: `StoreError` of the operation `open`: `.system` with the error of the system (`noSuchFileOrDirectory`,
  ///   `permissionDenied`, ...), `.notRegularFile`, `.exhausted`, or `.other` where `required` direct reads are not to
  ///   be had.
  /// - Cost: four system calls, six where reads turn out to be buffered, three more to make the file; a few
  ///   allocations.
  public convenience init(
    path: FilePath, creating: FileCreation = .never,
    permissions: FilePermissions = [.ownerReadWrite, .groupRead, .otherRead],
    directIO: DirectIOPolicy = .automatic, threads: IOThreads
  ) throws(StoreError) {
    try self.init(
      path: path, creating: creating, permissions: permissions, directIO: directIO, threads: threads, system: .linux)
  }

  /// Opens the file under a descriptor once more. The descriptor stays the caller's: its offset, its flags and its life
  /// do not change, and it may be closed as soon as this returns.
  ///
  /// A descriptor that was opened for writing only does, if the file may be read. Where the system cannot open it again
  /// (no `/proc`, or permissions that went away), the descriptor is duplicated and reads the way it was opened to read.
  /// - Parameters:
  ///   - descriptor: An open descriptor of a regular file.
  ///   - directIO: Whether to go past the kernel's page cache.
  ///   - threads: Who does reads that must not hold up their caller.
  /// - Throws: `StoreError` of the operation `open`: as for a path; `.system(.badFileDescriptor)` if the descriptor is
  ///   closed, or if it cannot be read by and cannot be opened again.
  /// - Cost: three system calls, five where reads turn out to be buffered; a few allocations.
  public convenience init(
    duplicating descriptor: FileDescriptor, directIO: DirectIOPolicy = .automatic, threads: IOThreads
  ) throws(StoreError) {
    try self.init(duplicating: descriptor, directIO: directIO, threads: threads, system: .linux)
  }

  package convenience init(
    path: FilePath, creating: FileCreation = .never, permissions: FilePermissions = [.ownerReadWrite],
    directIO: DirectIOPolicy, threads: IOThreads, system: FileSystemCalls
  ) throws(StoreError) {
    let opening = FileOpening(
      name: path.string, path: FileOpening.absolute(path), policy: directIO, system: system)
    let opened = try opening.open(path, creating: creating, permissions: permissions)
    self.init(opened, of: opening, threads: threads)
  }

  package convenience init(
    duplicating descriptor: FileDescriptor, directIO: DirectIOPolicy, threads: IOThreads, system: FileSystemCalls
  ) throws(StoreError) {
    let name = FileOpening.name(of: descriptor.rawValue, system: system)
    let opening = FileOpening(name: name, path: nil, policy: directIO, system: system)
    self.init(
      CreatedFile(file: try opening.openDuplicate(of: descriptor.rawValue)), of: opening, threads: threads)
  }

  private init(_ opened: consuming CreatedFile, of opening: FileOpening, threads: IOThreads) {
    name = opening.name
    path = opening.path
    policy = opening.policy
    system = opening.system
    self.threads = threads
    identity = LocalFileStore.identity(of: opened.file.status)
    alignment = opened.file.alignment
    isShared = opened.file.isShared
    created = opened.file.status.created
    wasCreated = opened.writing != nil
    primary = SharedDescriptor(opened.file.descriptor.take())
    writing = SharedDescriptor(opened.writing?.take() ?? -1)
  }

  deinit { close() }

  /// Which way the file is read now. Goes from direct to buffered, and from one way of dropping behind to the other, at
  /// most once: when the file system turns out to refuse.
  /// - Cost: two loads.
  public var mode: ReadMode {
    if readsDirectly { return .direct }
    return .buffered(dropsBehind: refusedReadFlag.isSet ? .byAdvice : .byReadFlag)
  }

  var readsDirectly: Bool { alignment != nil && !refusedDirect.isSet }

  /// Size, time of last modification and storage as they are now.
  ///
  /// Whether the path leads to another file is looked at only when the store was opened by one and is prepared for
  /// writing: to a reader it makes no difference, and it costs a walk along the path.
  /// - Throws: `StoreError` of the operation `status`; `.system(.badFileDescriptor)` after `close()`.
  /// - Cost: one system call; a second one, by the path, once the store is prepared for writing.
  public func status() throws(StoreError) -> StoreStatus {
    switch system.status(primary.value) {
    case .success(let status) where status.size >= 0:
      return StoreStatus(
        size: status.size, changeStamp: status.modified, allocatedBytes: status.allocated,
        isReplaced: writing.value >= 0 && isReplaced(status), creationStamp: status.created)
    case .success:
      throw StoreError(operation: .status, store: name, cause: .system(.overflow))
    case .failure(let errno):
      throw StoreError(operation: .status, store: name, cause: .of(errno))
    }
  }

  /// Size and time of last modification as they are now.
  /// - Throws: as `status()`.
  /// - Cost: one system call.
  public func version() throws(StoreError) -> StoreVersion {
    var answer = pagecache_file_version()
    if let errno = system.version(primary.value, &answer) {
      throw StoreError(operation: .status, store: name, cause: .of(errno))
    }
    guard answer.size >= 0 else { throw StoreError(operation: .status, store: name, cause: .system(.overflow)) }
    return StoreVersion(
      size: answer.size,
      changeStamp: .init(seconds: answer.modified_seconds, nanoseconds: answer.modified_nanoseconds))
  }

  private func isReplaced(_ status: FileStatus) -> Bool {
    guard let path else { return false }
    switch system.pathStatus(path) {
    case .success(let found): return !found.isSameFile(as: status)
    case .failure(.noSuchFileOrDirectory), .failure(.notDirectory): return true
    // The way there is closed to this process by now. Where it leads is not known.
    case .failure: return false
    }
  }

  /// Gives up the claim and closes the descriptors. Idempotent. A read that follows fails with
  /// `.system(.badFileDescriptor)`.
  ///
  /// Closing any descriptor of a file would drop the POSIX locks (fcntl with `F_SETLK`) that the process holds on it by
  /// whichever descriptor. While there are any, the descriptors stay open; the next store that is closed looks again,
  /// and the next that is opened for the file takes them over.
  ///
  /// After a flush that failed, and a write that the device refused, the kernel is made to write the file back once
  /// more and to drop what it has of it, so that the file reads the same through its cache and past it
  /// (`LocalFileStore+Losses`).
  /// - Cost: up to five system calls, more where the file is locked by others or such descriptors were left before; two
  ///   locks. A flush, where the last one had failed.
  public func close() {
    let reading = primary.value
    if reading >= 0 {
      UnflushedNames.shared.forgetIfNameless(identity, by: reading, system: system)
      dropLosses()
    }
    let descriptors = changingDescriptors.withLock {
      releaseClaim()
      let readFlags = alignment == nil ? O_RDONLY : O_RDONLY | pagecache_open_direct
      return [
        ParkedDescriptors.Descriptor(rawValue: primary.take(), flags: isShared ? nil : readFlags),
        ParkedDescriptors.Descriptor(rawValue: secondary.take(), flags: O_RDONLY),
        ParkedDescriptors.Descriptor(rawValue: writing.take(), flags: O_RDWR),
      ]
    }.filter { $0.rawValue >= 0 }
    guard !descriptors.isEmpty else { return }
    ParkedDescriptors.shared.close(descriptors, of: identity, system: system)
  }
}
