import BackingStores
import Foundation
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

/// How restoring goes on beside everything else: at its rate, until it is cancelled, past what fails.
@Suite struct ResidencyRestoringTests {
  private let identities = (0..<3).map { StoreIdentity(realm: "memory", object: "restored \($0)") }

  private func store(_ number: Int, _ byteCount: Int = 2 << 20) -> MemoryStore {
    MemoryStore(size: Int64(byteCount), name: "store \(number)", identity: identities[number]) {
      PatternFile.byte(at: UInt64($0))
    }
  }

  /// Saves that all of some stores is cached.
  private func saveAll(_ count: Int, in directory: FilePath) throws -> FilePath {
    let image = directory.appending("residency")
    let cache = try smallCache(limit: 32 << 20)
    let files = try (0..<count).map { try cache.open(store: store($0)) }
    for file in files { _ = try file.read(fromAbsoluteOffset: 0, count: 2 << 20) }
    #expect(try cache.saveResidency(to: image).residentBytes == Int64(count) * 2 << 20)
    for file in files { try file.close() }
    return image
  }

  private func expectNothingLeft(_ cache: PageCache) {
    cache.reclaimDeferred()
    #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
  }

  @Test func thePacerKeepsItsRate() {
    var free = Pacer(bytesPerSecond: nil)
    free.note(.max, since: 0)
    #expect(free.wait(now: 0) == 0 && free.mostAtOnce(1 << 20) == 1 << 20)
    var random = RandomWords(seed: testSeed)
    for rate in [1, 4096, 1_000_000, .max] {
      var pacer = Pacer(bytesPerSecond: rate)
      let start: UInt64 = 5_000_000_000
      var (now, bytes) = (start, 0.0)
      for _ in 0..<1000 {
        let wait = pacer.wait(now: now)
        if wait > 0 {
          // Woken too early, as it happens.
          now += max(1, wait / (random.next(below: 3) + 1))
          continue
        }
        let piece = max(1, Int(random.next(below: UInt64(pacer.mostAtOnce(1 << 20)))))
        // What has been had is paid for, but for the last piece; and a pause saves nothing up.
        #expect(bytes / Double(rate) <= Double(now - start) / 1e9 + 1e-3, "\(rate)")
        bytes += Double(piece)
        pacer.note(piece, since: now)
        now += random.next(below: 1000)
      }
    }
    #expect(Pacer(bytesPerSecond: 1).mostAtOnce(1 << 20) == 1)
  }

