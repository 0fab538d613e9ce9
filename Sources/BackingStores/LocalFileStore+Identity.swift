import CPrimitives
import Glibc
public import SystemPackage

extension LocalFileStore {
  /// The identity that a store for this path would have, without opening the file for reading.
  ///
  /// So a cache that has the file open already needs no second descriptor of it. (Closing one would drop the process's POSIX locks on the
  /// file; closing a descriptor that merely names the file does not.)
  /// - Throws: `StoreError` with cause `.system` for no such file or no permission, `.exhausted` for no more descriptors.
  /// - Cost: open(2), statx(2), close(2).
  public static func identity(of path: FilePath) throws(StoreError) -> StoreIdentity {
    let system = FileSystemCalls.linux
    func refuse(_ errno: Errno) -> StoreError {
      StoreError(operation: .open, store: path.string, cause: .of(errno))
    }
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

  static func identity(of status: FileStatus) -> StoreIdentity {
    StoreIdentity(realm: "device \(status.device)", object: "inode \(status.inode)")
  }
}
