import BackingStores
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import Testing

/// Stores that break the rules of their protocol, or are merely slow.
@Suite struct UnrulyStoreTests {
  /// Answers in whatever way the test says.
  private final class Store: BackingStore {
    typealias Completion = @Sendable (Result<Int, StoreError>) -> Void
    let name = "unruly"
    let identity: StoreIdentity
    private let answer: @Sendable (Int, StoreReadRequest, @escaping Completion) -> Void
    private let calls = SharedCounter()
    private let byteCount: Int64

    init(
      _ byteCount: Int64, object: String = "store",
      _ answer: @escaping @Sendable (Int, StoreReadRequest, @escaping Completion) -> Void
    ) {
      self.byteCount = byteCount
      self.answer = answer
      identity = StoreIdentity(realm: "unruly", object: object)
    }

    func status() throws(StoreError) -> StoreStatus {
      StoreStatus(size: byteCount, changeStamp: .init(seconds: 0, nanoseconds: 0))
    }

    func read(_ request: StoreReadRequest, completion: @escaping Completion) {
      calls.add(1)
      answer(calls.value, request, completion)
    }

    func close() {}

    /// Does what a good store does.
    static func deliver(_ request: StoreReadRequest) -> Int {
      var offset = UInt64(request.offset)
      for index in unsafe request.segments.indices {
        let segment = unsafe request.segments[index]
        for place in 0..<segment.count {
          unsafe segment[place] = PatternFile.byte(at: offset)
          offset += 1
        }
      }
      return request.count
    }
  }

