import BackingStores
import Glibc
import Primitives
import SystemPackage
import Testing

@Suite("Stores for tests", .timeLimit(.minutes(30)))
struct TestingStoresTests {
  private func makeStore(_ size: Int64, threads: IOThreads? = nil) -> MemoryStore {
    MemoryStore(size: size, threads: threads) { patternByte(at: $0) }
  }

  // MARK: Memory

  @Test func bytesInMemory() throws {
    let store = MemoryStore(bytes: (0..<5000).map { patternByte(at: $0) })
    #expect(try store.status().size == 5000)
    let frames = Frames(8192)
    #expect(store.readAndWait(frames, at: 0) == .success(5000))
    #expect(frames.holdsPattern(5000, at: 0))
    #expect(store.readAndWait(frames, at: 4096) == .success(904))
    #expect(frames.holdsPattern(904, at: 4096))
    #expect(store.readAndWait(frames, at: 8192) == .success(0))
    store.size = 6000
    #expect(store.readAndWait(frames, at: 4096) == .success(1904))
    #expect(frames.holdsPattern(904, at: 4096))
    #expect(frames.bytes[904..<1904].allSatisfy { $0 == 0 })
    #expect(store.readCount == 4)
  }

  @Test func aTerabyteOfMemory() throws {
    let store = makeStore(1 << 40)
    let frames = Frames(8192)
    let offset: Int64 = (1 << 40) - 4096
    #expect(store.readAndWait(frames, at: offset) == .success(4096))
    #expect(frames.holdsPattern(4096, at: offset))
    #expect(store.readAndWait(frames, at: -4096).cause == .system(.invalidArgument))
    #expect(store.readAndWait(frames, at: .max - 10).cause == .system(.overflow))
  }

  @Test func memoryThatChanges() throws {
    let store = makeStore(5000)
    let other = makeStore(5000)
    #expect(store.identity != other.identity)
    other.identity = store.identity
    #expect(store.identity == other.identity)
    var stamps = [try store.status().changeStamp]
    store.size = 100
    stamps.append(try store.status().changeStamp)
    store.contents = .bytes([7])
    stamps.append(try store.status().changeStamp)
    #expect(Set(stamps).count == 3)
    let frames = Frames(4096)
    #expect(store.readAndWait(frames, at: 0) == .success(100))
    #expect(frames.bytes.prefix(2) == [7, 0])
    store.close()
    #expect(store.readAndWait(frames, at: 0).cause == .system(.badFileDescriptor))
    #expect(throws: StoreError.self) { try store.status() }
  }

  @Test func memoryInTheBackground() {
    let threads = IOThreads(count: 1)
    let leave = Promise<Void>()
    threads.submit { leave.wait() }
    let done = Promise<Int?>()
    makeStore(4096, threads: threads).read(Frames(4096), at: 0, .background) { done.fulfil($0.count) }
    #expect(done.count == 0)
    leave.fulfil(())
    #expect(done.wait() == 4096)
    threads.shutDown()
  }

  // MARK: Faults

  @Test func faultsByNumber() throws {
    let memory = makeStore(8192)
    let store = FaultInjectingStore(memory) { number, request in
      switch number {
      case 1: .fail(.system(.ioError))
      case 2: .short(5000)
      case 3: request.offset == 4096 ? .short(100) : nil
      default: nil
      }
    }
    let frames = Frames(8192)
    let error = StoreError(operation: .read, store: "memory", range: 0..<8192, cause: .system(.ioError))
    #expect(store.readAndWait(frames, at: 0) == .failure(error))
    #expect(memory.readCount == 0)
    #expect(store.readAndWait(frames, at: 0) == .success(5000))
    #expect(frames.holdsPattern(5000, at: 0))
    #expect(frames.bytes[5000...].allSatisfy { $0 == FaultInjectingStore.poison })
    #expect(store.readAndWait(frames, at: 4096) == .success(100))
    #expect(store.readAndWait(frames, at: 0) == .success(8192))
    #expect(store.readCount == 4)

    #expect(store.identity == memory.identity)
    store.failStatus(with: .system(.staleNFSFileHandle))
    #expect(throws: StoreError(operation: .status, store: "memory", cause: .system(.staleNFSFileHandle))) {
      try store.status()
    }
    store.failStatus(with: nil)
    #expect(try store.status().size == 8192)
    store.close()
    #expect(store.closeCount == 1)
    #expect(throws: StoreError.self) { try memory.status() }
  }

  @Test(arguments: [StoreExecution.caller, .background])
  func delays(execution: StoreExecution) {
    let store = FaultInjectingStore(makeStore(4096)) { _, _ in .delay(milliseconds: 30, then: .fail(.other("late"))) }
    let done = Promise<StoreError.Cause?>()
    let start = monotonicNanoseconds()
    store.read(Frames(4096), at: 0, execution) { done.fulfil($0.cause) }
    let returned = monotonicNanoseconds()
    #expect(done.wait() == .other("late"))
    #expect(monotonicNanoseconds() - start >= 30_000_000)
    if case .caller = execution { #expect(returned - start >= 30_000_000) }
  }

  @Test func aGateHoldsBackgroundReadsAndNotTheirCaller() {
    let gate = FaultInjectingStore.Gate()
    let store = FaultInjectingStore(makeStore(4096)) { number, _ in
      number <= 2 ? .hold(gate, then: number == 2 ? .fail(.other("held")) : nil) : nil
    }
    let done = Promise<Result<Int, StoreError>>()
    let frames = Frames(4096)
    for _ in 0..<2 { store.read(frames, at: 0, .background) { done.fulfil($0) } }
    #expect(gate.arrivalCount == 2)
    #expect(done.count == 0)
    #expect(store.readAndWait(Frames(4096), at: 0) == .success(4096), "only the first two are held")
    gate.release()
    let results = done.wait(for: 2)
    #expect(results[0] == .success(4096))
    #expect(results[1].cause == .other("held"))
    gate.release()
    #expect(done.count == 2, "nothing completes twice")
  }

  @Test func aGateHoldsCallers() {
    let gate = FaultInjectingStore.Gate()
    let store = FaultInjectingStore(makeStore(4096)) { _, _ in .hold(gate, then: nil) }
    let done = Promise<Int?>()
    let thread = JoinableThread(name: "held") {
      store.read(Frames(4096), at: 0) { done.fulfil($0.count) }
    }
    gate.waitForArrivals(1)
    #expect(done.count == 0)
    gate.release()
    #expect(done.wait() == 4096)
    if let thread { thread.join() }
    #expect(store.readAndWait(Frames(4096), at: 0) == .success(4096), "open for good")
  }
}
