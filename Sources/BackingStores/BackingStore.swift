/// Where the bytes of a cached file come from and go to: a local file, later an RBD image or an HTTP object.
///
/// A store moves bytes between memory and storage and answers for their identity, size and durability. It knows nothing
/// of what is cached. The cache calls it from many threads at a time. It calls it inside no read section and holding no
/// lock that a hit or another file could need; but whoever wants to change, or to fill, the same bytes of the same file
/// waits until the store has answered.
///
/// The cache never has two writes of the same bytes under way, nor a write and a `change`, `resize` or `clone` of them:
/// what a store is told first about a byte, it is told before the second begins.
///
/// Only `name`, `identity`, `status`, `read(_:completion:)` and `close` must be there. A store that leaves out the rest
/// is read-only, and says `unsupported` to everything else. One that can be written to needs `prepareToWrite`, `write`
/// and `flush`, and `resize` for files whose end is a hole; the cache does without what else is missing, or refuses it.
///
/// What a store says is checked: sizes, and counts against what was asked. That a count is honest cannot be checked:
/// where a store says that it has filled memory and has not, its readers see what was there before.
public protocol BackingStore: AnyObject, Sendable {
  /// What errors call the store: a path, a URL.
  var name: String { get }

  /// Equal for two stores exactly if they are the same object underneath; the cache then keeps one copy for both.
  var identity: StoreIdentity { get }

  /// Size and change stamp as they are now.
  /// - Throws: `StoreError` with the cause.
  /// - Cost: one system call for a local file, a round trip for a remote one.
  func status() throws(StoreError) -> StoreStatus

