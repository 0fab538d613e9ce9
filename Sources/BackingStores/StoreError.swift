public import SystemPackage

/// Why a store refused.
public struct StoreError: Error, Sendable, Equatable {
  /// What was asked of the store.
  public var operation: Operation
  /// The store's name: a path, a URL.
  public var store: String
  /// The bytes concerned, where the operation has any.
  public var range: Range<Int64>?
  public var cause: Cause

  public enum Operation: String, Sendable {
    case open, status, read, close
  }

  public enum Cause: Sendable, Equatable {
    /// The system said no.
    case system(Errno)
    /// It exists, but is no regular file.
    case notRegularFile(FileKind)
    /// The store delivered fewer bytes than its size promises.
    case shrank(expected: Int64, actual: Int64)
    /// The system has no thread, descriptor or memory for it.
    case exhausted(String)
    /// Anything a store of another make has to say.
    case other(String)
  }

  /// What a path can lead to besides a regular file.
  public enum FileKind: String, Sendable {
    case directory, fifo, socket, symbolicLink = "symbolic link"
    case characterDevice = "character device"
    case blockDevice = "block device"
    case unknown = "file of an unknown kind"
  }

  public init(operation: Operation, store: String, range: Range<Int64>? = nil, cause: Cause) {
    self.operation = operation
    self.store = store
    self.range = range
    self.cause = cause
  }
}

extension StoreError: CustomStringConvertible {
  public var description: String {
    let place = range.map { " bytes \($0.lowerBound)..<\($0.upperBound)" } ?? ""
    return "\(operation.rawValue) \(store)\(place): \(cause)"
  }
}

extension StoreError.Cause: CustomStringConvertible {
  public var description: String {
    switch self {
    case .system(let errno): errno.description
    case .notRegularFile(let kind): "it is a \(kind.rawValue), not a regular file"
    case .shrank(let expected, let actual): "the store ends after \(actual) bytes where \(expected) were expected"
    case .exhausted(let what): "the system has no more \(what)"
    case .other(let text): text
    }
  }
}
