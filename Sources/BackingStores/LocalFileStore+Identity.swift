import CPrimitives
import Glibc
public import SystemPackage

extension LocalFileStore {
  /// The identity that a store for this path would have, without opening the file for reading; the caller must be
  /// allowed to.
  ///
  /// So a cache that has the file open already needs no second descriptor of it. (Closing one would drop the process's
  /// POSIX locks on the file; closing a descriptor that merely names the file does not.)
  /// - Throws: `StoreError` with cause `.system` for no such file or no permission, `.exhausted` for no more
  ///   descriptors.
  /// - Cost: faccessat(2), open(2), statx(2), close(2).
  public static func identity(of path: FilePath) throws(StoreError) -> StoreIdentity {
    let system = FileSystemCalls.linux
    func refuse(_ errno: Errno) -> StoreError {
      StoreError(operation: .open, store: path.string, cause: .of(errno))
    }
    if let errno = FileOpening.refusal(of: path, access: R_OK) { throw refuse(errno) }
    switch system.open(path, pagecache_open_path_only | O_CLOEXEC) {
    case .failure(let errno): throw refuse(errno)
    case .success(let rawDescriptor):
      let descriptor = OwnedDescriptor(rawDescriptor)
      switch system.status(descriptor.rawValue) {
      case .failure(let errno): throw refuse(errno)
      case .success(let status): return identity(of: status)
      }
    }
  }

  /// The identity that a store for this descriptor's file would have; nil if the descriptor is not open for reading, so
  /// that somebody who may not read the file does not share what others have cached of it.
  /// - Throws: `StoreError` with cause `.system`: not a descriptor.
  /// - Cost: fcntl(2), statx(2).
  public static func identity(of descriptor: FileDescriptor) throws(StoreError) -> StoreIdentity? {
    let flags = fcntl(descriptor.rawValue, F_GETFL)
    guard flags >= 0 else {
      throw StoreError(operation: .open, store: "descriptor \(descriptor.rawValue)", cause: .system(.badFileDescriptor))
    }
    guard flags & O_ACCMODE != O_WRONLY, flags & pagecache_open_path_only == 0 else { return nil }
    switch FileSystemCalls.linux.status(descriptor.rawValue) {
    case .failure(let errno):
      throw StoreError(operation: .open, store: "descriptor \(descriptor.rawValue)", cause: .of(errno))
    case .success(let status): return identity(of: status)
    }
  }

  static func identity(of status: FileStatus) -> StoreIdentity {
    StoreIdentity(realm: "device \(status.device)", object: "inode \(status.inode)")
  }
}
