import Glibc

/// A file system of a test's own, in an image that is mounted while the test holds it. Needs root, and its tools.
package final class Volume: Sendable {
  package enum Kind: String, Sendable, CaseIterable, CustomStringConvertible {
    /// Shares storage between files.
    case xfs
    case ext4

    package var description: String { rawValue }
    /// Whether the machine can do it. Found out by doing it.
    package var isAvailable: Bool { Self.available.contains(self) }
    package static let available: [Kind] = allCases.filter { kind in
      guard geteuid() == 0, let volume = try? Volume(kind) else { return false }
      return run("touch \(volume.path)/file")
    }
  }

  /// There is no such file system here, or no room for it.
  package struct Unavailable: Error {
    package let kind: Kind
  }

  package let path: String
  private let directory: String

  /// - Parameter megabytes: As small as the file system can be by default.
  package init(_ kind: Kind, megabytes: Int? = nil) throws {
    var template = Array("/tmp/pagecache-volume-XXXXXX".utf8CString)
    let isMade = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil }
    guard isMade else { throw Unavailable(kind: kind) }
    directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    path = directory + "/mounted"
    let image = directory + "/image"
    let size = megabytes ?? (kind == .xfs ? 300 : 16)
    // Blocks of 4096 bytes, as XFS has by default and an ext4 of this size has not.
    let options = kind == .xfs ? "-f" : "-F -b 4096 -m 0"
    guard
      run(
        "truncate -s \(size)M \(image) && mkfs.\(kind) -q \(options) \(image) && mkdir \(path) && mount -o loop \(image) \(path)"
      )
    else {
      _ = run("rm -rf --one-file-system \(directory)")
      throw Unavailable(kind: kind)
    }
  }

  deinit { _ = run("{ umount \(path) || umount -l \(path); } && rm -rf --one-file-system \(directory)") }
}

/// Runs a command of the shell. Its output is nobody's.
private func run(_ command: String) -> Bool { unsafe system("{ \(command); } >/dev/null 2>&1") == 0 }
