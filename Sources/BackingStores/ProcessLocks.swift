import Glibc
internal import SystemPackage

/// POSIX locks (fcntl(2) with `F_SETLK`) that this process holds, by whichever descriptor and for whatever purpose.
enum ProcessLocks {
  /// Whether there are any on a descriptor's file. In doubt, yes.
  ///
  /// Expects that the caller's own open file descriptions hold no locks on it: they would hide others.
  static func areHeld(on descriptor: Int32, system: FileSystemCalls) -> Bool {
    switch system.conflictingLock(descriptor, Int32(F_WRLCK)) {
    case .success(0): return false
    case .success(getpid()): return true
    // Somebody else's. The kernel names only the first that is in the way, and ours may lie behind it.
    case .success, .failure: break
    }
    guard case .success(let status) = system.status(descriptor), let table = readTable() else { return true }
    // Not the device: the table has the file system's, where file systems with subvolumes tell statx(2) another one.
    return table.split(separator: UInt8(ascii: "\n")).contains { line in
      isLock(line, of: getpid(), onInode: status.inode)
    }
  }

  /// A line such as `1: POSIX  ADVISORY  WRITE 1234 fd:00:5678 0 EOF`. Somebody who waits for a lock has an arrow
  /// before the kind.
  static func isLock(_ line: ArraySlice<UInt8>, of process: Int32, onInode inode: UInt64) -> Bool {
    let fields = line.split(separator: UInt8(ascii: " "))
    guard fields.count >= 6, fields[1].elementsEqual("POSIX".utf8) else { return false }
    let file = fields[5].split(separator: UInt8(ascii: ":"))
    return fields[4].elementsEqual(String(process).utf8) && file.last?.elementsEqual(String(inode).utf8) == true
  }

  /// All of `/proc/locks`; nil where it cannot be read.
  private static func readTable() -> [UInt8]? {
    let opened = unsafe open("/proc/locks", O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    let descriptor = OwnedDescriptor(opened)
    var table: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    // Bounded by the locks that the kernel has.
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe read(descriptor.rawValue, $0.baseAddress!, $0.count)
      }
      if count > 0 {
        table += buffer[..<count]
      } else if count == 0 {
        return table
      } else if errno != EINTR {
        return nil
      }
    }
  }
}
