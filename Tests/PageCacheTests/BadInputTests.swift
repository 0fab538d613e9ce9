import BackingStores
import Foundation
import Glibc
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import Testing

/// Bad input gets an error that names file, operation, range and cause; the cache stays usable.
@Suite struct BadInputTests {
  @Test func whatCannotBeOpened() throws {
    try withTemporaryDirectory { directory in
      let cache = try smallCache()
      func cause(_ path: FilePath) -> StoreError.Cause? {
        let error = cacheError { _ = try cache.open(path) }
        #expect(error?.operation == .open)
        #expect(error?.file == path.string)
        guard case .store(let store)? = error?.cause else { return nil }
        return store.cause
      }
      #expect(cause(directory.appending("missing")) == .system(.noSuchFileOrDirectory))
      #expect(cause(directory) == .notRegularFile(.directory))
      #expect(cause("/dev/null") == .notRegularFile(.characterDevice))
      let fifo = directory.appending("fifo")
      unsafe fifo.withPlatformString { unsafe _ = mkfifo($0, 0o600) }
      #expect(cause(fifo) == .notRegularFile(.fifo))
      #expect(cause("") == .system(.noSuchFileOrDirectory))
      let closed = cacheError { _ = try cache.open(FileDescriptor(rawValue: 987)) }
      guard case .store(let store)? = closed?.cause else { return #expect(Bool(false)) }
      #expect(store.cause == .system(.badFileDescriptor))

      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: 10)
      #expect(try cache.open(pattern.path).read(fromAbsoluteOffset: 0, count: 20) == patternBytes(0..<10))
    }
  }

