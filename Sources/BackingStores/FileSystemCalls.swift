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
  /// posix_fadvise with `POSIX_FADV_DONTNEED`: drops pages that are clean. A count of 0 means up to the end.
  package var dropFromKernelCache: @Sendable (_ descriptor: Int32, _ offset: Int64, _ count: Int) -> Void
  /// statx.
  package var status: @Sendable (_ descriptor: Int32) -> Result<FileStatus, Errno>
  /// fstat: size and time of modification.
  package var version: @Sendable (_ descriptor: Int32, _ answer: inout pagecache_file_version) -> Errno?
  /// statx of a path.
  package var pathStatus: @Sendable (_ path: FilePath) -> Result<FileStatus, Errno>
  /// open, of what is known to exist. Returns a descriptor or an error; retries interruptions.
  package var open: @Sendable (_ path: FilePath, _ flags: Int32) -> Result<Int32, Errno>
  /// open of what does not exist (`O_CREAT` and `O_EXCL`), for reading and writing. Retries interruptions.
  package var create: @Sendable (_ path: FilePath, _ permissions: FilePermissions) -> Result<Int32, Errno>
  /// openat of an entry of a directory, as a name only (`O_PATH`): no symbolic link is followed, and closing the
  /// descriptor drops no lock.
  package var openEntry: @Sendable (_ directory: Int32, _ name: FilePath) -> Result<Int32, Errno>
  /// fstat: how many names the file has. Nil where that is not known.
  package var linkCount: @Sendable (_ descriptor: Int32) -> Int?
  /// Where a descriptor can be opened again by its number. By thread first: in a program whose main thread has exited
  /// (dispatchMain) the `/proc/self` directory of the dead thread lists no descriptors.
  package var descriptorDirectories: [FilePath]

  /// pwrite or pwritev. Returns the count or the negative error number; retries interruptions.
  package var write:
    @Sendable (_ descriptor: Int32, _ vectors: UnsafePointer<iovec>, _ count: Int32, _ offset: Int64) -> Int
  /// fdatasync or fsync, also of a directory.
  package var flush: @Sendable (_ descriptor: Int32, _ dataOnly: Bool) -> Errno?
  /// syncfs.
  package var flushFileSystem: @Sendable (_ descriptor: Int32) -> Errno?
  /// ftruncate.
  package var resize: @Sendable (_ descriptor: Int32, _ size: Int64) -> Errno?
  /// fallocate.
  package var allocate: @Sendable (_ descriptor: Int32, _ mode: Int32, _ offset: Int64, _ count: Int64) -> Errno?
  /// The ioctl FICLONERANGE.
  package var clone: @Sendable (_ source: Int32, _ range: Range<Int64>, _ destination: Int32, _ offset: Int64) -> Errno?
  /// The ioctl FIDEDUPERANGE. Returns the bytes shared, the negative error number, or `PAGECACHE_DEDUPE_DIFFERS`.
  package var dedupe: @Sendable (_ source: Int32, _ range: Range<Int64>, _ destination: Int32, _ offset: Int64) -> Int64
  /// lseek to the next hole or to the next data. Returns where that begins, or the negative error number.
  package var seek: @Sendable (_ descriptor: Int32, _ offset: Int64, _ toHole: Bool) -> Int64
  /// lseek to an offset from the start: whether the file system has files that reach so far. Moves the descriptor's
  /// offset.
  package var reaches: @Sendable (_ descriptor: Int32, _ offset: Int64) -> Bool
  /// sync_file_range and posix_fadvise.
  package var dropBehind: @Sendable (_ descriptor: Int32, _ range: Range<Int64>) -> Void
  /// F_OFD_SETLK of the whole file.
  package var lock: @Sendable (_ descriptor: Int32, _ type: Int32) -> Errno?
  /// F_OFD_GETLK of the whole file: 0 for no conflict, the process of a POSIX lock, -1 for any other.
  package var conflictingLock: @Sendable (_ descriptor: Int32, _ type: Int32) -> Result<Int32, Errno>

  /// Linux as it is.
  package static let linux = unsafe FileSystemCalls(
    read: { unsafe pagecache_preadv2($0, $1, $2, $3, $4) },
    dropFromKernelCache: { posix_fadvise($0, off_t($1), off_t($2), POSIX_FADV_DONTNEED) },
    status: { descriptor in
      var answer = pagecache_file_status()
      let error = unsafe pagecache_file_status(descriptor, &answer)
      return error == 0 ? .success(FileStatus(answer)) : .failure(Errno(rawValue: error))
    },
    version: { failure(unsafe pagecache_file_version($0, &$1)) },
    pathStatus: { path in
      var answer = pagecache_file_status()
      let error = unsafe path.withPlatformString { unsafe pagecache_path_status($0, &answer) }
      return error == 0 ? .success(FileStatus(answer)) : .failure(Errno(rawValue: error))
    },
    open: { path, flags in
      while true {
        let descriptor = unsafe path.withPlatformString { unsafe Glibc.open($0, flags) }
        if descriptor >= 0 { return .success(descriptor) }
        if errno != EINTR { return .failure(Errno(rawValue: errno)) }
      }
    },
    create: { path, permissions in
      while true {
        let descriptor = unsafe path.withPlatformString {
          unsafe Glibc.open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, permissions.rawValue)
        }
        if descriptor >= 0 { return .success(descriptor) }
        if errno != EINTR { return .failure(Errno(rawValue: errno)) }
      }
    },
    openEntry: { directory, name in
      while true {
        let descriptor = unsafe name.withPlatformString {
          unsafe openat(directory, $0, pagecache_open_path_only | O_NOFOLLOW | O_CLOEXEC)
        }
        if descriptor >= 0 { return .success(descriptor) }
        if errno != EINTR { return .failure(Errno(rawValue: errno)) }
      }
    },
    linkCount: { descriptor in
      var status = stat()
      return unsafe fstat(descriptor, &status) == 0 ? Int(status.st_nlink) : nil
    },
    descriptorDirectories: ["/proc/thread-self/fd", "/proc/self/fd"],
    write: { unsafe pagecache_pwritev($0, $1, $2, $3) },
    flush: { failure(pagecache_sync($0, $1 ? 1 : 0)) },
    flushFileSystem: { failure(pagecache_sync_file_system($0)) },
    resize: { failure(pagecache_truncate($0, $1)) },
    allocate: { failure(pagecache_fallocate($0, $1, $2, $3)) },
    clone: { failure(pagecache_clone_range($0, $1.lowerBound, Int64($1.count), $2, $3)) },
    dedupe: { pagecache_dedupe_range($0, $1.lowerBound, Int64($1.count), $2, $3) },
    seek: { pagecache_seek($0, $1, $2 ? 1 : 0) },
    reaches: { lseek($0, off_t($1), SEEK_SET) >= 0 },
    dropBehind: { pagecache_drop_behind($0, $1.lowerBound, Int64($1.count)) },
    lock: { failure(pagecache_set_description_lock($0, $1)) },
    conflictingLock: { descriptor, type in
      var holder: pid_t = 0
      let error = unsafe pagecache_conflicting_lock(descriptor, type, &holder)
      return error == 0 ? .success(holder) : .failure(Errno(rawValue: error))
    })

  private static func failure(_ error: Int32) -> Errno? { error == 0 ? nil : Errno(rawValue: error) }
}
