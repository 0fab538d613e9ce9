/// Where the bytes of a cached file come from: a local file, later an RBD image or an HTTP object.
///
/// A store moves bytes between frames and storage and answers for their identity and size. It knows nothing of what is cached. The cache
/// calls it from many threads at a time; it never calls it while it holds a lock or is inside a read section.
///
/// What a store says is checked: sizes, and counts against what was asked. That a count is honest cannot be checked: where a store says that it
/// has filled memory and has not, its readers see what was there before.
public protocol BackingStore: AnyObject, Sendable {
  /// What errors call the store: a path, a URL.
  var name: String { get }

  /// Equal for two stores exactly if they are the same object underneath; the cache then keeps one copy for both.
  var identity: StoreIdentity { get }

  /// Size and change stamp as they are now.
  /// - Throws: `StoreError` with the cause.
  /// - Cost: one system call for a local file, a round trip for a remote one.
  func status() throws(StoreError) -> StoreStatus

  /// Reads into the request's segments, and calls the completion exactly once with how many bytes were read from the start of the request
  /// (fewer than asked for only at the end of the object), or with the error that stopped it.
  ///
  /// With `.caller`, the store may do the work before it returns, on the calling thread; with `.background` it must not block.
  /// Either way the completion may run on any thread, also before this call returns. The segments' memory stays valid until then; after it, the
  /// store must not touch them. Completing is the last thing that a store does for a request: it may be closed right after. A second completion is
  /// ignored, and dropping the completion uncalled is an error of the store; but a store that keeps it and never calls it makes readers, and the
  /// closing of the file, wait for ever.
  ///
  /// A store must not read through the cache it serves: the outer read has reserved the frames that the inner one would wait for.
  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void)

  /// Releases descriptors and connections. No request is under way, and none follows.
  func close()
}

/// Names the object under a store.
public struct StoreIdentity: Hashable, Sendable, CustomStringConvertible {
  /// Which kind of store and which instance of it: the device number of a local file system, a cluster and pool.
  public var realm: String
  /// The object in its realm: an inode number, an image name.
  public var object: String

  public init(realm: String, object: String) {
    self.realm = realm
    self.object = object
  }

  public var description: String { "\(realm)/\(object)" }
}

/// What a store says of its object.
public struct StoreStatus: Sendable, Equatable {
  /// Bytes.
  public var size: Int64
  /// Changes whenever content or size changes, as far as the store can tell: for a local file its change time.
  public var changeStamp: ChangeStamp

  public struct ChangeStamp: Sendable, Hashable {
    public var seconds: Int64
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32) {
      self.seconds = seconds
      self.nanoseconds = nanoseconds
    }
  }

  public init(size: Int64, changeStamp: ChangeStamp) {
    self.size = size
    self.changeStamp = changeStamp
  }
}

/// One read: a range of the object, scattered over segments of memory.
///
/// Segments are frames of the arena: aligned to the frame size, whole frames, in the order of the object's bytes.
@safe
public struct StoreReadRequest: @unchecked Sendable {
  /// Where in the object the first byte of the first segment lies. A multiple of the frame size.
  public let offset: Int64
  /// Memory to fill, in order. Never empty.
  public let segments: [UnsafeMutableRawBufferPointer]
  /// Who does the work.
  public let execution: StoreExecution

  public init(offset: Int64, segments: [UnsafeMutableRawBufferPointer], execution: StoreExecution) {
    self.offset = offset
    unsafe self.segments = segments
    self.execution = execution
  }

  /// Bytes asked for.
  public var count: Int { unsafe segments.reduce(0) { $0 + $1.count } }

  /// The range asked for. Empty at `Int64.max` if it would pass it.
  public var range: Range<Int64> {
    let (end, overflow) = offset.addingReportingOverflow(Int64(count))
    return overflow ? Int64.max..<Int64.max : offset..<end
  }
}

/// Who does a store's work.
public enum StoreExecution: Sendable {
  /// The calling thread waits for the result anyway and may be used.
  case caller
  /// The calling thread must not be held up.
  case background
}
