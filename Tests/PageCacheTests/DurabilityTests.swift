import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P7: what a write that has returned is worth, and what a sync adds.
@Suite struct DurabilityTests {
  /// A store whose calls of one kind fail while that is wanted.
  struct Fragile {
    let memory: MemoryStore
    let store: FaultInjectingStore
    private let isBroken = Word()

    init(
      _ bytes: [UInt8], failing kind: FaultInjectingStore.Call,
      fault: FaultInjectingStore.Fault = .fail(.system(.ioError)), identity: StoreIdentity? = nil
    ) {
      memory = MemoryStore(bytes: bytes, identity: identity)
      let isBroken = isBroken
      store = FaultInjectingStore(memory, calls: { _, call in call == kind && isBroken.value != 0 ? fault : nil })
    }

    func breakDown() { isBroken.set(1) }
    func heal() { isBroken.set(0) }
  }

  static func cache(age: Duration = .seconds(3600), limit: Int = 8 << 20) throws -> PageCache {
    try PageCache(.init(memoryLimit: limit, maximumAtomicLength: 1 << 16, writeBackAge: age, readAheadLength: 0))
  }

  @Test func whatTheKernelHasAndWhen() throws {
    try withTemporaryDirectory { directory in
      let cache = try Self.cache()
      let path = directory.appending("file")
      let through = try cache.open(path, .readWrite(creation: .exclusively))
      let back = try cache.open(path, .readWrite(durability: .writeBack))
      var model = BytesModel()
      try through.write(toAbsoluteOffset: 0, someBytes(50_000))
      model.write(someBytes(50_000), at: 0)
      #expect(try kernelBytes(path) == model.bytes, "at once")
      try through.write(toAbsoluteOffset: 777, someBytes(100, 2))
      model.write(someBytes(100, 2), at: 777)
      #expect(try kernelBytes(path) == model.bytes, "in place, at once")

      for (offset, seed) in [(100, 3), (20_000, 4), (60_000, 5)] {
        try back.write(toAbsoluteOffset: Int64(offset), someBytes(10, seed))
      }
      #expect(try kernelBytes(path) == model.bytes, "not yet")
      try back.flush(20_000..<20_001)
      model.write(someBytes(10, 4), at: 20_000)
      #expect(try kernelBytes(path) == model.bytes, "this page, and no other")
      try through.close()
      model.write(someBytes(10, 3), at: 100)
      model.write(someBytes(10, 5), at: 60_000)
      #expect(try kernelBytes(path) == model.bytes, "any handle's close")
      try back.write(toAbsoluteOffset: 5, [1])
      model.write([1], at: 5)
      try back.sync()
      #expect(try kernelBytes(path) == model.bytes, "a sync")
      try back.write(toAbsoluteOffset: 6, [2])
      model.write([2], at: 6)
      try back.close()
      #expect(try kernelBytes(path) == model.bytes, "the last close")
      #expect(try cache.statistics().owedFrames == 0)
    }
  }

  @Test func aHandleThatIsDroppedWritesBack() throws {
    let memory = MemoryStore(bytes: someBytes(10_000))
    let cache = try Self.cache()
    do {
      let file = try cache.open(store: memory, .readWrite(durability: .writeBack))
      try file.write(toAbsoluteOffset: 3, [1, 2, 3])
    }
    #expect(memory.bytes(in: 3..<6) == [1, 2, 3])
    #expect(try cache.statistics().owedFrames == 0)
  }

  @Test(arguments: PageCache.Durability.allCases, [true, false])
  func aSyncMakesDurableWhatReturned(_ durability: PageCache.Durability, dataOnly: Bool) throws {
    let memory = MemoryStore(bytes: someBytes(10_000))
    let cache = try Self.cache()
    let file = try cache.open(store: memory, .readWrite(durability: durability))
    var model = BytesModel(bytes: someBytes(10_000))
    let steps: [(inout BytesModel) throws -> Void] = [
      {
        try file.write(toAbsoluteOffset: 100, someBytes(30_000, 2))
        $0.write(someBytes(30_000, 2), at: 100)
      },
      {
        try file.resize(to: 5000)
        $0.resize(5000)
      },
      {
        try file.resize(to: 70_000)
        $0.resize(70_000)
      },
      {
        try file.append([1, 2])
        $0.write([1, 2], at: 70_000)
      },
      {
        try file.punchHole(0..<4500)
        $0.zero(0..<4500)
      },
      {
        try file.write(toAbsoluteOffset: 8000, [5])
        $0.write([5], at: 8000)
      },
    ]
    for (number, step) in steps.enumerated() {
      let before = memory.crashed()
      try step(&model)
      #expect(memory.crashed() == before, "step \(number), before the sync")
      try file.sync(dataOnly: dataOnly)
      #expect(memory.crashed() == model.bytes, "step \(number), after it")
      #expect(try cache.statistics().owedFrames == 0)
    }
    try file.close()
  }

