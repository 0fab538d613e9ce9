@_exported public import BackingStores
public import SystemPackage

/// Why the cache refused. Every error names the operation, the file, the bytes and the cause; whatever is thrown, the cache stays usable.
public struct CacheError: Error, Sendable {
  /// What was asked of the cache.
  public var operation: Operation { details.operation }
  /// The file's path, or what its store calls itself. Empty where no file is concerned.
  public var file: String { details.file }
  /// The bytes concerned, where the operation has any.
  public var range: Range<Int64>? { details.range }
  public var cause: Cause { details.cause }

  /// One pointer wide, so that functions that throw it can return it in a register: a hit does not pay for the error it does not throw.
  private let details: Details

  private final class Details: Sendable {
    let operation: Operation
    let file: String
    let range: Range<Int64>?
    let cause: Cause

    init(operation: Operation, file: String, range: Range<Int64>?, cause: Cause) {
      self.operation = operation
      self.file = file
      self.range = range
      self.cause = cause
    }
  }

  public enum Operation: String, Sendable {
    case create = "create cache"
    case setLimit = "set memory limit"
    case reserve = "reserve memory"
    case open, read, borrow, write, append, resize, allocate, clone, copy, exchange, dedupe, unshare, sync, flush,
      invalidate, advise, residency, statistics, close
    case punchHole = "punch hole"
    case zeroRange = "zero range"
    case collapseRange = "collapse range"
    case insertRange = "insert range"
    case seekData = "seek data"
    case seekHole = "seek hole"
    case holdBack = "hold back"
    case saveResidency = "save residency"
    case restoreResidency = "restore residency"
  }

  public enum Cause: Sendable {
    /// The store refused.
    case store(StoreError)
    /// More bytes than the cache allocates for one call: read them into memory of your own.
    case countTooLarge(Int, most: Int)
    /// The configuration cannot work, with all that is wrong in it.
    case configuration([Configuration.Problem])
    /// The system did not give the memory: system call, cause and bytes asked for.
    case memory(call: String, errno: Errno, byteCount: Int)
    /// The process has as many caches as it can.
    case tooManyCaches(limit: Int)
    /// The handle is closed.
    case closed
    /// A position before the start of the file.
    case negativeOffset(Int64)
    /// A count below zero.
    case negativeCount(Int)
    /// A range that ends past the largest offset a file can have.
    case rangeOverflow(offset: Int64, count: Int)
    /// Every frame of the pool that may be used for this is held, by readers, borrowers or other calls, or owed to a store: none can be given to this call.
    case noFrames(limit: Int)
    /// The limit could not be lowered so far, because frames are held by readers, borrowers or calls, or owed to stores: so many bytes with what describes
    /// them. It is as before.
    case limitNotReached(Int, held: Int)
    /// A reserve that, with the others, would be more than half of the memory, and the most that can still be set aside; or a negative one.
    case reserveTooLarge(Int, most: Int)
    /// The store says a size that no file can have.
    case impossibleSize(Int64)
    /// The handle was not opened for writing.
    case readOnly
    /// Options that contradict each other, or those with which another handle has opened the file: how.
    case options(String)
    /// A size that the store, or a cache, cannot have, and the largest that it can.
    case sizeTooLarge(Int64, most: Int64)
    /// A size below zero.
    case negativeSize(Int64)
    /// A range that is not in whole pages, of so many bytes.
    case unaligned(block: Int64)
    /// A range that begins before the start of the file.
    case badRange(Range<Int64>)
    /// A range that must lie within the file, or end or begin before its end, and does not: the size of the file concerned.
    case pastEnd(size: Int64)
    /// Two ranges of one file that overlap.
    case overlap
    /// Two files that are not of one cache.
    case differentCaches
    /// The store accepted this many bytes from the start of the range, and then refused: these are changed, those behind them are not.
    case partlyWritten(Int, StoreError)
    /// What the cache may keep for stores that do not safely have it is used up, and the store of this file refuses to take what is its.
    case dirtyLimit(limit: Int, StoreError)
    /// Attempts to write back or to flush the file have failed since this handle was last told, of which each is told once: the last ones, and how
    /// many came before those. What they were about is still in the cache, and is tried again. With cause `.changedByOthers` or `.replaced` nothing has
    /// failed: somebody else has changed the file, or put another in its place.
    case writeBackFailed([StoreError], before: Int)
    /// Bytes that are held back wait, by way of other files, for themselves; or for more than sixty files in a row.
    case orderingCycle
    /// The file that should say what was cached is none, is damaged, or is of a later version.
    case residencyFile(ResidencyFileProblem)
    /// This process was forked from the one that made the cache, and has not inherited its memory.
    case forkedChild
  }