  /// Reads into the request's segments, and calls the completion exactly once with how many bytes were read from the
  /// start of the request (fewer than asked for only at the end of the object), or with the error that stopped it.
  ///
  /// With `.caller`, the store may do the work before it returns, on the calling thread; with `.background` it must not
  /// block. Either way the completion may run on any thread, also before this call returns. The segments' memory stays
  /// valid until then; after it, the store must not touch them. Completing is the last thing that a store does for a
  /// request: it may be closed right after. A second completion is ignored, and dropping the completion uncalled is an
  /// error of the store; but a store that keeps it and never calls it makes readers, and the closing of the file, wait
  /// for ever.
  ///
  /// A store must not read through the cache it serves: the outer read has reserved the frames that the inner one would
  /// wait for.
  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void)

  /// Writes on the calling thread, and returns when the store has accepted the bytes: they survive this process, not
  /// yet the power.
  ///
  /// The object grows if the range ends past its size; what lies between the old size and the range reads as zero.
  /// - Returns: bytes written, from the start of the request on, at least one. Fewer than asked for where something
  ///   stopped it: asked again for the rest, the store says what. Bytes behind the count are as they were.
  /// - Throws: `StoreError` with the cause; then nothing was written.
  /// - Cost: one system call for a local file, a round trip for a remote one.
  func write(_ request: StoreWriteRequest) throws(StoreError) -> Int

  /// Makes everything durable that was written, and every other change made, before this call. Also by others: a
  /// process may have ended before its own flush. So a store that is not prepared for writing flushes as well.
  ///
  /// When it throws, nothing written since the last call that succeeded may be taken for durable, however often this is
  /// called again (B6): the cache writes all of it again.
  /// - Parameter dataOnly: metadata that is not needed to read the bytes back, such as times, may be left out.
  func flush(dataOnly: Bool) throws(StoreError)

  /// Changes the size. What is beyond a smaller one is gone; what a larger one adds reads as zero.
  func resize(to size: Int64) throws(StoreError)

  /// Changes what storage lies behind a range. When it throws, nothing has changed.
  /// - Throws: `StoreError` with cause `.unsupported` for what the store cannot do, `.system(.invalidArgument)` for a
  ///   range that it cannot do it to.
  func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError)

  /// Makes a range here share the storage of a range of another store (or of this one). The object grows as by writing.
  /// When it throws, nothing has changed.
  /// - Throws: `StoreError` with cause `.unsupported` where storage cannot be shared: the cache then copies.
  func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError)

  /// Makes a range here share storage with a range of another store (or of this one) that holds the same bytes.
  /// - Parameters:
  ///   - range: of the other store.
  ///   - offset: where in this store the other range begins.
  /// - Returns: false if the bytes differ; contents have not changed then.
  func dedupe(_ range: Range<Int64>, with other: any BackingStore, at offset: Int64) throws(StoreError) -> Bool

  /// Whether a byte lies in a hole, and where that ends. A store that does not know says data up to the end.
  /// - Parameter offset: below the size.
  func extent(at offset: Int64) throws(StoreError) -> StoreExtent

  /// Gets ready to be written to, if it is not: a local file opens a descriptor for writing.
  func prepareToWrite() throws(StoreError)

  /// Claims the object against caches in other processes, as far as the store can: nobody else writes, and if
  /// `forWriting`, nobody else reads either. May be called again to claim more (P10).
  /// - Throws: `StoreError` with cause `.claimed` if somebody else has it.
  func claim(forWriting: Bool) throws(StoreError)

  /// Told now and then which range was written a while ago: a store that keeps a second copy of written bytes in memory
  /// lets go of it. Advice.
  func dropBehind(_ range: Range<Int64>)

  /// Size and change stamp alone, as `status` has them: asked for with every fill of a file that nobody else may
  /// change. A store that leaves it out is asked for its `status`.
  /// - Throws: `StoreError` with the cause.
  /// - Cost: one system call for a local file, a round trip for a remote one.
  func version() throws(StoreError) -> StoreVersion

  /// Whether `read(at:into:)` is there to be called; false where it is left out. It does not change, and is asked for
  /// once.
  var readsOnCaller: Bool { get }

  /// Reads into one piece of memory on the calling thread, as `read(_:completion:)` does with `.caller`: the usual
  /// miss, which is spared what a completion costs. Called only if `readsOnCaller`, from many threads at a time, and
  /// for bytes that are known to lie in no hole: so never of a store that does not tell its `allocatedBytes`.
  /// - Parameters:
  ///   - offset: a multiple of 4,096.
  ///   - memory: whole frames of 4,096 bytes; they may reach past the end of the object.
  /// - Returns: bytes read, fewer than the memory has only at the end of the object.
  /// - Throws: `StoreError` with the cause.
  func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int

  /// Largest size that `resize` and `write` may be asked for.
  var maximumSize: Int64 { get }

  /// Releases descriptors and connections. No request is under way, and none follows.
  func close()
}

extension BackingStore {
  private func unsupported(_ operation: StoreError.Operation, _ range: Range<Int64>? = nil) -> StoreError {
    StoreError(operation: operation, store: name, range: range, cause: .unsupported)
  }

  public func version() throws(StoreError) -> StoreVersion {
    try status().version
  }
  public var readsOnCaller: Bool { false }
  public func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    throw unsupported(.read)
  }
  public func write(_ request: StoreWriteRequest) throws(StoreError) -> Int { throw unsupported(.write, request.range) }
  /// Of an object that nothing writes to, everything is durable.
  public func flush(dataOnly: Bool) throws(StoreError) {}
  public func resize(to size: Int64) throws(StoreError) { throw unsupported(.resize) }
  public func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
    throw unsupported(change.operation, range)
  }
  public func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
    throw unsupported(.clone, range)
  }
  public func dedupe(_ range: Range<Int64>, with other: any BackingStore, at offset: Int64) throws(StoreError) -> Bool {
    throw unsupported(.dedupe, range)
  }
  public func extent(at offset: Int64) throws(StoreError) -> StoreExtent { StoreExtent(isHole: false, end: .max) }
  public func prepareToWrite() throws(StoreError) { throw unsupported(.open) }
  public func claim(forWriting: Bool) throws(StoreError) {}
  public func dropBehind(_ range: Range<Int64>) {}
  public var maximumSize: Int64 { .max }
}

