import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What is written back without being asked for, and what happens when it cannot be.
@Suite struct BackgroundTests {
  @Test(arguments: PageCache.Durability.allCases) func afterItsAge(_ durability: PageCache.Durability) throws {
    let memory = MemoryStore(bytes: someBytes(30_000))
    let cache = try DurabilityTests.cache(age: .milliseconds(20))
    let file = try cache.open(store: memory, .readWrite(durability: durability))
    for seed in 2...3 {
      try file.write(toAbsoluteOffset: 5000, someBytes(40_000, seed))
      let expected = someBytes(5000) + someBytes(40_000, seed)
      #expect(eventually { memory.crashed() == expected })
      #expect(eventually { (try? cache.statistics().owedFrames) == 0 })
    }
    // What takes no page is made durable as well.
    try file.resize(to: 100)
    #expect(eventually { memory.crashed().count == 100 })
    try file.close()
  }

  @Test func notBeforeItsAge() throws {
    let memory = MemoryStore(bytes: someBytes(30_000))
    let cache = try DurabilityTests.cache()
    let file = try cache.open(store: memory, .readWrite(durability: .writeBack))
    try file.write(toAbsoluteOffset: 5000, someBytes(40_000, 2))
    sleepNanoseconds(300_000_000)
    #expect(memory.bytes() == someBytes(30_000))
    try file.close()
  }

  /// Neither is what is on its way to a slow store.
  @Test func aSlowWriteBackIsNotOld() throws {
    let memory = MemoryStore(bytes: someBytes(30_000))
    let store = FaultInjectingStore(
      memory,
      calls: { _, call in call == .write ? .delay(milliseconds: 400, then: .fail(.system(.ioError))) : nil })
    let cache = try DurabilityTests.cache()
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    try file.write(toAbsoluteOffset: 5000, someBytes(100, 2))
    expectRefusal(.sync, "writeBackFailed") { try file.sync() }
    // Both are the sync's.
    #expect(store.callCount(of: .write) == 1 && store.callCount(of: .flush) == 1)
    try file.close(discardingDirty: true)
  }

