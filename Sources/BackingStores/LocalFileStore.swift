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
/// Nothing is locked: other programs may write to the file meanwhile, and a read during a write can give some of the
/// old bytes and some of the new.
public final class LocalFileStore: BackingStore {
  /// The path as it was given, or the one that the descriptor was opened by.
  public let name: String

  /// The device's number as the realm, the inode's as the object. No other file can have both while this one is open.
  public let identity: StoreIdentity

  let path: FilePath?
  let policy: DirectIOPolicy
  let system: FileSystemCalls
  let threads: IOThreads
  /// What the primary descriptor's reads must be multiples of. Nil if it reads buffered.
  let alignment: DirectAlignment?

  // Two descriptors rather than one that changes: a thread may be reading by the first while another finds that it does
  // not work.
  /// Opened first. -1 when closed.
  let primary: SharedDescriptor
  /// Buffered, beside a direct primary that refused a read. -1 until it is needed.
  let secondary = SharedDescriptor()
  /// The file system accepted `O_DIRECT` and refused to read by it. Never goes back.
  let refusedDirect = SharedFlag()
  /// The kernel does not know `RWF_DONTCACHE` here. Never goes back.
  let refusedReadFlag = SharedFlag()
  /// Held while descriptors are opened late or closed, never during a read.
  let changingDescriptors = Monitor()

  /// Opens the file at a path. Symbolic links are followed.
  /// - Parameters:
  ///   - path: Relative paths start at the working directory.
  ///   - directIO: Whether to go past the kernel's page cache.
  ///   - threads: Who does reads that must not hold up their caller.
  /// - Throws: `StoreError` of the operation `open`: `.system` with the error of the system (`noSuchFileOrDirectory`,
  ///   `permissionDenied`, ...), `.notRegularFile`, `.exhausted`, or `.other` where `required` direct reads are not to
  ///   be had.
  /// - Cost: four system calls, six where reads turn out to be buffered; a few allocations.
  public convenience init(
    path: FilePath, directIO: DirectIOPolicy = .automatic, threads: IOThreads
  ) throws(StoreError) {
    try self.init(path: path, directIO: directIO, threads: threads, system: .linux)
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
    path: FilePath, directIO: DirectIOPolicy, threads: IOThreads, system: FileSystemCalls
  ) throws(StoreError) {
    let opening = FileOpening(name: path.string, path: path, policy: directIO, system: system)
    self.init(try opening.openPath(path), of: opening, threads: threads)
  }

  package convenience init(
    duplicating descriptor: FileDescriptor, directIO: DirectIOPolicy, threads: IOThreads, system: FileSystemCalls
  ) throws(StoreError) {
    let name = FileOpening.name(of: descriptor.rawValue, system: system)
    let opening = FileOpening(name: name, path: nil, policy: directIO, system: system)
    self.init(try opening.openDuplicate(of: descriptor.rawValue), of: opening, threads: threads)
  }

  private init(_ file: consuming OpenedFile, of opening: FileOpening, threads: IOThreads) {
    name = opening.name
    path = opening.path
    policy = opening.policy
    system = opening.system
    self.threads = threads
    identity = LocalFileStore.identity(of: file.status)
    alignment = file.alignment
    primary = SharedDescriptor(file.descriptor.take())
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

  /// Size and change time as they are now.
  /// - Throws: `StoreError` of the operation `status`; `.system(.badFileDescriptor)` after `close()`.
  /// - Cost: one system call.
  public func status() throws(StoreError) -> StoreStatus {
    switch system.status(primary.value) {
    case .success(let status) where status.size >= 0:
      return StoreStatus(size: status.size, changeStamp: status.changed)
    case .success:
      throw StoreError(operation: .status, store: name, cause: .system(.overflow))
    case .failure(let errno):
      throw StoreError(operation: .status, store: name, cause: .of(errno))
    }
  }

  /// Closes the descriptors. Idempotent. A read that follows fails with `.system(.badFileDescriptor)`.
  /// - Cost: up to two system calls, one lock.
  public func close() {
    changingDescriptors.withLock {
      let descriptors = [
        primary.take(),
        secondary.take(),
      ]
      // Nothing was written by them: an error of close(2) has nothing to say.
      for descriptor in descriptors where descriptor >= 0 { Glibc.close(descriptor) }
    }
  }
}

/// Bytes of which addresses, and of which offsets and lengths, must be multiples.
struct DirectAlignment: Equatable {
  var memory: Int
  var offset: Int

  /// The smallest frame, of which every cache's requests are multiples.
  static let frame = DirectAlignment(memory: 4096, offset: 4096)

  /// Whether requests in whole frames keep it.
  var suitsFrames: Bool {
    Self.frame.memory.isMultiple(of: memory) && Self.frame.offset.isMultiple(of: offset)
  }

  func allows(_ request: StoreReadRequest) -> Bool {
    guard request.offset.isMultiple(of: Int64(offset)) else { return false }
    return unsafe request.segments.allSatisfy {
      UInt(bitPattern: $0.baseAddress).isMultiple(of: UInt(memory)) && $0.count.isMultiple(of: offset)
    }
  }
}

extension StoreError.Cause {
  /// The system's error, where it means that there is no more of something as that.
  static func of(_ errno: Errno) -> Self {
    switch errno {
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem: .exhausted("descriptors")
    case .noMemory: .exhausted("memory")
    default: .system(errno)
    }
  }
}