/// What can be done to the storage behind a range, besides writing it. As fallocate(2) has them.
public enum StoreRangeChange: Sendable, Hashable {
  /// Storage is there from now on, so that writing cannot run out of it; contents do not change. The object grows
  /// unless `keepingSize`.
  case allocate(keepingSize: Bool)
  /// The range becomes a hole. Any range; what lies past the end is ignored, and the size stays.
  case punchHole
  /// The range reads as zero, and has storage. The object grows unless `keepingSize`.
  case zero(keepingSize: Bool)
  /// The range is taken out, and what follows moves down. Aligned to the store's blocks; ends before the end of the
  /// object.
  case collapse
  /// A hole is put in, and what follows moves up. Aligned to the store's blocks; begins before the end of the object.
  case insert
  /// Storage that is shared becomes the object's own.
  case unshare

  /// What errors call it.
  public var operation: StoreError.Operation {
    switch self {
    case .allocate: .allocate
    case .punchHole: .punchHole
    case .zero: .zeroRange
    case .collapse: .collapseRange
    case .insert: .insertRange
    case .unshare: .unshare
    }
  }
}

/// A run of bytes that are all in a hole, or all not known to be.
public struct StoreExtent: Sendable, Equatable {
  public var isHole: Bool
  /// Where it ends: not before the byte that was asked for, and `Int64.max` for "at the end of the object".
  public var end: Int64

  public init(isHole: Bool, end: Int64) {
    self.isHole = isHole
    self.end = end
  }
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

/// Size and change stamp of an object.
public struct StoreVersion: Sendable, Equatable {
  /// Bytes.
  public var size: Int64
  /// As in `StoreStatus`.
  public var changeStamp: StoreStatus.ChangeStamp

  public init(size: Int64, changeStamp: StoreStatus.ChangeStamp) {
    self.size = size
    self.changeStamp = changeStamp
  }
}

/// What a store says of its object.
public struct StoreStatus: Sendable, Equatable {
  /// Bytes.
  public var size: Int64
  /// Changes whenever content or size changes, as far as the store can tell: for a local file the time of its last
  /// modification. (Not its change time, which also moves when the file is renamed or linked.)
  public var changeStamp: ChangeStamp
  /// Bytes of storage behind the object, where the store tells: fewer than its size means that it has holes.
  public var allocatedBytes: Int64?
  /// The name by which the object was opened leads to another one by now, or to none.
  public var isReplaced: Bool
  /// When the object was made, where the store tells. Two objects that have had one identity, one after the other,
  /// differ in it.
  public var creationStamp: ChangeStamp?

  /// What of it changes with the contents.
  public var version: StoreVersion { StoreVersion(size: size, changeStamp: changeStamp) }

  public struct ChangeStamp: Sendable, Hashable {
    public var seconds: Int64
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32) {
      self.seconds = seconds
      self.nanoseconds = nanoseconds
    }
  }

  public init(
    size: Int64, changeStamp: ChangeStamp, allocatedBytes: Int64? = nil, isReplaced: Bool = false,
    creationStamp: ChangeStamp? = nil
  ) {
    self.size = size
    self.changeStamp = changeStamp
    self.allocatedBytes = allocatedBytes
    self.isReplaced = isReplaced
    self.creationStamp = creationStamp
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

/// One write: a range of the object, gathered from segments of memory. Any offset, any lengths.
@safe
public struct StoreWriteRequest: @unchecked Sendable {
  /// Where in the object the first byte goes. Not negative.
  public let offset: Int64
  /// Memory to write, in order. Not empty. Nobody changes it while the write is under way.
  public let segments: [UnsafeRawBufferPointer]

  public init(offset: Int64, segments: [UnsafeRawBufferPointer]) {
    self.offset = offset
    unsafe self.segments = segments
  }

  /// Bytes to write.
  public var count: Int { unsafe segments.reduce(0) { $0 + $1.count } }

  /// The range to write. Empty at `Int64.max` if it would pass it.
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
