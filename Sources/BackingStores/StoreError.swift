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
    case open, status, read, write, flush, resize, allocate, clone, dedupe, unshare, claim, rename, close
    case punchHole = "punch hole"
    case zeroRange = "zero range"
    case collapseRange = "collapse range"
    case insertRange = "insert range"
    case extent = "look up extent"
  }

  public enum Cause: Sendable, Equatable {
    /// The system said no.
    case system(Errno)
    /// It exists, but is no regular file.
    case notRegularFile(FileKind)
    /// The store delivered fewer bytes than its size promises.
    case shrank(expected: Int64, actual: Int64)
    /// The store cannot do it.
    case unsupported
    /// A cache of another process, or another cache of this one, has claimed the object. Its process where the store
    /// can tell.
    case claimed(byProcess: Int32?)
    /// Somebody else has changed the object while it was claimed here: the size that was expected and the one that was
    /// found. Equal sizes mean that its bytes were modified.
    case changedByOthers(expectedSize: Int64, actualSize: Int64)
    /// The name by which the object was opened leads to another one by now, or to none: what is written goes to the old
    /// one.
    case replaced
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
    case .unsupported: "the store cannot do it"
    case .claimed(.none): "somebody else has it open in a way that excludes this"
    case .claimed(.some(let process)): "process \(process) has it open in a way that excludes this"
    case .changedByOthers(let expected, let actual) where expected == actual: "somebody else has modified it"
    case .changedByOthers(let expected, let actual):
      "somebody else has changed it: \(actual) bytes where \(expected) were expected"
    case .replaced: "its name leads to another object by now, or to none"
    case .exhausted(let what): "the system has no more \(what)"
    case .other(let text): text
    }
  }
}