  /// B6: nobody takes for durable what a failed flush has lost.
  @Test(arguments: PageCache.Durability.allCases, [false, true])
  func aFailedFlush(_ durability: PageCache.Durability, loses: Bool) throws {
    let identity = StoreIdentity(realm: "test", object: "fragile \(durability) \(loses)")
    let fault: FaultInjectingStore.Fault = loses ? .failAndLose(.system(.ioError)) : .fail(.system(.ioError))
    let fragile = Fragile(someBytes(30_000), failing: .flush, fault: fault, identity: identity)
    let cache = try Self.cache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: fragile.store, .readWrite(durability: durability))
    let other = try cache.open(store: MemoryStore(bytes: [], identity: identity))
    var model = BytesModel(bytes: someBytes(30_000))
    for offset in [10, 9000, 29_000] {
      try file.write(toAbsoluteOffset: Int64(offset), someBytes(2000, offset))
      model.write(someBytes(2000, offset), at: offset)
    }
    fragile.breakDown()
    let error = expectRefusal(.sync, "writeBackFailed") { try file.sync() }
    guard case .writeBackFailed(let errors, before: 0)? = error?.cause else { return #expect(Bool(false)) }
    #expect(errors.map(\.cause) == [.system(.ioError)] && errors.map(\.operation) == [.flush])
    #expect(try contents(file) == model.bytes)
    #expect(try cache.statistics().owedFrames == 3)
    #expect(try cache.statistics().failedFlushes == 1)
    if loses { #expect(fragile.memory.bytes().prefix(29_000) == someBytes(29_000)[...], "the store has lost it") }
    // And again: it is another failure.
    expectRefusal(.flush, "writeBackFailed") { try file.flush(0..<100) }
    fragile.heal()
    try file.sync()
    #expect(fragile.memory.crashed() == model.bytes)
    #expect(try cache.statistics().owedFrames == 0)
    // The other handle is told of both, once.
    let told = expectRefusal(.sync, "writeBackFailed") { try other.sync() }
    guard case .writeBackFailed(let both, before: 0)? = told?.cause else { return #expect(Bool(false)) }
    #expect(both.count == 2)
    try other.sync()
    try file.sync()
    try other.close()
    try file.close()
    #expect(fragile.memory.crashed() == model.bytes)
    try expectAllFramesBack(cache, before)
  }

  @Test(arguments: [FaultInjectingStore.Fault.fail(.system(.noSpace)), .short(0), .short(5000)])
  func aFailedWriteBack(_ fault: FaultInjectingStore.Fault) throws {
    let identity = StoreIdentity(realm: "test", object: "fragile writes \(fault)")
    let fragile = Fragile(someBytes(30_000), failing: .write, fault: fault, identity: identity)
    let cache = try Self.cache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: fragile.store, .readWrite(durability: .writeBack))
    let other = try cache.open(store: MemoryStore(bytes: [], identity: identity))
    var model = BytesModel(bytes: someBytes(30_000))
    try file.write(toAbsoluteOffset: 5000, someBytes(12_000, 2))
    model.write(someBytes(12_000, 2), at: 5000)
    fragile.breakDown()
    let isFatal = if case .short(5000) = fault { false } else { true }
    if isFatal {
      expectRefusal(.sync, "writeBackFailed") { try file.sync() }
      expectRefusal(.flush, "writeBackFailed") { try file.flush(5000..<5001) }
      #expect(fragile.memory.bytes() == someBytes(30_000))
      try file.flush(0..<10)
    }
    #expect(try contents(file) == model.bytes)
    // Changed again while it waits.
    try file.write(toAbsoluteOffset: 6000, [1, 2, 3])
    model.write([1, 2, 3], at: 6000)
    if isFatal { fragile.heal() }
    try file.sync()
    #expect(fragile.memory.crashed() == model.bytes)
    if isFatal { expectRefusal(.close, "writeBackFailed") { try other.close() } } else { try other.close() }
    #expect(other.isClosed, "the store has it by now")
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  /// Of one thread: what is done when the store is next asked for its status.
  private final class NextStatus: @unchecked Sendable {
    var act: (() throws -> Void)?
    func happens() throws {
      let act = act
      self.act = nil
      try act?()
    }
  }

  /// A change that the store refuses leaves what others have given the store meanwhile, also where that has made it longer.
  @Test(arguments: [StoreRangeChange.punchHole, .allocate(keepingSize: false)])
  func aRefusedChangeBesideAWriteBack(_ change: StoreRangeChange) throws {
    let (failures, next) = (Failures(), NextStatus())
    let memory = MemoryStore(bytes: someBytes(4096))
    let store = FaultInjectingStore(
      memory,
      calls: { _, call in
        if call == .status { do { try next.happens() } catch { failures.add("\(error)") } }
        return call == .change(change) ? .fail(.system(.noSpace)) : nil
      })
    let cache = try Self.cache()
    let file = try cache.open(store: store, .readWrite(durability: .writeBack))
    var model = BytesModel(bytes: someBytes(4096))
    for (offset, seed) in [(4096, 2), (2 << 20, 3)] {
      try file.write(toAbsoluteOffset: Int64(offset), someBytes(100, seed))
      model.write(someBytes(100, seed), at: offset)
    }
    next.act = { try file.flush(4096..<4196) }
    let refusal = cacheError {
      if change == .punchHole {
        try file.punchHole(0..<4096)
      } else {
        try file.allocate(3 << 20..<4 << 20)
      }
    }
    #expect(refusal?.cause.storeCause == .system(.noSpace))
    if change != .punchHole { #expect(next.act == nil, "nobody looks how long the store has become") }
    try file.sync()
    #expect(memory.bytes() == model.bytes)
    #expect(try contents(file) == model.bytes)
    try file.close()
    #expect(failures.all.isEmpty)
  }

  @Test func aCloseThatTheStoreRefuses() throws {
    let fragile = Fragile(someBytes(10_000), failing: .write)
    let cache = try Self.cache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: fragile.store, .readWrite(durability: .writeBack))
    try file.write(toAbsoluteOffset: 5, [1, 2, 3])
    fragile.breakDown()
    for _ in 0..<3 {
      let error = expectRefusal(.close, "writeBackFailed") { try file.close() }
      #expect(error?.cause.storeCause == .system(.ioError))
      #expect(!file.isClosed && fragile.store.closeCount == 0)
    }
    #expect(try file.read(fromAbsoluteOffset: 4, count: 5) == [someBytes(10)[4], 1, 2, 3, someBytes(10)[8]])
    fragile.heal()
    try file.close()
    #expect(file.isClosed && fragile.store.closeCount == 1)
    #expect(fragile.memory.bytes(in: 5..<8) == [1, 2, 3])
    try expectAllFramesBack(cache, before)
  }

  @Test func discardingWhatIsDirty() throws {
    let fragile = Fragile(someBytes(10_000), failing: .write)
    let cache = try Self.cache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: fragile.store, .readWrite(durability: .writeBack))
    try file.write(toAbsoluteOffset: 5, someBytes(9000, 2))
    fragile.breakDown()
    expectRefusal(.close, "writeBackFailed") { try file.close() }
    try file.close(discardingDirty: true)
    #expect(file.isClosed && fragile.store.closeCount == 1)
    #expect(fragile.memory.bytes() == someBytes(10_000))
    #expect(try cache.statistics().owedFrames == 0)
    try expectAllFramesBack(cache, before)
    // Of a failure that nobody was told of yet, this close tells.
    let again = Fragile(someBytes(10), failing: .write)
    let first = try cache.open(store: again.store, .readWrite(durability: .writeBack))
    let second = try cache.open(store: MemoryStore(bytes: [], identity: again.memory.identity))
    try first.write(toAbsoluteOffset: 0, [1])
    again.breakDown()
    expectRefusal(.sync, "writeBackFailed") { try first.sync() }
    expectRefusal(.close, "writeBackFailed") { try second.close(discardingDirty: true) }
    try? first.close(discardingDirty: true)
    #expect(first.isClosed && second.isClosed)
    try expectAllFramesBack(cache, before)
  }

  @Test func syncsOfManyThreads() throws {
    let memory = MemoryStore(holeOf: 0)
    let store = FaultInjectingStore(
      memory, calls: { _, call in call == .flush ? .delay(milliseconds: 1, then: nil) : nil })
    let cache = try Self.cache()
    let back = try cache.open(store: store, .readWrite(durability: .writeBack))
    let through = try cache.open(store: MemoryStore(bytes: [], identity: memory.identity), .readWrite())
    let failures = Failures()
    let rounds = isSanitized ? 8 : 30
    onThreads(6) { thread in
      let file = thread % 2 == 0 ? back : through
      do {
        for round in 0..<rounds {
          // Each has pages of its own, and some that it shares with its neighbour.
          let offset = thread * 7000
          let bytes = [UInt8](repeating: UInt8(thread * 40 + round), count: 7000)
          try file.write(toAbsoluteOffset: Int64(offset), bytes)
          try file.sync(dataOnly: round % 2 == 0)
          let crashed = memory.crashed()
          failures.check(
            crashed.count >= offset + 7000 && Array(crashed[offset..<offset + 7000]) == bytes,
            "thread \(thread), round \(round): not durable")
        }
      } catch { failures.add("\(error)") }
    }
    #expect(failures.all == [])
    #expect(try cache.statistics().owedFrames == 0)
    #expect(store.callCount(of: .flush) < 6 * rounds, "some were covered by those of others")
    try back.close()
    try through.close()
  }
}
