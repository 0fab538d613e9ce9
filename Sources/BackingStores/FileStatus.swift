import CPrimitives
import Glibc

/// What the system says of an open descriptor.
package struct FileStatus: Sendable {
  package var device: UInt64
  package var inode: UInt64
  /// Bytes.
  package var size: Int64
  /// Bytes of storage.
  package var allocated: Int64
  /// Bytes: what storage comes in, or a multiple of it.
  package var blockSize: Int64
  /// Nil for a regular file.
  package var kind: StoreError.FileKind?
  package var direct: DirectSupport
  package var modified: StoreStatus.ChangeStamp
  /// Nil where the file system does not know.
  package var created: StoreStatus.ChangeStamp?

  /// What the file system says about `O_DIRECT`.
  package enum DirectSupport: Sendable, Equatable {
    /// Nothing: trying is the only way to know (before Linux 6.1, and on file systems that do not report it).
    case unknown
    case impossible
    /// Bytes of which addresses, and of which offsets and lengths, must be multiples.
    case aligned(memory: Int, offset: Int)
  }

  package func isSameFile(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }

  init(_ answer: pagecache_file_status) {
    device = answer.device
    inode = answer.inode
    size = answer.size
    allocated = answer.allocated
    blockSize = max(1, Int64(answer.block_size))
    modified = .init(seconds: answer.modified_seconds, nanoseconds: answer.modified_nanoseconds)
    created =
      answer.creation_known == 0
      ? nil : .init(seconds: answer.created_seconds, nanoseconds: answer.created_nanoseconds)
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
