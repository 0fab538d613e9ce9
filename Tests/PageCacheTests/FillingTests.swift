import BackingStores
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import Testing

@Suite struct FillingTests {
  @Test func oneFillHoweverManyWait() throws {
    let gate = FaultInjectingStore.Gate()
    let store = FaultInjectingStore(patternStore(1 << 20)) { _, _ in .hold(gate, then: nil) }
    let cache = try smallCache()
    let file = try cache.open(store: store)
    let right = SharedCounter()
    onThreads(9) { thread in
      if thread == 8 {
        // The others are all inside, one of them at the store.
        gate.waitForArrivals(1)
        sleepNanoseconds(50_000_000)
        gate.release()
      } else if let bytes = try? file.read(fromAbsoluteOffset: 8192, count: 100), bytes == patternBytes(8192..<8292) {
        right.add(1)
      }
    }
    #expect(right.value == 8)
    #expect(store.readCount == 1)
    #expect(try cache.statistics().fills == 1)
  }

  @Test func differentFoliosAreFilledInParallel() throws {
    let gate = FaultInjectingStore.Gate()
    let store = FaultInjectingStore(patternStore(1 << 20)) { _, _ in .hold(gate, then: nil) }
    let cache = try smallCache()
    let file = try cache.open(store: store)
    let right = SharedCounter()
    onThreads(5) { thread in
      if thread == 4 {
        // Ends only if all four are at the store at the same time.
        gate.waitForArrivals(4)
        gate.release()
      } else {
        let offset = thread * 100_000
        if let bytes = try? file.read(fromAbsoluteOffset: Int64(offset), count: 100),
          bytes == patternBytes(offset..<offset + 100)
        {
          right.add(1)
        }
      }
    }
    #expect(right.value == 4)
    #expect(store.readCount == 4)
  }

  /// Every call of the store is made to fail in turn: the error is reported, nothing leaks, and the next try succeeds.
  @Test func everyStoreCallFailsInTurn() throws {
    for failing in 1...6 {
      for fault in [
        FaultInjectingStore.Fault.fail(.system(.ioError)), .short(0), .short(100), .short(4096),
        .delay(milliseconds: 1, then: .fail(.other("gone"))),
      ] {
        let store = FaultInjectingStore(patternStore(200_000)) { call, _ in call == failing ? fault : nil }
        let cache = try smallCache()
        let before = try cache.statistics().freeFrames
        let file = try cache.open(store: store)
        var failures = 0
        for step in 0..<6 {
          let offset = step * 30_000
          while true {
            do {
              #expect(
                try file.read(fromAbsoluteOffset: Int64(offset), count: 20_000)
                  == patternBytes(offset..<offset + 20_000))
              break
            } catch {
              guard case .store = error.cause else { throw error }
              failures += 1
            }
          }
        }
        // After a part of an answer the store is asked once more.
        let isTold = if case .short(let count) = fault { count == 0 } else { true }
        #expect(failures == (isTold ? 1 : 0))
        #expect(try cache.statistics().failedFills == 1)
        try file.close()
        // Closing gives everything back, one empty chunk of nodes aside.
        try expectAllFramesBack(cache, before)
      }
    }
  }

  @Test func waitersGetTheErrorToo() throws {
    let gate = FaultInjectingStore.Gate()
    let store = FaultInjectingStore(patternStore(10_000)) { call, _ in
      call == 1 ? .hold(gate, then: .fail(.system(.ioError))) : nil
    }
    let cache = try smallCache()
    let file = try cache.open(store: store)
    let failed = SharedCounter()
    onThreads(5) { thread in
      if thread == 4 {
        gate.waitForArrivals(1)
        sleepNanoseconds(50_000_000)
        gate.release()
        return
      }
      do { _ = try file.read(fromAbsoluteOffset: 0, count: 10) } catch { failed.add(1) }
    }
    #expect(failed.value >= 1)
    #expect(try file.read(fromAbsoluteOffset: 0, count: 10) == patternBytes(0..<10))
  }

  @Test func closingWaitsForFills() throws {
    let gate = FaultInjectingStore.Gate()
    let store = FaultInjectingStore(patternStore(10_000)) { _, _ in .hold(gate, then: nil) }
    let cache = try smallCache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: store)
    onThreads(3) { thread in
      switch thread {
      case 0:
        // Either the bytes, or the handle is closed by the time they are there.
        do { #expect(try file.read(fromAbsoluteOffset: 0, count: 10) == patternBytes(0..<10)) } catch {
          guard case .closed? = (error as? CacheError)?.cause else {
            Issue.record("\(error)")
            return
          }
        }
      case 1:
        gate.waitForArrivals(1)
        do { try file.close() } catch { Issue.record("\(error)") }
      default:
        gate.waitForArrivals(1)
        sleepNanoseconds(30_000_000)
        #expect(store.closeCount == 0)
        gate.release()
      }
    }
    #expect(store.closeCount == 1)
    try expectAllFramesBack(cache, before)
  }
}

/// Waits for deferred frees and expects every frame to be free again, but for an empty chunk of nodes for each size of node.
func expectAllFramesBack(_ cache: PageCache, _ before: Int, sourceLocation: SourceLocation = #_sourceLocation) throws {
  cache.reclaimDeferred()
  let after = try cache.statistics()
  #expect(after.freeFrames + after.nodeFrames == before, sourceLocation: sourceLocation)
  #expect(after.nodeFrames <= 32, sourceLocation: sourceLocation)
  #expect(after.cachedFramesByOrder.reduce(0, +) == 0, sourceLocation: sourceLocation)
  #expect(after.deferredFrames == 0, sourceLocation: sourceLocation)
}
