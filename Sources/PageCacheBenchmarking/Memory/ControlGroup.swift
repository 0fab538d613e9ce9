import Glibc
import SystemPackage

/// A control group of its own for one process, to hold it and what the kernel caches for it to so much memory. cgroup v1 and v2.
///
/// The kernel charges a page of its cache to the group that brought it in: so a process in a fresh group is held with its page cache.
package struct ControlGroup: Sendable, Equatable {
  /// Which files of a group say what.
  package enum Version: Sendable, Equatable { case v1, v2 }

  package let version: Version
  package let path: String

  package init(version: Version, path: String) {
    self.version = version
    self.path = path
  }

  /// Where groups with a memory controller can be made.
  /// - Parameters:
  ///   - mounts: the text of /proc/self/mounts.
  ///   - controllers: the controllers of a hierarchy of v2 that is mounted somewhere.
  package static func hierarchy(mounts: String, controllers: (_ directory: String) -> String?) -> ControlGroup? {
    var second: ControlGroup?
    for line in mounts.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 4 else { continue }
      let (directory, options) = (String(words[1]), words[3].split(separator: ","))
      if words[2] == "cgroup", options.contains("memory") { return ControlGroup(version: .v1, path: directory) }
      if words[2] == "cgroup2", let names = controllers(directory),
        names.split(whereSeparator: \.isWhitespace).contains("memory")
      {
        second = second ?? ControlGroup(version: .v2, path: directory)
      }
    }
    return second
  }

  /// Makes a group. Nil, with a reason, where that cannot be done: without the right to, or without the controller.
  package static func make(_ name: String) -> (group: ControlGroup?, problem: String) {
    let found = hierarchy(mounts: readWholeFile("/proc/self/mounts") ?? "") {
      readWholeFile("\($0)/cgroup.controllers")
    }
    guard let found else { return (nil, "no control groups with a memory controller are mounted") }
    if found.version == .v2 { try? found.write("+memory", to: "cgroup.subtree_control") }
    let group = ControlGroup(version: found.version, path: "\(found.path)/\(name)")
    guard unsafe mkdir(group.path, 0o755) == 0 || errno == EEXIST else {
      return (nil, "cannot make the control group \(group.path): \(Errno(rawValue: errno))")
    }
    return (group, "")
  }

  package func remove() { unsafe rmdir(path) }

  /// Puts this process into it. What it has already stays with the group it was in.
  func enter() throws { try write("\(getpid())", to: "cgroup.procs") }

  /// Bytes charged to the group: of processes, of the kernel's cache, and of the kernel's own for both.
  func usage() throws -> Int {
    let file = "\(path)/\(usageFile)"
    guard let text = readWholeFile(file), let bytes = Int(text.prefix { $0 != "\n" }) else {
      throw BenchmarkError("cannot read \(file)")
    }
    return bytes
  }

  /// Holds the group to so many bytes, and keeps it from going around that by swapping.
  func hold(to bytes: Int) throws {
    switch version {
    case .v1: try? write("0", to: "memory.swappiness")
    case .v2: try? write("0", to: "memory.swap.max")
    }
    try write("\(bytes)", to: limitFile)
  }

  package var limitFile: String { version == .v1 ? "memory.limit_in_bytes" : "memory.max" }
  package var usageFile: String { version == .v1 ? "memory.usage_in_bytes" : "memory.current" }

  private func write(_ text: String, to file: String) throws {
    let name = "\(path)/\(file)"
    let descriptor = unsafe open(name, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw BenchmarkError("cannot open \(name): \(Errno(rawValue: errno))") }
    defer { close(descriptor) }
    guard unsafe Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count else {
      throw BenchmarkError("cannot write \(text) to \(name): \(Errno(rawValue: errno))")
    }
  }
}