  @Test func itKeepsItsRate() throws {
    try withTemporaryDirectory { directory in
      let image = try saveAll(1, in: directory)
      let cache = try smallCache()
      let file = try cache.open(store: store(0))
      let rate = 4 << 20
      let start = monotonicNanoseconds()
      let restoration = try cache.restoreResidency(from: image, bytesPerSecond: rate)
      var looks = 0
      while true {
        let progress = restoration.progress
        let seconds = Double(monotonicNanoseconds() - start) / 1e9
        // One piece may be there that is not paid for.
        #expect(Double(progress.restoredBytes) <= Double(rate) * seconds + Double(rate) / 8)
        if progress.state != .underWay { break }
        looks += 1
        sleepNanoseconds(5_000_000)
      }
      let seconds = Double(monotonicNanoseconds() - start) / 1e9
      #expect(restoration.wait().restoredBytes == 2 << 20)
      #expect(seconds > 0.35 && looks > 5, "\(seconds) s")
      if !isSanitized { #expect(seconds < 3, "\(seconds) s") }
      try file.close()
      for rate in [0, -1, .min] {
        let error = cacheError { try cache.restoreResidency(from: image, bytesPerSecond: rate) }
        guard case .options? = error?.cause else {
          Issue.record("\(error as Any)")
          continue
        }
      }
    }
  }

  @Test func itCanBeCancelled() async throws {
    try await withTemporaryDirectory { directory in
      let image = try saveAll(1, in: directory)
      let cache = try smallCache()
      let file = try cache.open(store: store(0))
      // At this rate it would take a month.
      let restoration = try cache.restoreResidency(from: image, bytesPerSecond: 1)
      #expect(eventually { restoration.progress.restoredBytes > 0 })
      restoration.cancel()
      let report = await restoration.wait()
      #expect(report.state == .cancelled && report.restoredBytes == 4096)
      restoration.cancel()
      #expect(restoration.progress.state == .cancelled)

      let other = try cache.restoreResidency(from: image, bytesPerSecond: 1)
      let task = Task { await other.wait() }
      #expect(eventually { other.progress.restoredBytes > 0 })
      task.cancel()
      #expect(await task.value.state == .cancelled)
      try file.close()
      expectNothingLeft(cache)
    }
  }

  /// Whoever closes does not wait for what is restored, and that does not go on without files.
  @Test func closingEndsIt() throws {
    try withTemporaryDirectory { directory in
      let image = try saveAll(2, in: directory)
      let cache = try smallCache()
      let files = try (0..<2).map { try cache.open(store: store($0)) }
      let restoration = try cache.restoreResidency(from: image, bytesPerSecond: 1)
      #expect(eventually { restoration.progress.restoredBytes > 0 })
      for file in files { try file.close() }
      let report = restoration.wait()
      #expect(report.state == .complete && report.failures.isEmpty && report.restoredBytes < 20_000)
      expectNothingLeft(cache)
      // Without anybody who waits, also when the cache goes.
      var last: PageCache? = try smallCache()
      var dropped: CachedFile? = try last?.open(store: store(0))
      #expect(dropped != nil)
      let forgotten = try last?.restoreResidency(from: image, bytesPerSecond: 1 << 20)
      dropped = nil
      last = nil
      #expect(forgotten?.wait().state == .complete)
    }
  }

  @Test func aFileThatFailsIsLeftOut() throws {
    try withTemporaryDirectory { directory in
      let image = try saveAll(3, in: directory)
      let cache = try smallCache()
      let files = try (0..<3).map { number in
        try cache.open(
          store: number == 1 ? FaultInjectingStore(store(1)) { _, _ in .fail(.system(.ioError)) } : store(number))
      }
      let report = try cache.restoreResidency(from: image).wait()
      #expect(report.state == .complete && report.files == 3 && report.restoredBytes == 4 << 20)
      #expect(report.failures.count == 1)
      let failure = try #require(report.failures.first)
      #expect(failure.operation == .restoreResidency && failure.file == "store 1")
      guard case .store(let refusal) = failure.cause, refusal.cause == .system(.ioError) else {
        Issue.record("\(failure)")
        return
      }
      #expect(try files.map { try $0.residency() } == [[0..<2 << 20], [], [0..<2 << 20]])
      for file in files { try file.close() }
      expectNothingLeft(cache)
    }
  }

  /// Reads that come while a page is on its way get it, also where there is no frame for it: then they make room themselves.
  @Test func readsBesideAreRight() throws {
    try withTemporaryDirectory { directory in
      let image = try saveAll(3, in: directory)
      for limit in [3 << 20, 16 << 20] {
        let cache = try smallCache(limit: limit, orders: 0...2, atomic: 1 << 16)
        let threads = IOThreads(count: 4)
        let files = try (0..<3).map { number in
          let memory = MemoryStore(
            size: 2 << 20, name: "store \(number)", identity: identities[number], threads: threads
          ) { PatternFile.byte(at: UInt64($0)) }
          return try cache.open(
            store: number == 2
              ? FaultInjectingStore(memory) { call, _ in call % 16 == 0 ? .delay(milliseconds: 1, then: nil) : nil }
              : memory)
        }
        let failures = Failures()
        for round in 0..<(isSanitized ? 2 : 4) {
          if round > 0 { for file in files { try file.invalidate() } }
          let restoration = try cache.restoreResidency(from: image)
          onThreads(3) { thread in
            var random = RandomWords(seed: testSeed &+ UInt64(thread * 100 + round))
            for _ in 0..<(isSanitized ? 300 : 1500) {
              let file = files[Int(random.next(below: 3))]
              let offset = Int(random.next(below: 2 << 20))
              let count = Int(random.next(below: random.next(below: 4) == 0 ? 60_000 : 300)) + 1
              do {
                let bytes = try file.read(fromAbsoluteOffset: Int64(offset), count: count)
                let isRight = unsafe bytes.withUnsafeBytes {
                  unsafe $0.count == min(count, 2 << 20 - offset)
                    && PatternFile.firstMismatch($0, at: UInt64(offset)) == nil
                }
                failures.check(isRight, "\(count) bytes at \(offset) differ")
              } catch { failures.add("\(error)") }
            }
          }
          let report = restoration.wait()
          failures.check(report.state == .complete || report.state == .full, "\(report)")
          failures.check(report.failures.isEmpty, "\(report.failures)")
        }
        #expect(failures.all.isEmpty, "\(failures.all)")
        for file in files { try file.close() }
        expectNothingLeft(cache)
      }
    }
  }

  /// What is written meanwhile, and not in the store yet, is not taken for what the store has.
  @Test func writesBesideAreKept() throws {
    try withTemporaryDirectory { directory in
      let image = try saveAll(1, in: directory)
      for round in 0..<(isSanitized ? 2 : 6) {
        var configuration = PageCache.Configuration(
          memoryLimit: 4 << 20, maximumAtomicLength: 1 << 16, writeBackAge: .milliseconds(1))
        configuration.fanOutShift = 6
        let cache = try PageCache(configuration)
        let file = try cache.open(
          store: MemoryStore(holeOf: 2 << 20, name: "store 0", identity: identities[0]),
          .readWrite(durability: .writeBack))
        let restoration = try cache.restoreResidency(from: image)
        var random = RandomWords(seed: testSeed &+ UInt64(round))
        var written: [Int: UInt8] = [:]
        for step in 0..<400 {
          let page = Int(random.next(below: 512))
          written[page] = UInt8(step % 255 + 1)
          try file.write(toAbsoluteOffset: Int64(page) * 4096, [UInt8](repeating: UInt8(step % 255 + 1), count: 4096))
          if step % 100 == 99 { try file.sync() }
        }
        #expect(restoration.wait().failures.isEmpty)
        for page in 0..<512 {
          let bytes = try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 4096)
          #expect(bytes.allSatisfy { $0 == written[page] ?? 0 }, "page \(page)")
        }
        try file.close()
      }
    }
  }
}
