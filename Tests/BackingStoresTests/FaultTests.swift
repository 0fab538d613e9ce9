import BackingStores
import Glibc
import Primitives
import SystemPackage
import Testing

@Suite("Faults of every call", .timeLimit(.minutes(30)))
struct FaultTests {
  typealias Call = FaultInjectingStore.Call

  /// One of each kind, in this order.
  private static let calls: [Call] = [
    .claim, .prepareToWrite, .status, .read, .write, .change(.punchHole), .change(.zero(keepingSize: true)), .resize,
    .clone, .dedupe, .extent, .flush,
  ]

  /// Makes all calls until one fails. Returns the error.
  private func useAll(_ store: FaultInjectingStore) -> StoreError? {
    do {
      try store.claim(forWriting: true)
      try store.prepareToWrite()
      _ = try store.status()
      _ = try store.readAndWait(Frames(4096), at: 0).get()
      try store.write([1, 2, 3], at: 0)
      try store.change(.punchHole, 4096..<8192)
      try store.change(.zero(keepingSize: true), 0..<100)
      try store.resize(to: 12_288)
      try store.clone(0..<4096, of: store, to: 8192)
      _ = try store.dedupe(0..<4096, with: store, at: 8192)
      _ = try store.extent(at: 0)
      try store.flush(dataOnly: true)
      return nil
    } catch {
      return error
    }
  }

  private func makeStore() -> MemoryStore { MemoryStore(bytes: pattern(0..<8192)) }

