import BackingStores
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

@Suite struct AsyncReadingTests {
  @Test func missesSuspendAndHitsDoNot() async throws {
    try await withTemporaryDirectory { directory in
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: 2_000_000)
      let cache = try smallCache()
      let file = try cache.open(pattern.path)
      for _ in 0..<2 {
        #expect(try await file.read(fromAbsoluteOffset: 777, count: 300_000) == patternBytes(777..<300_777))
      }
      #expect(try await file.read(fromAbsoluteOffset: 1_999_990, count: 50) == patternBytes(1_999_990..<2_000_000))
      #expect(try await file.read(fromAbsoluteOffset: 2_000_000, count: 50) == [])
    }
  }

  @Test func manyTasksShareFills() async throws {
    let store = FaultInjectingStore(patternStore(1 << 20)) { _, _ in .delay(milliseconds: 1, then: nil) }
    let cache = try smallCache()
    let file = try cache.open(store: store)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<200 {
        group.addTask {
          let offset = (task % 50) * 16_384
          let bytes = try await file.read(fromAbsoluteOffset: Int64(offset), count: 20_000)
          return bytes == patternBytes(offset..<offset + 20_000)
        }
      }
      for try await isRight in group { #expect(isRight) }
    }
    // No folio was filled twice: the file's 256 pages came in at most once each.
    let statistics = try cache.statistics()
    #expect(statistics.filledBytes <= 1 << 20)
    #expect(statistics.evictions == 0)
  }

  @Test func tasksAtTheMemoryLimit() async throws {
    let cache = try smallCache(limit: 2 << 20)
    let file = try cache.open(store: patternStore(16 << 20))
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<64 {
        group.addTask {
          var random = RandomWords(seed: testSeed &+ UInt64(task))
          for _ in 0..<20 {
            let offset = Int(random.next(below: 15 << 20))
            let count = Int(random.next(below: 200_000)) + 1
            let bytes = try await file.read(fromAbsoluteOffset: Int64(offset), count: count)
            let mismatch = unsafe bytes.withUnsafeBytes { unsafe PatternFile.firstMismatch($0, at: UInt64(offset)) }
            if bytes.count != count || mismatch != nil { return false }
          }
          return true
        }
      }
      for try await isRight in group { #expect(isRight) }
    }
  }

  @Test func chunks() async throws {
    let cache = try smallCache()
    let file = try cache.open(store: patternStore(1_000_000))
    var all: [UInt8] = []
    for try await chunk in file.chunks(of: 77_777) { all += chunk }
    #expect(all == patternBytes(0..<1_000_000))
    var part: [UInt8] = []
    for try await chunk in file.chunks(of: 1000, in: 995_500..<2_000_000) { part += chunk }
    #expect(part == patternBytes(995_500..<1_000_000))
    for try await _ in file.chunks(in: 5..<5) { Issue.record("an empty range has no chunk") }
  }

  @Test func errorsReachTheTask() async throws {
    let store = FaultInjectingStore(patternStore(100_000)) { call, _ in
      call == 1 ? .fail(.system(.ioError)) : nil
    }
    let cache = try smallCache()
    let file = try cache.open(store: store)
    do {
      _ = try await file.read(fromAbsoluteOffset: 0, count: 10)
      Issue.record("nothing was thrown")
    } catch {
      guard case .store(let cause) = error.cause else { throw error }
      #expect(cause.cause == .system(.ioError))
    }
    #expect(try await file.read(fromAbsoluteOffset: 0, count: 10) == patternBytes(0..<10))
  }
}
