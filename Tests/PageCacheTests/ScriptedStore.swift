import BackingStores
import Primitives
import SystemPackage

/// A store for which a test writes the script: what happens before and after each call, and what is refused.
///
/// It keeps two images, as a kernel does: the present one, which reads see, and the durable one, which a power cut
/// leaves. A flush covers what was there when it began, and no more. A flush that fails may lose what was given since
/// the last one that succeeded: whole blocks of 4,096 bytes, as the kernel drops pages that it could not write. What a
/// hole or a new end covers of a block in part is such a page too. Whole blocks of a structural call are metadata and
/// are not lost.
///
/// Blocks of zeros are its holes.
final class ScriptedStore: BackingStore {
  enum Call: Sendable, Equatable {
    case status
    case read(Range<Int64>)
    case write(Range<Int64>)
    case flush
    case resize(Int64)
    case change(StoreRangeChange, Range<Int64>)
    case clone(Range<Int64>, to: Int64)
    case dedupe(Range<Int64>)
    case extent(Int64)
  }

  /// What becomes of a call.
  enum Answer: Sendable {
    /// It fails, and nothing has changed.
    case refuse(StoreError.Cause)
    /// A flush fails, and what it was to make durable is lost.
    case lose
    /// A read or a write does this many bytes at most.
    case short(Int)
  }

  private struct State {
    var present: ScriptedImage
    var durable: ScriptedImage
    /// Blocks that a failing flush may lose.
    var volatile: Set<Int> = []
    var changes: Int64 = 0
    var isClosed = false
    var before: [@Sendable (Call) -> Answer?] = []
    var after: [@Sendable (Call) -> Void] = []
    var done: [Call] = []
    var callsWhenClosed: [Call] = []
    var flushes = 0
  }

  let name: String
  let identity: StoreIdentity
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var state: State

  private static let made = InlineWord(0)

  init(_ bytes: [UInt8] = [], name: String = "scripted") {
    self.name = name
    identity = StoreIdentity(realm: "scripted", object: "\(Self.made.fetchAddRelaxed(1))")
    let image = ScriptedImage(bytes)
    unsafe state = State(present: image, durable: image)
  }

  private func withState<Result, Failure: Error>(
    _ body: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try monitor.withLock { () throws(Failure) in try unsafe body(&state) }
  }

  // MARK: The script

  /// Adds something that is done before each call, on the calling thread. The first answer that is not nil counts.
  func before(_ act: @escaping @Sendable (Call) -> Answer?) { withState { $0.before.append(act) } }

  /// Adds something that is done when the store has done a call, before it returns. Not for calls that were refused.
  func after(_ act: @escaping @Sendable (Call) -> Void) { withState { $0.after.append(act) } }

  /// What reads see, up to the size.
  var present: [UInt8] { withState { $0.present.all } }

  /// What a power cut leaves, up to the size that it leaves.
  var durable: [UInt8] { withState { $0.durable.all } }

  /// One byte of the same; nil past the size.
  func present(at offset: Int) -> UInt8? { withState { $0.present.byte(offset) } }
  func durable(at offset: Int) -> UInt8? { withState { $0.durable.byte(offset) } }

  /// Calls that have changed something, and flushes that have succeeded, in order.
  var done: [Call] { withState { $0.done } }

  /// Writes that were done, in order.
  var writes: [Range<Int64>] { done.compactMap { if case .write(let range) = $0 { range } else { nil } } }

  /// Flushes that have begun.
  var flushes: Int { withState { $0.flushes } }

  /// What was asked of the store after it was closed.
  var callsWhenClosed: [Call] { withState { $0.callsWhenClosed } }

  /// - Returns: how many bytes are to be done at most.
  private func begin(_ call: Call, _ operation: StoreError.Operation) throws(StoreError) -> Int {
    let (acts, isClosed) = withState { state in
      if state.isClosed { state.callsWhenClosed.append(call) }
      return (state.before, state.isClosed)
    }
    if isClosed { throw failure(operation, .system(.badFileDescriptor)) }
    switch Self.answer(acts, to: call) {
    case nil: return .max
    case .short(let count)?: return count
    case .refuse(let cause)?: throw failure(operation, cause)
    case .lose?: throw failure(operation, .system(.ioError))
    }
  }

  private static func answer(_ acts: [@Sendable (Call) -> Answer?], to call: Call) -> Answer? {
    for act in acts { if let answer = act(call) { return answer } }
    return nil
  }

  private func end(_ call: Call) {
    for act in withState({ $0.after }) { act(call) }
  }

  private func change(_ call: Call, _ operation: StoreError.Operation, _ body: (inout State) -> Void) throws(StoreError)
  {
    _ = try begin(call, operation)
    withState { state in
      body(&state)
      state.changes += 1
      state.done.append(call)
    }
    end(call)
  }

  private func failure(_ operation: StoreError.Operation, _ cause: StoreError.Cause) -> StoreError {
    StoreError(operation: operation, store: name, cause: cause)
  }

  // MARK: The store

  func prepareToWrite() throws(StoreError) { withState { $0.isClosed = false } }

