import CPrimitives
import Glibc
package import SystemPackage

/// The system calls of a local file store, exchangeable so that tests can have the file systems and kernels that are
/// not at hand: one that accepts `O_DIRECT` and refuses to read by it, one without `RWF_DONTCACHE`, one without
/// `/proc`.
@safe
package struct FileSystemCalls: Sendable {
  /// preadv2. Returns the count or the negative error number; retries interruptions.
  package var read:
    @Sendable (
      _ descriptor: Int32, _ vectors: UnsafePointer<iovec>, _ count: Int32, _ offset: Int64, _ flags: Int32
    ) -> Int
  /// posix_fadvise with `POSIX_FADV_DONTNEED`.
  package var dropFromKernelCache: @Sendable (_ descriptor: Int32, _ offset: Int64, _ count: Int) -> Void
  /// statx.
  package var status: @Sendable (_ descriptor: Int32) -> Result<FileStatus, Errno>
  /// open, of what is known to exist. Returns a descriptor or an error; retries interruptions.
  package var open: @Sendable (_ path: FilePath, _ flags: Int32) -> Result<Int32, Errno>
  /// Where a descriptor can be opened again by its number. By thread first: in a program whose main thread has exited
  /// (dispatchMain) the `/proc/self` directory of the dead thread lists no descriptors.
  package var descriptorDirectories: [FilePath]

  /// Linux as it is.
  package static let linux = unsafe FileSystemCalls(
    read: { unsafe pagecache_preadv2($0, $1, $2, $3, $4) },
    dropFromKernelCache: { posix_fadvise($0, off_t($1), off_t($2), POSIX_FADV_DONTNEED) },
    status: { descriptor in
      var answer = pagecache_file_status()
      let error = unsafe pagecache_file_status(descriptor, &answer)
      return error == 0 ? .success(FileStatus(answer)) : .failure(Errno(rawValue: error))
    },
    open: { path, flags in
      while true {
        let descriptor = unsafe path.withPlatformString { unsafe Glibc.open($0, flags) }
        if descriptor >= 0 { return .success(descriptor) }
        if errno != EINTR { return .failure(Errno(rawValue: errno)) }
      }
    },
    descriptorDirectories: ["/proc/thread-self/fd", "/proc/self/fd"])
}

/// What the system says of an open descriptor.
package struct FileStatus: Sendable {
  package var device: UInt64
  package var inode: UInt64
  /// Bytes.
  package var size: Int64
  /// Nil for a regular file.
  package var kind: StoreError.FileKind?
  package var direct: DirectSupport
  package var changed: StoreStatus.ChangeStamp

  /// What the file system says about `O_DIRECT`.
  package enum DirectSupport: Sendable, Equatable {
    /// Nothing: trying is the only way to know (before Linux 6.1, and on file systems that do not report it).
    case unknown
    case impossible
    /// Bytes of which addresses, and of which offsets and lengths, must be multiples.
    case aligned(memory: Int, offset: Int)
  }

  package func isSameFile(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }

  fileprivate init(_ answer: pagecache_file_status) {
    device = answer.device
    inode = answer.inode
    size = answer.size
    changed = .init(seconds: answer.changed_seconds, nanoseconds: answer.changed_nanoseconds)
    let (memory, offset) = (Int(answer.direct_memory_alignment), Int(answer.direct_offset_alignment))
    direct =
      answer.direct_alignment_known == 0
      ? .unknown : memory == 0 || offset == 0 ? .impossible : .aligned(memory: memory, offset: offset)
    kind =
      switch answer.mode & S_IFMT {
      case S_IFREG: nil
      case S_IFDIR: .directory
      case S_IFIFO: .fifo
      case S_IFSOCK: .socket
      case S_IFLNK: .symbolicLink
      case S_IFCHR: .characterDevice
      case S_IFBLK: .blockDevice
      default: .unknown
      }
  }
}

/// A descriptor that is closed when nobody took it over: every way out of an opening that fails closes what it had.
struct OwnedDescriptor: ~Copyable {
  let rawValue: Int32

  init(_ rawValue: Int32) { self.rawValue = rawValue }

  deinit { Glibc.close(rawValue) }

  /// Hands the descriptor over: the caller closes it.
  consuming func take() -> Int32 {
    let descriptor = rawValue
    discard self
    return descriptor
  }
}
