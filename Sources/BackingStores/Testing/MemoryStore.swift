import Primitives
internal import SystemPackage

/// A store over bytes in memory, for tests and examples.
///
/// Its contents can be a function of the offset, so that an object of a terabyte costs nothing. Size, contents and
/// identity can be changed at any time, as another program could change a file.
package final class MemoryStore: BackingStore {
  /// What the object holds.
  package enum Contents: Sendable {
    /// These bytes, and zeroes behind them if the object is larger.
    case bytes([UInt8])
    /// The byte at every offset.
    case computed(@Sendable (_ offset: Int64) -> UInt8)
  }

  private struct State {
    var contents: Contents
    var size: Int64
    var identity: StoreIdentity
    var changes: Int64 = 0
    var isClosed = false
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

  /// - Parameter size: Bytes; not negative.
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
    unsafe state = State(
      contents: contents, size: size,
      identity: identity ?? StoreIdentity(realm: "memory", object: "store \(number)"))
  }

  /// Which object this is. Setting it makes this store another object, as a path that was renamed over.
  package var identity: StoreIdentity {
    get { monitor.withLock { unsafe state.identity } }
    set { monitor.withLock { unsafe state.identity = newValue } }
  }

  /// Bytes. Setting it changes the change stamp, too.
  package var size: Int64 {
    get { monitor.withLock { unsafe state.size } }
    set {
      precondition(newValue >= 0, "a store of \(newValue) bytes")
      change { $0.size = newValue }
    }
  }

  /// Setting it changes the change stamp, not the size.
  package var contents: Contents {
    get { monitor.withLock { unsafe state.contents } }
    set { change { $0.contents = newValue } }
  }

  /// How many reads have begun.
  package var readCount: Int { reads.value }

  package func status() throws(StoreError) -> StoreStatus {
    let state = monitor.withLock { unsafe self.state }
    guard !state.isClosed else { throw StoreError(operation: .status, store: name, cause: .system(.badFileDescriptor)) }
    return StoreStatus(size: state.size, changeStamp: .init(seconds: state.changes, nanoseconds: 0))
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

  package func close() { monitor.withLock { unsafe state.isClosed = true } }

  private func change(_ body: (inout State) -> Void) {
    monitor.withLock {
      unsafe body(&state)
      unsafe state.changes += 1
    }
  }

  private func result(of request: StoreReadRequest) -> Result<Int, StoreError> {
    // A copy, so that the contents' function runs without the lock and may ask this store for anything.
    let state = monitor.withLock { unsafe self.state }
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
    if let cause {
      return .failure(StoreError(operation: .read, store: name, range: request.range, cause: cause))
    }
    var offset = request.offset
    for next in unsafe request.segments.indices {
      let segment = unsafe request.segments[next]
      let count = Int(max(0, min(Int64(segment.count), state.size - offset)))
      unsafe Self.fill(UnsafeMutableRawBufferPointer(rebasing: segment[..<count]), from: state.contents, at: offset)
      offset += Int64(count)
      if count < segment.count { break }
    }
    return .success(Int(offset - request.offset))
  }

  private static func fill(_ segment: UnsafeMutableRawBufferPointer, from contents: Contents, at offset: Int64) {
    switch contents {
    case .computed(let byteAt):
      for index in segment.indices { unsafe segment[index] = byteAt(offset + Int64(index)) }
    case .bytes(let bytes):
      let start = Int(min(offset, Int64(bytes.count)))
      let present = min(bytes.count - start, segment.count)
      unsafe segment.copyBytes(from: bytes[start..<start + present])
      for index in present..<segment.count { unsafe segment[index] = 0 }
    }
  }
}