  /// Forgets what is done at its calls: that may name files of the cache, which name this, and a process has 64 caches
  /// at most.
  func close() {
    let acts = withState { state in
      defer { (state.before, state.after) = ([], []) }
      state.isClosed = true
      return (state.before, state.after)
    }
    // Not with the lock held: the last handle of a file may go with them.
    extendLifetime(acts)
  }

  func status() throws(StoreError) -> StoreStatus {
    _ = try begin(.status, .status)
    let status = withState { state in
      StoreStatus(
        size: Int64(state.present.size), changeStamp: .init(seconds: state.changes, nanoseconds: 0),
        allocatedBytes: state.present.allocatedBytes)
    }
    end(.status)
    return status
  }

  func version() throws(StoreError) -> StoreVersion {
    _ = try begin(.status, .status)
    let version = withState { state in
      StoreVersion(size: Int64(state.present.size), changeStamp: .init(seconds: state.changes, nanoseconds: 0))
    }
    end(.status)
    return version
  }

  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    let call = Call.read(request.range)
    do throws(StoreError) {
      var left = try begin(call, .read)
      let image = withState { $0.present }
      var (offset, done) = (Int(request.offset), 0)
      for index in unsafe request.segments.indices {
        let segment = unsafe request.segments[index]
        let count = max(0, min(segment.count, left, image.size - offset))
        unsafe segment.copyBytes(from: image.bytes(offset..<offset + count))
        (left, offset, done) = (left - count, offset + count, done + count)
        if count < segment.count { break }
      }
      end(call)
      completion(.success(done))
    } catch {
      completion(.failure(error))
    }
  }

  func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
    let most = try begin(.write(request.range), .write)
    let count = min(most, request.count)
    let call = Call.write(request.offset..<request.offset + Int64(count))
    let bytes = unsafe request.segments.flatMap { unsafe Array($0) }.prefix(count)
    withState { state in
      state.present.write(Array(bytes), at: Int(request.offset))
      state.volatile.formUnion(ScriptedImage.blocks(Int(request.offset)..<Int(request.offset) + count))
      state.changes += 1
      state.done.append(call)
    }
    end(call)
    return count
  }

  func flush(dataOnly: Bool) throws(StoreError) {
    let (image, covered) = withState { state in
      defer { state.volatile = [] }
      state.flushes += 1
      return (state.present, state.volatile)
    }
    if let answer = Self.answer(withState { $0.before }, to: .flush) {
      withState { state in
        state.volatile.formUnion(covered)
        guard case .lose = answer else { return }
        state.present.revert(state.volatile, to: state.durable)
        state.volatile = []
      }
      if case .refuse(let cause) = answer { throw failure(.flush, cause) }
      throw failure(.flush, .system(.ioError))
    }
    withState { state in
      if state.isClosed { state.callsWhenClosed.append(.flush) }
      state.durable = image
      state.done.append(.flush)
    }
    end(.flush)
  }

  func resize(to size: Int64) throws(StoreError) {
    try change(.resize(size), .resize) { state in
      let edge = Int(size)
      if edge < state.present.size, edge % ScriptedImage.blockSize != 0 {
        state.volatile.insert(edge / ScriptedImage.blockSize)
      }
      state.present.resize(edge)
      state.volatile = state.volatile.filter { $0 * ScriptedImage.blockSize < edge }
    }
  }

  func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
    try self.change(.change(change, range), change.operation) { state in
      let range = Int(range.lowerBound)..<Int(range.upperBound)
      switch change {
      case .punchHole, .zero:
        if change == .zero(keepingSize: false) { state.present.resize(max(state.present.size, range.upperBound)) }
        let present = range.clamped(to: 0..<state.present.size)
        state.present.write([UInt8](repeating: 0, count: present.count), at: present.lowerBound)
        for block in ScriptedImage.blocks(present) {
          if range.contains(ScriptedImage.range(block)) {
            state.volatile.remove(block)
          } else {
            state.volatile.insert(block)
          }
        }
      case .allocate(let keepingSize):
        if !keepingSize { state.present.resize(max(state.present.size, range.upperBound)) }
      case .collapse, .insert:
        state.present.shift(range, takesOut: change == .collapse)
        state.volatile = state.volatile.filter { $0 * ScriptedImage.blockSize < range.lowerBound }
      case .unshare: break
      }
    }
  }

  func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
    guard let source = source as? ScriptedStore else { throw failure(.clone, .unsupported) }
    let image = source.withState { $0.present }
    try change(.clone(range, to: offset), .clone) { state in
      let bytes = image.bytes(Int(range.lowerBound)..<Int(range.upperBound))
      state.present.write(Array(bytes), at: Int(offset))
    }
  }

  func dedupe(
    _ range: Range<Int64>, with other: any BackingStore, at offset: Int64
  ) throws(StoreError) -> Bool {
    guard let other = other as? ScriptedStore else { throw failure(.dedupe, .unsupported) }
    _ = try begin(.dedupe(range), .dedupe)
    let theirs = Array(other.present[Int(range.lowerBound)..<Int(range.upperBound)])
    return theirs == Array(present[Int(offset)..<Int(offset) + range.count])
  }

  func extent(at offset: Int64) throws(StoreError) -> StoreExtent {
    _ = try begin(.extent(offset), .extent)
    return withState { $0.present.extent(at: Int(offset)) }
  }
}
