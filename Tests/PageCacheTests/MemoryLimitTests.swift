import BackingStores
import PageCache
import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

/// P6: the limit, changed while the cache is in use.
@Suite struct MemoryLimitTests {
  private func cache(_ limit: Int, most: Int? = nil) throws -> PageCache {
    try PageCache(.init(memoryLimit: limit, maximumAtomicLength: 1 << 16, maximumMemoryLimit: most))
  }

  @Test func lowerAndHigherAgain() throws {
    let cache = try cache(16 << 20, most: 64 << 20)
    let file = try cache.open(store: patternStore(64 << 20))
    func readAll(_ step: Int = 4096) throws {
      for offset in stride(from: 0, to: 60 << 20, by: step) {
        #expect(try file.read(fromAbsoluteOffset: Int64(offset), count: 64) == patternBytes(offset..<offset + 64))
      }
    }
    try readAll()
    #expect(cache.residentBytes > 14 << 20)
    for limit in [4 << 20, 64 << 20, 5 << 20, 20 << 20, 3 << 20, 16 << 20] {
      try cache.setMemoryLimit(limit)
      #expect(cache.memoryLimit == limit)
      let statistics = try cache.statistics()
      #expect(statistics.frames * 4096 <= limit && statistics.frames * 4096 > limit * 8 / 10 - (1 << 20))
      let once = cache.residentBytes
      #expect(once <= limit, "after lowering, \(once) bytes are resident of \(limit)")
      try readAll(4096 * 3)
      let then = cache.residentBytes
      #expect(then <= limit + (2 << 20), "in use, \(then) bytes are resident of \(limit)")
    }
    try file.close()
    cache.reclaimDeferred()
    let statistics = try cache.statistics()
    #expect(statistics.freeFrames + statistics.nodeFrames == statistics.frames)
  }

  @Test func limitsThatCannotBe() throws {
    let cache = try cache(8 << 20)
    let before = try cache.statistics().frames
    for limit in [8 << 20 + 1, Int.max, 0, -1, Int.min, 100_000] {
      let error = cacheError { try cache.setMemoryLimit(limit) }
      guard case .configuration(let problems)? = error?.cause else {
        Issue.record("\(limit): \(error as Any)"); continue
      }
      switch problems.first {
      case .memoryLimitTooLarge(limit, largest: 8 << 20): #expect(limit > 8 << 20)
      case .memoryLimitTooSmall(limit, let needed):
        // What it says is enough, is.
        try cache.setMemoryLimit(needed)
        try cache.setMemoryLimit(8 << 20)
      default: Issue.record("\(problems)")
      }
      #expect(try cache.statistics().frames == before && cache.memoryLimit == 8 << 20)
    }
    #expect(throws: CacheError.self) { try self.cache(8 << 20, most: 4 << 20) }
  }

  @Test func whatIsLentStays() throws {
    let cache = try cache(8 << 20)
    let file = try cache.open(store: patternStore(64 << 20))
    func hold(_ page: Int, _ body: () throws -> Void) throws {
      if page == 900 { return try body() }
      try file.withBytes(atAbsoluteOffset: Int64(page) * 4096, count: 4096) { span in
        try hold(page + 1, body)
        #expect(unsafe span.withUnsafeBytes { unsafe PatternFile.firstMismatch($0, at: UInt64(page) * 4096) } == nil)
      }
    }
    func whileHeld() throws {
      let error = cacheError { try cache.setMemoryLimit(2 << 20) }
      guard case .limitNotReached(2 << 20, let held)? = error?.cause else {
        return #expect(Bool(false), "\(error as Any)")
      }
      #expect(cache.memoryLimit == 8 << 20 && held > 900 * 4096 && held < 6 << 20)
      #expect(error?.operation == .setLimit && error?.description.contains("set memory limit") == true)
      // What is left serves others.
      #expect(try file.read(fromAbsoluteOffset: 40 << 20, count: 3) == patternBytes(40 << 20..<(40 << 20) + 3))
    }
    try hold(0, whileHeld)
    try cache.setMemoryLimit(2 << 20)
    #expect(try file.read(fromAbsoluteOffset: 1, count: 30_000) == patternBytes(1..<30_001))
  }

  @Test func whatAStoreRefusesStays() throws {
    let fragile = DurabilityTests.Fragile([], failing: .write)
    fragile.breakDown()
    let cache = try cache(16 << 20)
    let file = try cache.open(store: fragile.store, .readWrite(durability: .writeBack))
    var model = BytesModel()
    for page in 0..<1000 {
      try file.write(toAbsoluteOffset: Int64(page) * 4096, someBytes(4096, page))
      model.write(someBytes(4096, page), at: page * 4096)
    }
    let owed = try cache.statistics().owedFrames
    #expect(owed == 1000)
    let error = cacheError { try cache.setMemoryLimit(2 << 20) }
    guard case .limitNotReached(2 << 20, let held)? = error?.cause else {
      return #expect(Bool(false), "\(error as Any)")
    }
    #expect(cache.memoryLimit == 16 << 20 && held >= owed * 4096 && held < 8 << 20)
    #expect(try contents(file) == model.bytes)
    fragile.heal()
    // It may tell of the failures.
    try? file.sync()
    try cache.setMemoryLimit(2 << 20)
    #expect(try contents(file) == model.bytes)
    try? file.close()
    #expect(fragile.memory.bytes() == model.bytes)
  }

  /// Reads, writes and loans go on while the limit goes up and down.
  @Test func besideEverythingElse() throws {
    let cache = try cache(16 << 20, most: 32 << 20)
    let pages = 6000
    let store = MemoryStore(bytes: [UInt8](repeating: 0, count: pages * 4096))
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    let (failures, isOver) = (Failures(), Word())
    // Each page is one byte all over at any time, and each thread writes pages of its own.
    onThreads(4) { thread in
      var random = RandomWords(seed: testSeed &+ UInt64(thread))
      do {
        if thread == 0 {
          for _ in 0..<(isSanitized ? 6 : 30) {
            try cache.setMemoryLimit(Int(random.next(below: 30)) << 20 + 2 << 20)
            sleepNanoseconds(10_000_000)
          }
          isOver.set(1)
          return
        }
        while isOver.value == 0 {
          let page = Int64(random.next(below: UInt64(pages)))
          if page % 3 == thread - 1 {
            try file.write(
              toAbsoluteOffset: page * 4096, [UInt8](repeating: UInt8(random.next(below: 256)), count: 4096))
          } else {
            let bytes = try file.read(fromAbsoluteOffset: page * 4096, count: 4096)
            failures.check(bytes.allSatisfy { $0 == bytes[0] }, "page \(page) is torn")
          }
        }
      } catch {
        failures.add("\(error)")
        isOver.set(1)
      }
    }
    #expect(failures.all == [])
    try file.sync()
    #expect(try contents(file) == store.bytes())
    try file.close()
    cache.reclaimDeferred()
    #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
    let statistics = try cache.statistics()
    #expect(statistics.freeFrames + statistics.nodeFrames == statistics.frames)
  }
}