  public typealias Configuration = PageCache.Configuration

  public init(operation: Operation, file: String, range: Range<Int64>? = nil, cause: Cause) {
    details = Details(operation: operation, file: file, range: range, cause: cause)
  }
}

extension CacheError {
  /// Whether the store has answered with less than was asked for, and more than nothing.
  var isShortAnswer: Bool {
    guard case .store(let error) = cause, case .shrank(_, let actual) = error.cause, let range = error.range else {
      return false
    }
    return actual > range.lowerBound
  }

  /// What a store has refused, or all there is to say as if one had.
  var refusal: StoreError {
    switch cause {
    case .store(let error), .partlyWritten(_, let error), .dirtyLimit(_, let error): error
    default: StoreError(operation: .write, store: file, range: range, cause: .other("\(cause)"))
    }
  }
}

extension CacheError: CustomStringConvertible {
  public var description: String {
    let place = range.map { " bytes \($0.lowerBound)..<\($0.upperBound)" } ?? ""
    let subject = file.isEmpty ? "" : " \(file)"
    return "\(operation.rawValue)\(subject)\(place): \(cause)"
  }
}

extension CacheError.Cause: CustomStringConvertible {
  public var description: String {
    switch self {
    case .store(let error): "the store refused: \(error.cause)"
    case .configuration(let problems): problems.map(\.description).joined(separator: "; ")
    case .memory(let call, let errno, let byteCount): "\(call) of \(byteCount) bytes: \(errno)"
    case .tooManyCaches(let limit): "the process has \(limit) caches already"
    case .closed: "the file is closed"
    case .negativeOffset(let offset): "offset \(offset) is before the start of the file"
    case .countTooLarge(let count, let most): "\(count) bytes are more than the \(most) that one call allocates"
    case .negativeCount(let count): "\(count) is no count of bytes"
    case .rangeOverflow(let offset, let count): "\(count) bytes from \(offset) end past the largest offset"
    case .limitNotReached(let wanted, let held):
      "the limit could not become \(wanted) bytes: \(held) are held by readers or borrowers, or owed to stores"
    case .reserveTooLarge(let given, let most): "\(given) bytes cannot be set aside: \(most) can"
    case .noFrames(let limit): "every frame within the limit of \(limit) bytes is held by readers or borrowers"
    case .impossibleSize(let size): "the store says its size is \(size) bytes"
    case .readOnly: "the file is not open for writing"
    case .options(let problem): problem
    case .sizeTooLarge(let size, let most): "a size of \(size) bytes is more than the \(most) that can be"
    case .negativeSize(let size): "\(size) bytes are no size"
    case .unaligned(let block): "the range is not in whole blocks of \(block) bytes"
    case .badRange(let range): "\(range.lowerBound)..<\(range.upperBound) is no range of bytes"
    case .pastEnd(let size): "the range does not end before the end of the file at \(size)"
    case .overlap: "the ranges overlap"
    case .differentCaches: "the files belong to different caches"
    case .partlyWritten(let count, let error): "the store took \(count) bytes and refused the rest: \(error.cause)"
    case .dirtyLimit(let limit, let error):
      "\(limit) bytes wait to be written back, and the store does not take them: \(error.cause)"
    case .writeBackFailed(let errors, let before):
      "writing back has failed: \(errors.map(\.description).joined(separator: "; "))"
        + (before > 0 ? "; and \(before) times before that" : "")
    case .orderingCycle: "bytes are held back until they themselves are durable"
    case .residencyFile(let problem): problem.description
    case .forkedChild: "the process was forked from the one that made the cache"
    }
  }
}