  @Test func everyCallFailsInTurn() {
    var failed: [StoreError.Operation] = []
    for number in 1... {
      let store = FaultInjectingStore(makeStore(), failing: number)
      guard let error = useAll(store) else {
        #expect(store.callCount == number - 1, "no fault point is left")
        break
      }
      #expect(error.cause == .system(.ioError))
      #expect(error.store == "memory")
      #expect(store.callCount == number)
      failed.append(error.operation)
    }
    #expect(
      failed == [
        .claim, .open, .status, .read, .write, .punchHole, .zeroRange, .resize, .clone, .dedupe, .extent, .flush,
      ])
  }

  @Test func callsAreCounted() {
    let seen = Promise<Call>()
    let store = FaultInjectingStore(
      makeStore(),
      calls: { number, call in
        seen.fulfil(call)
        #expect(number == seen.count)
        return nil
      })
    #expect(useAll(store) == nil)
    #expect(seen.all == Self.calls)
    #expect(store.callCount == Self.calls.count)
    for call in Self.calls { #expect(store.callCount(of: call) == 1) }
    #expect(store.callCounts.count == Self.calls.count)
    #expect(store.callCount(of: .change(.collapse)) == 0)
    store.maximumSizeAndTheRest()
    #expect(store.callCount == Self.calls.count)
  }

  @Test(arguments: [false, true])
  func onceOrForGood(goesOn: Bool) throws {
    let store = FaultInjectingStore(makeStore(), failing: 2, goesOn: goesOn, cause: .system(.noSpace))
    try store.prepareToWrite()
    #expect(cause { try store.write([1], at: 0) } == .system(.noSpace))
    for _ in 0..<3 { #expect(cause { try store.write([1], at: 0) } == (goesOn ? .system(.noSpace) : nil)) }
    #expect(cause { try store.flush(dataOnly: true) } == (goesOn ? .system(.noSpace) : nil))
    #expect(cause { _ = try store.readAndWait(Frames(4096), at: 0).get() } == (goesOn ? .system(.noSpace) : nil))
  }

  @Test func nothingWasDoneByWhatFails() throws {
    let memory = makeStore()
    let store = FaultInjectingStore(memory, failing: 2, goesOn: true)
    try store.prepareToWrite()
    _ = cause { try store.write([1], at: 0) }
    _ = cause { try store.resize(to: 1) }
    _ = cause { try store.change(.punchHole, 0..<8192) }
    _ = cause { try store.clone(0..<4096, of: store, to: 4096) }
    #expect(memory.bytes() == pattern(0..<8192))
    let error = StoreError(operation: .write, store: "memory", range: 5..<7, cause: .system(.ioError))
    #expect(throws: error) { try store.write([1, 2], at: 5) }
  }

  /// What shares storage, and what tells of it, fails as everything else does, held up before or not.
  @Test(arguments: [Call.clone, .dedupe, .extent], [false, true])
  func sharingFails(call: Call, isHeld: Bool) throws {
    let gate = FaultInjectingStore.Gate()
    gate.release()
    let memory = makeStore()
    let failure = FaultInjectingStore.Fault.fail(.system(.noSpace))
    let fault = isHeld ? .hold(gate, then: failure) : failure
    let isWell = Promise<Void>()
    let store = FaultInjectingStore(
      memory, calls: { _, asked in asked == call && isWell.count == 0 ? fault : nil })
    try store.prepareToWrite()
    func ask() -> StoreError.Cause? {
      cause {
        switch call {
        case .clone: try store.clone(0..<4096, of: store, to: 4096)
        case .dedupe: _ = try store.dedupe(0..<4096, with: store, at: 4096)
        default: _ = try store.extent(at: 0)
        }
      }
    }
    #expect(ask() == .system(.noSpace))
    #expect(gate.arrivalCount == (isHeld ? 1 : 0))
    #expect(memory.bytes() == pattern(0..<8192), "nothing was done")
    isWell.fulfil(())
    #expect(ask() == nil)
  }

  @Test(arguments: [nil, 3])
  func shortWrites(segment: Int?) throws {
    let memory = makeStore()
    let store = FaultInjectingStore(memory, calls: { number, call in call == .write ? .short(number) : nil })
    try store.prepareToWrite()
    let bytes: [UInt8] = [101, 102, 103, 104, 105, 106]
    #expect(try store.write(bytes, at: 0, segment: segment) == 2)
    #expect(memory.bytes(in: 0..<8192) == [101, 102] + pattern(2..<8192))
    for _ in 0..<3 { try store.flush(dataOnly: true) }
    #expect(try store.write(bytes, at: 0, segment: segment) == 6)
    let lazy = FaultInjectingStore(memory, calls: { _, _ in .short(0) })
    #expect(try lazy.write(bytes, at: 100) == 0, "what no store may say")
    try lazy.flush(dataOnly: true)
    #expect(lazy.readAndWait(Frames(4096), at: 0) == .success(0))
  }

  /// B6: the kernel reports once that it could not write back, and forgets what it could not.
  @Test func aFlushThatFailsAndLoses() throws {
    let memory = makeStore()
    let store = FaultInjectingStore(memory, failing: 3, losing: true)
    try store.prepareToWrite()
    try store.write([1, 2, 3], at: 0)
    #expect(cause { try store.flush(dataOnly: true) } == .system(.ioError))
    #expect(memory.bytes() == pattern(0..<8192))
    try store.flush(dataOnly: true)
    #expect(memory.crashed() == pattern(0..<8192), "a flush that succeeds does not make up for it")
    try store.write([1, 2, 3], at: 0)
    try store.flush(dataOnly: true)
    #expect(memory.crashed() == [1, 2, 3] + pattern(3..<8192))
  }

  @Test func delaysAndGates() throws {
    let gate = FaultInjectingStore.Gate()
    let memory = makeStore()
    let store = FaultInjectingStore(
      memory,
      calls: { _, call in
        switch call {
        case .write: .hold(gate, then: nil)
        case .flush: .delay(milliseconds: 20, then: .fail(.other("late")))
        default: nil
        }
      })
    try store.prepareToWrite()
    let done = Promise<StoreError.Cause?>()
    let thread = JoinableThread(name: "held") {
      done.fulfil(cause { try store.write([9], at: 0) })
    }
    gate.waitForArrivals(1)
    #expect(memory.bytes(in: 0..<1) == pattern(0..<1))
    gate.release()
    #expect(done.wait() == nil)
    if let thread { thread.join() }
    #expect(memory.bytes(in: 0..<1) == [9])
    let start = monotonicNanoseconds()
    #expect(cause { try store.flush(dataOnly: false) } == .other("late"))
    #expect(monotonicNanoseconds() - start >= 20_000_000)
  }

  /// What is written while a flush is under way may be durable after it, or not: here it is not.
  @Test func aFlushCoversWhatWasThereWhenItBegan() throws {
    let gate = FaultInjectingStore.Gate()
    let memory = MemoryStore(bytes: zeroes(12_288))
    let store = FaultInjectingStore(memory, calls: { _, call in call == .flush ? .hold(gate, then: nil) : nil })
    try store.prepareToWrite()
    try store.write([1], at: 0)
    try store.write([1], at: 4096)
    let done = Promise<StoreError.Cause?>()
    let thread = JoinableThread(name: "flush") { done.fulfil(cause { try store.flush(dataOnly: true) }) }
    gate.waitForArrivals(1)
    try store.write([2], at: 1)
    try store.write([2], at: 8192)
    try store.change(.punchHole, 4096..<8192)
    gate.release()
    #expect(done.wait() == nil)
    if let thread { thread.join() }
    #expect(memory.crashed() == [1] + zeroes(4095) + [1] + zeroes(8191))
    #expect(memory.unflushedBlocks == [0, 2])
    memory.loseUnflushedWrites()
    #expect(memory.bytes() == [1] + zeroes(12_287), "what the flush covered is not lost, nor is the hole")
    try store.write([3], at: 8192)
    try store.flush(dataOnly: true)
    #expect(memory.crashed() == [1] + zeroes(8191) + [3] + zeroes(4095))
  }

  /// A closure without a label is the older one, of reads.
  @Test func closuresWithoutALabel() throws {
    let store = FaultInjectingStore(makeStore()) { _, _ in .fail(.other("read")) }
    _ = try store.status()
    #expect(store.readAndWait(Frames(4096), at: 0).cause == .other("read"))
    #expect(store.readCount == 1)
  }
}

extension FaultInjectingStore {
  /// What is not counted.
  fileprivate func maximumSizeAndTheRest() {
    _ = (maximumSize, name, identity)
    dropBehind(0..<10)
    close()
  }
}
