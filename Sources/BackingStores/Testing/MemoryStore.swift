import Primitives
internal import SystemPackage

/// A store over bytes in memory, for tests and examples.
///
/// Its contents can be a function of the offset, so that an object of a terabyte costs nothing, and neither does one
/// that is all hole. Size, contents and identity can be changed at any time, as another program could change a file.
///
/// It keeps three images: the present one, which reads see, as the kernel's cache would; the durable one, which would
/// be there after a power cut; and the surviving one, which reads would see if all bytes were lost that were written
/// since the last flush. Structure (sizes, holes, what was moved or shared) is metadata, which a journal has: it is
/// never lost by a flush that fails. A flush makes durable what was there when it began.
package final class MemoryStore: BackingStore {
  /// What the object holds.
  package enum Contents: Sendable {
    /// These bytes, and zeroes behind them if the object is larger.
    case bytes([UInt8])
    /// The byte at every offset.
    case computed(@Sendable (_ offset: Int64) -> UInt8)

    func fill(_ segment: UnsafeMutableRawBufferPointer, at offset: Int64) {
      switch self {
      case .computed(let byteAt):
        for index in segment.indices { unsafe segment[index] = byteAt(offset + Int64(index)) }
      case .bytes(let bytes):
        let start = Int(min(offset, Int64(bytes.count)))
        let present = min(bytes.count - start, segment.count)
        unsafe segment.copyBytes(from: bytes[start..<start + present])
        unsafe UnsafeMutableRawBufferPointer(rebasing: segment[present...]).clear()
      }
    }
  }

  /// How an object is claimed.
  package enum Claim: Sendable, Comparable {
    case none, reading, writing
  }

  struct State {
    /// What reads see.
    var present: SparseImage
    /// What a power cut leaves.
    var durable: SparseImage
    /// The structure of the present image, with the bytes that have been flushed.
    var surviving: SparseImage
    /// Blocks written that no flush has covered, each with how many flushes had begun then.
    var dirty: [Int64: Int] = [:]
    /// Flushes under way, by number: what they make durable, and what survives then.
    var flushing: [Int: (durable: SparseImage, surviving: SparseImage)] = [:]
    var flushesBegun = 0
    var flushCovered = 0
    var identity: StoreIdentity
    var changes: Int64 = 0
    var isClosed = false
    var isWritable = false
    var isReplaced = false
    var claim = Claim.none
    var othersClaim: (claim: Claim, process: Int32?) = (.none, nil)
    var capacity = Int64.max
    var maximumSize = Int64.max
  }

  package let name: String
  private let threads: IOThreads?
  private let reads = SharedCounter()
  private let monitor = Monitor()
  // Safe: read and written with the monitor held only.
  private nonisolated(unsafe) var state: State

  private static let made = InlineWord(0)

  /// - Parameters:
  ///   - identity: Nil makes one that no other store has.
  ///   - threads: Who does background reads. Nil does them before `read` returns: nothing here blocks.
  package convenience init(
    bytes: [UInt8], name: String = "memory", identity: StoreIdentity? = nil, threads: IOThreads? = nil
  ) {
    self.init(.bytes(bytes), size: Int64(bytes.count), name: name, identity: identity, threads: threads)
  }

  /// An object that is one hole.
  /// - Parameter size: Bytes; not negative.
  package convenience init(
    holeOf size: Int64, name: String = "memory", identity: StoreIdentity? = nil, threads: IOThreads? = nil
  ) {
    self.init(.bytes([]), size: size, name: name, identity: identity, threads: threads)
  }

  /// - Parameters:
  ///   - size: Bytes; not negative.
  ///   - byteAt: Where a part of a block is written or cleared, it is called with the store's lock held: it must not
  ///     ask this store then.
  package convenience init(
    size: Int64, name: String = "memory", identity: StoreIdentity? = nil, threads: IOThreads? = nil,
    byteAt: @escaping @Sendable (_ offset: Int64) -> UInt8
  ) {
    self.init(.computed(byteAt), size: size, name: name, identity: identity, threads: threads)
  }

  private init(_ contents: Contents, size: Int64, name: String, identity: StoreIdentity?, threads: IOThreads?) {
    precondition(size >= 0, "a store of \(size) bytes")
    self.name = name
    self.threads = threads
    let number = Self.made.fetchAddRelaxed(1) + 1
    let image = SparseImage(contents, size: size)
    unsafe state = State(
      present: image, durable: image, surviving: image,
      identity: identity ?? StoreIdentity(realm: "memory", object: "store \(number)"))
  }

  /// The body runs with the lock held.
  func withState<Result, Failure: Error>(
    _ body: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try monitor.withLock { () throws(Failure) in try unsafe body(&state) }
  }

  /// How many reads have begun.
  package var readCount: Int { reads.value }

  package func status() throws(StoreError) -> StoreStatus {
    try withState { state throws(StoreError) in
      guard !state.isClosed else { throw failure(.status, .system(.badFileDescriptor)) }
      return StoreStatus(
        size: state.present.size, changeStamp: .init(seconds: state.changes, nanoseconds: 0),
        allocatedBytes: state.present.allocated, isReplaced: state.isReplaced)
    }
  }

  package func read(
    _ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void
  ) {
    reads.add(1)
    if case .background = request.execution, let threads {
      threads.submit { completion(self.result(of: request)) }
    } else {
      completion(result(of: request))
    }
  }

  package var readsOnCaller: Bool { true }

  package func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    reads.add(1)
    return try unsafe result(of: StoreReadRequest(offset: offset, segments: [memory], execution: .caller)).get()
  }

  package func close() {
    withState {
      $0.isClosed = true
      $0.claim = .none
    }
  }

  private func result(of request: StoreReadRequest) -> Result<Int, StoreError> {
    do throws(StoreError) {
      let (pieces, contents) = try withState { state throws(StoreError) in
        let cause: StoreError.Cause? =
          if state.isClosed {
            .system(.badFileDescriptor)
          } else if request.offset < 0 {
            .system(.invalidArgument)
          } else if request.offset.addingReportingOverflow(Int64(request.count)).overflow {
            .system(.overflow)
          } else {
            nil
          }
        if let cause { throw failure(.read, request.range, cause) }
        return (state.present.pieces(request.range), state.present.contents)
      }
      // Without the lock: the contents' function may ask this store for anything.
      unsafe Self.fill(request.segments, at: request.offset, with: pieces, of: contents)
      return .success(pieces.last.map { Int($0.range.upperBound - request.offset) } ?? 0)
    } catch {
      return .failure(error)
    }
  }

  private static func fill(
    _ segments: [UnsafeMutableRawBufferPointer], at offset: Int64,
    with pieces: [SparseImage.Placed], of contents: Contents
  ) {
    var start = offset
    var next = 0
    for index in unsafe segments.indices {
      let segment = unsafe segments[index]
      let end = start + Int64(segment.count)
      while next < pieces.count, pieces[next].range.lowerBound < end {
        let part = pieces[next].range.clamped(to: start..<end)
        let target = unsafe UnsafeMutableRawBufferPointer(
          rebasing: segment[Int(part.lowerBound - start)..<Int(part.upperBound - start)])
        unsafe pieces[next].fill(target, at: part.lowerBound, of: contents)
        // It may go on in the next segment.
        if pieces[next].range.upperBound > end { break }
        next += 1
      }
      start = end
    }
  }

  func failure(_ operation: StoreError.Operation, _ cause: StoreError.Cause) -> StoreError {
    failure(operation, nil, cause)
  }

  func failure(
    _ operation: StoreError.Operation, _ range: Range<Int64>?, _ cause: StoreError.Cause
  ) -> StoreError {
    StoreError(operation: operation, store: name, range: range, cause: cause)
  }
}