  @Test(arguments: 0..<3) func aSecondCompletionIsIgnored(way: Int) throws {
    let store = Store(100_000) { _, request, completion in
      let count = Store.deliver(request)
      let failure = StoreError(operation: .read, store: "unruly", cause: .other("no"))
      switch way {
      case 0:
        completion(.success(count))
        completion(.success(count))
      case 1:
        completion(.success(count))
        completion(.failure(failure))
      default:
        completion(.failure(failure))
        completion(.success(count))
      }
    }
    let cache = try smallCache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: store)
    for round in 0..<3 {
      do {
        let bytes = try file.read(fromAbsoluteOffset: Int64(round) * 10_000, count: 5000)
        #expect(way < 2)
        #expect(bytes == patternBytes(round * 10_000..<round * 10_000 + 5000))
      } catch {
        #expect(way == 2)
      }
    }
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  @Test func aStoreThatDropsRequestsIsAnError() throws {
    let store = Store(100_000) { call, request, completion in
      if call > 1 { completion(.success(Store.deliver(request))) }
    }
    let file = try smallCache().open(store: store)
    let error = cacheError { _ = try file.read(fromAbsoluteOffset: 0, count: 10) }
    guard case .store(let cause)? = error?.cause else { return #expect(Bool(false), "\(error as Any)") }
    #expect(cause.cause == .other("the store dropped the request"))
    #expect(try file.read(fromAbsoluteOffset: 0, count: 10) == patternBytes(0..<10))
  }

  /// A store that keeps its completions must not keep what the reads have reserved.
  @Test func aStoreThatKeepsCompletionsLeaksNothing() throws {
    final class Kept: @unchecked Sendable {
      let monitor = Monitor()
      var completions: [Store.Completion] = []
    }
    let kept = Kept()
    let store = Store(64 << 20) { _, request, completion in
      kept.monitor.withLock { kept.completions.append(completion) }
      completion(.success(Store.deliver(request)))
    }
    let cache = try smallCache(limit: 2 << 20, atomic: 65_536)
    let file = try cache.open(store: store)
    for round in 0..<1500 {
      let offset = round * 40_960
      #expect(try file.read(fromAbsoluteOffset: Int64(offset), count: 10) == patternBytes(offset..<offset + 10))
    }
    #expect(kept.completions.count == 1500)
  }

  /// While a file waits for a slow store to be closed, others can still have its memory.
  @Test func aClosingFileCanBeEvicted() throws {
    let gate = FaultInjectingStore.Gate()
    let slow = FaultInjectingStore(patternStore(16 << 20)) { _, request in
      request.offset >= 8 << 20 ? .hold(gate, then: nil) : nil
    }
    let cache = try smallCache(limit: 4 << 20, atomic: 1 << 18)
    let first = try cache.open(store: slow)
    let second = try cache.open(store: patternStore(16 << 20))
    // The first fills the pool.
    for offset in stride(from: 0, to: 8 << 20, by: 1 << 18) {
      _ = try first.read(fromAbsoluteOffset: Int64(offset), count: 1 << 18)
    }
    let right = SharedCounter()
    onThreads(3) { thread in
      switch thread {
      case 0: _ = try? first.read(fromAbsoluteOffset: 9 << 20, count: 10)
      case 1:
        gate.waitForArrivals(1)
        try? first.close()
      default:
        gate.waitForArrivals(1)
        sleepNanoseconds(20_000_000)
        for offset in stride(from: 0, to: 8 << 20, by: 1 << 18) {
          let bytes = try? second.read(fromAbsoluteOffset: Int64(offset), count: 1 << 18)
          if bytes == patternBytes(offset..<offset + 1 << 18) { right.add(1) }
        }
        gate.release()
      }
    }
    #expect(right.value == 32)
  }

  /// R12: many one-page misses at the limit, beside a slow store: all are served, none is told that there are no frames.
  @Test func manyMissesAtTheLimitBesideASlowStore() async throws {
    let store = FaultInjectingStore(patternStore(64 << 20)) { _, _ in .delay(milliseconds: 100, then: nil) }
    let cache = try smallCache(limit: 2 << 20, atomic: 65_536)
    let file = try cache.open(store: store)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<300 {
        group.addTask {
          let offset = task * 200_000
          return try await file.read(fromAbsoluteOffset: Int64(offset), count: 10) == patternBytes(offset..<offset + 10)
        }
      }
      for try await isRight in group { #expect(isRight) }
    }
  }

  @Test func descriptorsAreNotKeptForFilesThatAreOpen() throws {
    try withTemporaryDirectory { directory in
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: 10_000)
      let cache = try smallCache()
      let first = try cache.open(pattern.path)
      let descriptor = try FileDescriptor.open(pattern.path, .readOnly)
      func highest() throws -> Int32 {
        let probe = try descriptor.duplicate()
        defer { try? probe.close() }
        return probe.rawValue
      }
      let before = try highest()
      for _ in 0..<50 { try cache.open(descriptor).close() }
      // Other tests run beside this one and open files of their own, but not fifty.
      #expect(try highest() < before + 40)
      try descriptor.close()
      #expect(try first.read(fromAbsoluteOffset: 0, count: 10) == patternBytes(0..<10))
    }
  }

  @Test func badRangesOfChunksAndBatches() async throws {
    let file = try smallCache().open(store: patternStore(1000))
    do {
      for try await _ in file.chunks(in: -1..<Int64.max) {}
      Issue.record("nothing was thrown")
    } catch {
      guard case .negativeOffset(-1) = error.cause else { throw error }
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
    defer { unsafe buffer.deallocate() }
    var requests = [0, -5, 100, 200].map { unsafe CachedFile.ReadRequest(offset: $0, buffer: buffer) }
    guard case .negativeOffset(-5)? = cacheError({ try file.readMany(&requests) })?.cause else {
      return #expect(Bool(false))
    }
    #expect(requests.map(\.bytesRead) == [64, 0, 0, 0])
  }

  @Test func hugeCountsAreRefusedNotAllocated() throws {
    let file = try smallCache().open(store: LyingStore(size: 1 << 50))
    guard case .countTooLarge? = cacheError({ _ = try file.read(fromAbsoluteOffset: 0, count: .max) })?.cause else {
      return #expect(Bool(false))
    }
    guard case .countTooLarge? = cacheError({ try file.withBytes(atAbsoluteOffset: 0, count: .max) { _ in } })?.cause
    else { return #expect(Bool(false)) }
  }
}
