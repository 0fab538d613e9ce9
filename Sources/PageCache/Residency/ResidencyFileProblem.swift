/// Why a file does not say what was cached. Nothing is restored by it then, and nothing is lost: what it describes is read when it is asked for.
public enum ResidencyFileProblem: Error, Sendable, Equatable, CustomStringConvertible {
  /// It begins with something else: it never was such a file.
  case notResidency
  /// It was written by a program that knew more.
  case version(UInt32, known: UInt32)
  /// It has another length than it says.
  case length(Int64, expected: Int64)
  /// Its bytes are not those that were written.
  case checksum(UInt32, expected: UInt32)
  /// It is what was written, and cannot be true: what, and where in the file.
  case impossible(String, at: Int)

  public var description: String {
    switch self {
    case .notResidency: "it is no residency file"
    case .version(let version, let known):
      "it is a residency file of version \(version), and \(known) is the latest that is known"
    case .length(let length, let expected): "the residency file has \(length) bytes, and says that it has \(expected)"
    case .checksum(let sum, let expected):
      "the residency file is damaged: its checksum is \(sum) where it says \(expected)"
    case .impossible(let what, let place): "the residency file says what cannot be, at byte \(place): \(what)"
    }
  }
}
