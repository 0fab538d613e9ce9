import BackingStores
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P6: bounded, and usable at the limit.
@Suite struct LimitTests {
  @Test(arguments: [0...0, 0...4, 9...9]) func aFileLargerThanTheCache(orders: ClosedRange<Int>) throws {
    let cache = try smallCache(limit: 8 << 20, orders: orders)
    let byteCount = 64 << 20
    let file = try cache.open(store: LyingStore(size: Int64(byteCount)))
    var random = RandomWords(seed: testSeed)
    for _ in 0..<2000 {
      let count = try file.read(
        fromAbsoluteOffset: Int64(random.next(below: UInt64(byteCount - 10_000))), count: 10_000)
      #expect(count.count == 10_000)
    }
    #expect(try cache.statistics().evictions > 0)
    #expect(try cache.statistics().frames * (4096 + 64) <= 8 << 20)
    // The background may be evicting still, and what moves while it is counted counts twice.
    try #expect(
      eventually {
        let statistics = try cache.statistics()
        let used = statistics.cachedFramesByOrder.reduce(0, +) + statistics.freeFrames + statistics.nodeFrames
        return used + statistics.deferredFrames <= statistics.frames
      })
  }

  @Test func loansAtTheLimitGetAnErrorAndTheCacheRecovers() throws {
    let cache = try smallCache(limit: 2 << 20, atomic: 4096)
    let file = try cache.open(store: patternStore(8 << 20))
    // Hold frame upon frame until there are no more.
    func hold(_ page: Int) throws {
      try file.withBytes(atAbsoluteOffset: Int64(page) * 4096, count: 4096) { span in
        #expect(unsafe span.withUnsafeBytes { unsafe PatternFile.firstMismatch($0, at: UInt64(page) * 4096) } == nil)
        if page < 600 { try hold(page + 1) }
      }
    }
    let error = cacheError { try hold(0) }
    guard case .noFrames(limit: 2 << 20)? = error?.cause else { return #expect(Bool(false), "\(error as Any)") }
    #expect(error?.file == "memory")
    #expect(error?.range != nil)
    #expect(try file.read(fromAbsoluteOffset: 7 << 20, count: 5000) == patternBytes(7 << 20..<(7 << 20) + 5000))
  }

  @Test func manyThreadsReadTheAtomicLengthAtTheSmallestLimit() throws {
    var configuration = PageCache.Configuration(memoryLimit: 0, maximumAtomicLength: 1 << 20)
    guard case .memoryLimitTooSmall(_, let needed)? = configuration.problems.first else { return #expect(Bool(false)) }
    configuration.memoryLimit = needed
    let cache = try PageCache(configuration)
    let file = try cache.open(store: patternStore(16 << 20))
    let wrong = SharedCounter()
    onThreads(8) { thread in
      var random = RandomWords(seed: testSeed &+ UInt64(thread))
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
      defer { unsafe buffer.deallocate() }
      for _ in 0..<6 {
        let offset = Int64(random.next(below: 15 << 20))
        do {
          let done = try unsafe file.read(fromAbsoluteOffset: offset, into: buffer)
          let mismatch = unsafe PatternFile.firstMismatch(UnsafeRawBufferPointer(buffer), at: UInt64(offset))
          if done != 1 << 20 || mismatch != nil { wrong.add(1) }
        } catch {
          wrong.add(1)
          Issue.record("\(error)")
        }
      }
    }
    #expect(wrong.value == 0)
  }

  @Test(arguments: [true, false]) func stress(usesMembarrier: Bool) throws {
    try withTemporaryDirectory { directory in
      var stress = ReadStress()
      stress.reads = 30_000
      stress.threads = 4
      stress.fileByteCount = 48 << 20
      stress.seed = testSeed
      stress.usesMembarrier = usesMembarrier
      let report = try stress.run(in: directory)
      #expect(report.isClean, "\(report.firstFailure ?? "")")
      #expect(report.reads >= 30_000)
      #expect(report.statistics!.evictions > 500)
    }
  }
}