  @Test func offsetsAndCounts() throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(10_000))
    var buffer = [UInt8](repeating: 0, count: 100)
    func read(_ offset: Int64, _ count: Int = 100) throws -> Int {
      try unsafe buffer.withUnsafeMutableBytes {
        try unsafe file.read(fromAbsoluteOffset: offset, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<count]))
      }
    }
    let negative = cacheError { _ = try read(-1) }
    guard case .negativeOffset(-1)? = negative?.cause else { return #expect(Bool(false), "\(negative as Any)") }
    #expect(negative?.operation == .read)
    #expect(negative?.file == "memory")
    guard case .negativeOffset? = cacheError({ _ = try read(.min, 1) })?.cause else { return #expect(Bool(false)) }
    guard case .rangeOverflow? = cacheError({ _ = try read(.max) })?.cause else { return #expect(Bool(false)) }
    guard case .negativeCount? = cacheError({ _ = try file.read(fromAbsoluteOffset: 0, count: -1) })?.cause else {
      return #expect(Bool(false))
    }
    guard case .rangeOverflow? = cacheError({ _ = try file.read(fromAbsoluteOffset: 1, count: .max) })?.cause else {
      return #expect(Bool(false))
    }
    guard case .negativeOffset? = cacheError({ try file.withBytes(atAbsoluteOffset: -5, count: 1) { _ in } })?.cause
    else { return #expect(Bool(false)) }
    // Not errors: nothing wanted, and nothing there.
    #expect(try read(0, 0) == 0)
    #expect(try read(10_000) == 0)
    #expect(try read(.max - 100) == 0)
    #expect(try file.read(fromAbsoluteOffset: 9_990, count: 1 << 50).count == 10)
    var requests = [unsafe CachedFile.ReadRequest(offset: -3, buffer: .init(start: nil, count: 0))]
    guard case .negativeOffset? = cacheError({ try file.readMany(&requests) })?.cause else {
      return #expect(Bool(false))
    }
    #expect(try read(5) == 100)
  }

  @Test func configurations() throws {
    func problems(_ change: (inout PageCache.Configuration) -> Void) -> [PageCache.Configuration.Problem] {
      var configuration = PageCache.Configuration(memoryLimit: 64 << 20)
      change(&configuration)
      let problems = configuration.problems
      if !problems.isEmpty {
        let error = cacheError { _ = try PageCache(configuration) }
        guard case .configuration(let reported)? = error?.cause else { return [] }
        #expect(reported == problems)
        #expect(error?.operation == .create)
      }
      return problems
    }
    #expect(problems { _ in } == [])
    for limit in [Int.min, -1, 0, 4096, 1 << 20] {
      let found = problems { $0.memoryLimit = limit }
      guard case .memoryLimitTooSmall(limit, let needed)? = found.first else { return #expect(Bool(false)) }
      // What it asks for is enough.
      #expect(problems { $0.memoryLimit = needed } == [])
      #expect(problems { $0.memoryLimit = needed - 1 } != [])
    }
    #expect(problems { $0.memoryLimit = 2 << 40 } != [])
    #expect(problems { $0.folioOrders = -1...2 } != [])
    #expect(problems { $0.folioOrders = 0...10 } != [])
    #expect(problems { $0.maximumAtomicLength = 0 } != [])
    #expect(problems { $0.maximumAtomicLength = 5 << 20 } != [])
    #expect(problems { $0.maximumAtomicLength = Int.max } != [])
    #expect(problems { $0.ioThreads = 0 } != [])
    #expect(problems { $0.ioThreads = 65 } != [])
    let several = problems {
      $0.ioThreads = 0
      $0.folioOrders = 3...12
    }
    #expect(several.count == 2)
  }

  @Test func afterClose() throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(10_000))
    _ = try file.read(fromAbsoluteOffset: 0, count: 10_000)
    try file.close()
    let calls: [() throws -> Void] = [
      { _ = try file.read(fromAbsoluteOffset: 0, count: 10) },
      { _ = try unsafe file.read(fromAbsoluteOffset: 0, into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) },
      { try file.withBytes(atAbsoluteOffset: 0, count: 10) { _ in } },
      { _ = try file.residency() }, { _ = try file.size }, { try file.close() },
    ]
    for call in calls {
      guard case .closed? = cacheError({ try call() })?.cause else { return #expect(Bool(false)) }
    }
    #expect(try cache.statistics().openFiles == 0)
  }

  @Test func aFileThatShrinksBehindOurBack() throws {
    try withTemporaryDirectory { directory in
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: 1 << 20)
      let cache = try smallCache()
      let file = try cache.open(pattern.path)
      #expect(try file.read(fromAbsoluteOffset: 0, count: 4096) == patternBytes(0..<4096))
      unsafe pattern.path.withPlatformString { unsafe _ = truncate($0, 10_000) }
      let error = cacheError { _ = try file.read(fromAbsoluteOffset: 8192, count: 4096) }
      #expect(error?.operation == .read)
      #expect(error?.range == 8192..<12_288)
      guard case .store(let store)? = error?.cause, case .shrank(12_288, 10_000) = store.cause else {
        return #expect(Bool(false), "\(error as Any)")
      }
      // What is cached is still served. What is still there may be anything by now: not before it has been accepted.
      #expect(try file.read(fromAbsoluteOffset: 0, count: 4096) == patternBytes(0..<4096))
      let other = cacheError { _ = try file.read(fromAbsoluteOffset: 4096, count: 4096) }
      guard case .store(let changed)? = other?.cause, case .changedByOthers(1_048_576, 10_000) = changed.cause else {
        return #expect(Bool(false), "\(other as Any)")
      }
      #expect(try cache.statistics().failedFills == 2)
      try file.invalidate()
      #expect(try file.size == 10_000)
      #expect(try file.read(fromAbsoluteOffset: 4096, count: 8192) == patternBytes(4096..<10_000))
    }
  }

  @Test func storesThatLie() throws {
    let cache = try smallCache()
    for size in [Int64.min, -1, .max] {
      let store = FaultInjectingStore(LyingStore(size: size))
      guard case .impossibleSize(size)? = cacheError({ _ = try cache.open(store: store) })?.cause else {
        return #expect(Bool(false))
      }
      #expect(store.closeCount == 1)
    }
    let silent = FaultInjectingStore(patternStore(10))
    silent.failStatus(with: .system(.ioError))
    guard case .store? = cacheError({ _ = try cache.open(store: silent) })?.cause else { return #expect(Bool(false)) }
    #expect(silent.closeCount == 1)
    // The largest file: only its two ends are read.
    let vast = try cache.open(store: LyingStore(size: PageCache.maximumFileSize))
    #expect(try vast.read(fromAbsoluteOffset: PageCache.maximumFileSize - 3, count: 10).count == 3)
    #expect(try vast.read(fromAbsoluteOffset: 0, count: 3).count == 3)
    #expect(try vast.residency().count == 2)
  }
}

/// Says any size, and reads as zeros.
final class LyingStore: BackingStore {
  let claimed: Int64
  init(size: Int64) { claimed = size }
  let name = "liar"
  var identity: StoreIdentity { StoreIdentity(realm: "liar", object: "\(ObjectIdentifier(self))") }
  func status() throws(StoreError) -> StoreStatus {
    StoreStatus(size: claimed, changeStamp: .init(seconds: 0, nanoseconds: 0))
  }
  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    for index in unsafe request.segments.indices {
      unsafe zeroBytes(request.segments[index].baseAddress!, count: request.segments[index].count)
    }
    completion(.success(request.count))
  }
  func close() {}
}