  @Test func atTheLimit() throws {
    let memory = MemoryStore(holeOf: 0)
    let cache = try DurabilityTests.cache(limit: 4 << 20)
    let file = try cache.open(store: memory, .readWrite(durability: .writeBack))
    let most = try cache.statistics().mostOwedFrames
    // Less than the limit, and much of it: the background begins, though nothing is old.
    for page in 0..<most / 3 { try file.write(toAbsoluteOffset: Int64(page) * 4096, someBytes(4096, page)) }
    #expect(eventually { (try? cache.statistics().owedFrames) ?? .max < most / 4 })
    // Many times the limit: it waits for the store, and there is never more than the limit.
    for page in 0..<(isSanitized ? 1000 : 3000) {
      try file.write(toAbsoluteOffset: Int64(page) * 4096, someBytes(4096, page))
      if page % 100 == 0 { #expect(try cache.statistics().owedFrames <= most) }
    }
    try file.sync()
    #expect(try cache.statistics().owedFrames == 0)
    for page in stride(from: 0, to: isSanitized ? 1000 : 3000, by: 97) {
      #expect(memory.bytes(in: Int64(page) * 4096..<Int64(page + 1) * 4096) == someBytes(4096, page))
    }
    try file.close()
  }

  /// What is changed in place while a flush goes by is owed to the next one, and to no other.
  @Test func aFlushBesideALongChangeInPlace() throws {
    let memory = MemoryStore(holeOf: 0)
    let cache = try PageCache(.init(memoryLimit: 16 << 20, maximumAtomicLength: 1 << 20, writeBackAge: .seconds(3600)))
    let file = try cache.open(store: memory, .readWrite(durability: .writeThrough))
    let bytes = someBytes(200_000)
    try file.write(toAbsoluteOffset: 0, bytes)
    let (failures, isDone) = (Failures(), Word())
    for _ in 0..<(isSanitized ? 10 : 60) {
      isDone.set(0)
      onThreads(2) { thread in
        do {
          if thread == 0 {
            try file.write(toAbsoluteOffset: 0, bytes)
            isDone.set(1)
          } else {
            while isDone.value == 0 { try file.sync() }
          }
        } catch {
          failures.add("\(error)")
          isDone.set(1)
        }
      }
      try file.sync()
      #expect(try cache.statistics().owedFrames == 0)
    }
    #expect(failures.all == [])
    try file.close()
  }

  @Test func aFlushBesideARefusedWriteInPlace() throws {
    let memory = MemoryStore(bytes: someBytes(200_000))
    let (gate, isArmed) = (FaultInjectingStore.Gate(), Word())
    let store = FaultInjectingStore(
      memory,
      calls: { _, call in
        call == .write && isArmed.value == 1 ? .hold(gate, then: .fail(.system(.ioError))) : nil
      })
    let cache = try DurabilityTests.cache()
    let file = try cache.open(store: store, .readWrite(durability: .writeThrough))
    #expect(try contents(file) == someBytes(200_000))
    // So that there is something to flush before the pages go.
    try file.write(toAbsoluteOffset: 150_000, someBytes(10, 2))
    isArmed.set(1)
    let failures = Failures()
    onThreads(2) { thread in
      do {
        if thread == 0 {
          expectRefusal(.write, "store") { try file.write(toAbsoluteOffset: 100, someBytes(10, 3)) }
          return
        }
        gate.waitForArrivals(1)
        isArmed.set(0)
        try file.collapseRange(135_168..<155_648)
      } catch { failures.add("\(error)") }
      gate.release()
    }
    #expect(failures.all == [])
    try file.sync()
    #expect(try cache.statistics().owedFrames == 0)
    try file.close()
  }

  /// P6: a store that does not answer holds up its own writers.
  @Test func aStuckStoreDoesNotStopTheOthers() throws {
    let gate = FaultInjectingStore.Gate()
    let memory = [MemoryStore(holeOf: 0), MemoryStore(holeOf: 0)]
    let stuck = FaultInjectingStore(memory[0], calls: { _, call in call == .write ? .hold(gate, then: nil) : nil })
    let cache = try DurabilityTests.cache(limit: 4 << 20)
    let before = try cache.statistics().freeFrames
    let files = [
      try cache.open(store: stuck, .readWrite(durability: .writeBack)),
      try cache.open(store: memory[1], .readWrite(durability: .writeBack)),
    ]
    let failures = Failures()
    let (isDone, pages) = (Word(), 2000)
    onThreads(2) { thread in
      do {
        if thread == 0 {
          for page in 0..<pages { try files[0].write(toAbsoluteOffset: Int64(page) * 4096, someBytes(4096, page)) }
          isDone.set(1)
          return
        }
        gate.waitForArrivals(1)
        // The first has filled its share by then, or will.
        sleepNanoseconds(100_000_000)
        for page in 0..<pages { try files[1].write(toAbsoluteOffset: Int64(page) * 4096, someBytes(4096, page)) }
        try files[1].sync()
        failures.check(isDone.value == 0, "the first has gone on, though its store is stuck")
      } catch { failures.add("\(error)") }
      gate.release()
    }
    #expect(failures.all == [] && isDone.value == 1)
    try files[0].sync()
    for store in memory {
      #expect(store.crashed() == (0..<pages).flatMap { someBytes(4096, $0) })
    }
    #expect(try cache.statistics().owedFrames == 0)
    for file in files { try file.close() }
    try expectAllFramesBack(cache, before)
  }

  @Test(arguments: [FaultInjectingStore.Call.write, .flush])
  func aStoreThatFailsForEver(_ call: FaultInjectingStore.Call) throws {
    let fragile = DurabilityTests.Fragile([], failing: call)
    fragile.breakDown()
    let cache = try DurabilityTests.cache(limit: 4 << 20)
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: fragile.store, .readWrite(durability: .writeBack))
    var model = BytesModel()
    var refused: CacheError?
    for page in 0..<4000 {
      do throws(CacheError) { try file.write(toAbsoluteOffset: Int64(page) * 4096, someBytes(4096, page)) } catch {
        refused = error
        break
      }
      model.write(someBytes(4096, page), at: page * 4096)
    }
    guard case .dirtyLimit(let limit, let error)? = refused?.cause else {
      return #expect(Bool(false), "\(refused as Any)")
    }
    #expect(refused?.operation == .write && error.cause == .system(.ioError))
    #expect(try limit == cache.statistics().mostOwedFrames * 4096)
    // What was accepted is there, and other files are served.
    #expect(try contents(file) == model.bytes)
    let other = try cache.open(store: MemoryStore(holeOf: 100_000), .readWrite())
    try other.write(toAbsoluteOffset: 5, [1])
    try other.sync()
    try other.close()
    fragile.heal()
    // The background may be at it, too, and each failure is told once.
    if (try? file.sync()) == nil { try file.sync() }
    #expect(fragile.memory.crashed() == model.bytes)
    try file.write(toAbsoluteOffset: Int64(model.bytes.count), [1])
    try file.close()
    #expect(try cache.statistics().owedFrames == 0)
    try expectAllFramesBack(cache, before)
  }
}
