import Glibc
import SystemPackage

/// What a process that will be killed has done: written by write(2), so it stays whatever happens to the process.
///
/// ```
///  byte 0   1        2..7   8..15
///  kind     file     zero   version
/// ```
struct CrashLog {
  enum Kind: UInt8 {
    /// A change begins.
    case begin = 1
    /// A change has returned.
    case end
    /// A sync of a file begins.
    case syncBegin
    /// A sync of a file has returned.
    case syncEnd
    /// A call was refused; nothing follows.
    case refused
  }

  static let entryBytes = 16

  private let descriptor: Int32

  /// Opens it for appending.
  init(_ path: FilePath) throws {
    descriptor = unsafe path.withPlatformString {
      unsafe open($0, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    }
    guard descriptor >= 0 else { throw ExerciseError("open \(path)", errno: errno) }
  }

  func add(_ kind: Kind, file: Int = 0, version: UInt64) throws {
    var entry = (UInt64(kind.rawValue) | UInt64(file) << 8, version)
    guard unsafe write(descriptor, &entry, CrashLog.entryBytes) == CrashLog.entryBytes else {
      throw ExerciseError("write of the log", errno: errno)
    }
  }
}

/// What a log says in the end.
package struct CrashAccount: Sendable, Equatable {
  /// The last change that had begun.
  package var begun: UInt64 = 0
  /// The last change that had returned.
  package var ended: UInt64 = 0
  /// For each file, the last change that had returned when its last finished sync began.
  package var synced: [UInt64]
  package var syncs = 0
  /// Whether a call was refused.
  package var isRefused = false

  init(files: Int) { synced = Array(repeating: 0, count: files) }

  /// - Parameter bytes: of a log. An entry that is not whole does not count.
  package init(_ bytes: [UInt8], files: Int) {
    self.init(files: files)
    var syncing = synced
    for start in stride(from: 0, to: bytes.count / CrashLog.entryBytes * CrashLog.entryBytes, by: CrashLog.entryBytes) {
      var version: UInt64 = 0
      for place in (8..<16).reversed() { version = version << 8 | UInt64(bytes[start + place]) }
      let file = Int(bytes[start + 1])
      guard file < files else { continue }
      switch CrashLog.Kind(rawValue: bytes[start]) {
      case .begin: begun = version
      case .end: ended = version
      case .syncBegin: syncing[file] = ended
      case .syncEnd:
        synced[file] = syncing[file]
        syncs += 1
      case .refused: isRefused = true
      case nil: break
      }
    }
  }
}
