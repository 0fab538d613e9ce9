import Glibc
import SystemPackage
import Testing

/// A file system of a test's own, in an image that is mounted while the test holds it. Needs root, and its tools.
final class Volume: Sendable {
  enum Kind: String, Sendable, CaseIterable, CustomTestStringConvertible {
    /// Shares storage between files.
    case xfs
    case ext4

    var testDescription: String { rawValue }
    /// Whether the machine can do it. Found out by doing it.
    var isAvailable: Bool { Self.available.contains(self) }
    static let available: [Kind] = allCases.filter { kind in
      guard geteuid() == 0, let volume = try? Volume(kind), let directory = try? TemporaryDirectory(in: volume.path)
      else {
        return false
      }
      return (try? directory.makeFile(size: 1)) != nil
    }
  }

  let path: String
  private let directory: TemporaryDirectory

  /// - Parameter megabytes: As small as the file system can be by default.
  init(_ kind: Kind, megabytes: Int? = nil) throws {
    directory = try TemporaryDirectory()
    path = directory.path.appending("mounted").string
    let image = directory.path.appending("image").string
    let size = megabytes ?? (kind == .xfs ? 300 : 16)
    // Blocks of 4096 bytes, as XFS has by default and an ext4 of this size has not.
    let options = kind == .xfs ? "-f" : "-F -b 4096"
    try #require(
      run(
        "truncate -s \(size)M \(image) && mkfs.\(kind) -q \(options) \(image) && mkdir \(path) && mount -o loop \(image) \(path)"
      ), "no \(kind)")
  }

  deinit { _ = run("umount \(path) || umount -l \(path)") }
}

/// Runs a command of the shell. Its output is nobody's.
func run(_ command: String) -> Bool { unsafe system("{ \(command); } >/dev/null 2>&1") == 0 }
