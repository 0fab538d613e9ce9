/// Whether a local file is read past the kernel's page cache.
public enum DirectIOPolicy: String, Sendable, Hashable, CaseIterable {
  /// Directly where the file system can do it in units of 4096 bytes or less, buffered elsewhere.
  case automatic
  /// Buffered always. The kernel is told not to keep what was read.
  case never
  /// Directly, or not at all: opening and reading fail where the file system refuses.
  case required
}

/// Which way a local file is read.
public enum ReadMode: Sendable, Hashable, CustomStringConvertible {
  /// By `O_DIRECT`: from the device into the frames.
  case direct
  /// Through the kernel's page cache.
  case buffered(dropsBehind: DropBehind)

  /// How buffered reads avoid leaving a second copy in the kernel's page cache.
  public enum DropBehind: String, Sendable, Hashable {
    /// The kernel drops the pages it brought in as it copies them out (`RWF_DONTCACHE`, Linux 6.14).
    case byReadFlag = "read flag"
    /// Advice after every read (`POSIX_FADV_DONTNEED`): a system call more, and it drops pages that other programs
    /// cached, too.
    case byAdvice = "advice"
  }

  public var description: String {
    switch self {
    case .direct: "direct"
    case .buffered(let way): "buffered, dropped behind by \(way.rawValue)"
    }
  }
}
