import Glibc
import SystemPackage

/// The kernel's files as arms of `bench atomicity`.
package enum KernelAtomicity {
  /// Makes a file in a directory. It has a name only until it is open: whatever ends the process, nothing stays on the disk.
  package static func file(in directory: String) throws -> KernelFile {
    let path = FilePath("\(directory)/pagecache-atomicity-\(getpid())")
    let file = try KernelFile(path)
    unsafe _ = path.withPlatformString { unsafe unlink($0) }
    return file
  }

  package static func entry(name: String, directory: String) throws -> AtomicityEntry {
    let file = try file(in: directory)
    return AtomicityEntry(name: name, arm: DirectArm(file)) { try file.sync(dataOnly: false) }
  }
}
