import BackingStores
import Foundation
import Glibc
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What a write-through write has put into the kernel's file stays there, whatever other threads do to the file.
///
/// Each file has 24 rounds, each round a part of it that lies past the end of the store:
///
///     a handle that writes back makes the file longer: the store has nothing there yet
///     T1  writes through past the end
///     T2  changes structure in front of that: the store would grow by it, and refuses
///     T3  syncs, in some rounds
///
/// After each round the kernel's file is read by a descriptor that is not the cache's. `PAGECACHE_ROUNDS` says how many
/// rounds; 10,000 take about ten minutes for each file system, without optimisation.
@Suite(.serialized, .tags(.stress)) struct RealFileCutTests {
  private struct Rounds {
    static let count = 24
    static let stride: Int64 = 16 << 20
    static let page = someBytes(4096, 3)
    /// As long as one call can be at one instant: the longer it is in the kernel, the more likely T2 comes between.
    static let bytes = (4...7).flatMap { someBytes(1 << 18, $0) }
    static let end = someBytes(500, 8)

    let number: Int
    let path: FilePath
    let source: CachedFile
    let cache: PageCache
    let failures: Failures
    /// Rounds that have begun, and those that each of the other threads has finished.
    let begun = Word()
    let finished = [Word(), Word()]
    /// Rounds in which T1 has written, and what T2 has tried.
    let written = Word()
    let changes = Word()
    let random: [UInt64]

    init(
      number: Int, path: FilePath, source: CachedFile, cache: PageCache, failures: Failures,
      random: inout RandomWords
    ) {
      self.number = number
      self.path = path
      self.source = source
      self.cache = cache
      self.failures = failures
      self.random = (0..<Self.count).map { _ in random.next() }
    }

    /// A thread's rounds, each when it begins.
    private func thread(_ index: Int, _ body: @escaping @Sendable (_ round: Int) -> Void) -> JoinableThread? {
      let (begun, finished) = (begun, finished[index])
      return JoinableThread(name: "rounds \(index)") {
        for round in 0..<Self.count {
          while begun.value <= UInt64(round) { sched_yield() }
          body(round)
          finished.set(UInt64(round + 1))
        }
      }
    }

    /// What T2 does until T1 has written: what no file system grants. The source is on another one, and what is no
    /// whole block cannot be shared, zeroed in place or taken out. The cache copies.
    private func change(_ file: CachedFile, _ round: Int) {
      let base = Int64(round) * Self.stride
      // Each further on: what was copied is written back before it is copied to again, and the store has it then.
      var place = base
      repeat {
        try? file.clone(0..<8192, of: source, to: place)
        place += 8192
        changes.add(1)
      } while written.value <= UInt64(round) && place < base + 4 << 20
      switch (round + number) % 3 {
      case 0: try? file.collapseRange(base + 100..<base + 200)
      case 1: try? file.clone(1..<5001, of: source, to: base)
      default: try? file.zeroRange(base..<base + 8192)
      }
    }

    func run() throws {
      let back = try cache.open(path, .readWrite(creation: .exclusively, durability: .writeBack))
      let through = try cache.open(path, .readWrite())
      defer {
        try? back.close(discardingDirty: true)
        try? through.close(discardingDirty: true)
        unsafe _ = unlink(path.string)
      }
      let changer = thread(0) { change(back, $0) }
      let syncer = thread(1) { round in
        guard random[round] % 3 == 0 else { return }
        do { try back.sync() } catch { failures.add("\(said): sync failed: \(error)") }
      }
      guard let changer, let syncer else {
        for word in [begun, written] { word.set(.max) }
        return failures.add("no threads")
      }
      var (places, ends) = ([Int64](), [Int64]())
      for round in 0..<Self.count {
        let base = Int64(round) * Self.stride
        do {
          try back.write(toAbsoluteOffset: base + 4 << 20, Self.page)
          let before = changes.value
          begun.set(UInt64(round + 1))
          // Beside T2, and not before it.
          while changes.value == before { sched_yield() }
          places.append(base + 8 << 20)
          try through.write(toAbsoluteOffset: base + 8 << 20, Self.bytes)
          ends.append(try through.append(Self.end))
        } catch { failures.add("\(said), round \(round): \(error)") }
        written.set(UInt64(round + 1))
        while finished.contains(where: { $0.value <= UInt64(round) }) { sched_yield() }
        check(places.suffix(1), Self.bytes, "after round \(round)")
      }
      changer.join()
      syncer.join()
      for _ in 0..<2 { try through.sync() }
      check(places[...], Self.bytes, "after two syncs")
      check(ends[...], Self.end, "after two syncs")
      check((0..<Self.count).map { Int64($0) * Self.stride + 4 << 20 }[...], Self.page, "written back")
    }

    private var said: String { "file \(number)" }

    /// Compares with the kernel's file.
    private func check(_ places: ArraySlice<Int64>, _ bytes: [UInt8], _ when: String) {
      guard let file = try? FileDescriptor.open(path, .readOnly) else { return failures.add("\(said): no file") }
      defer { try? file.close() }
      var found = [UInt8](repeating: 0, count: bytes.count)
      for place in places {
        let count = try? unsafe found.withUnsafeMutableBytes {
          try unsafe file.read(fromAbsoluteOffset: place, into: $0)
        }
        let isSame = count == bytes.count && found == bytes
        failures.check(isSame, "\(said): \(bytes.count) bytes at \(place) are not in the kernel's file \(when)")
      }
    }
  }

  @Test(arguments: Volume.Kind.available) func writesThatReturnedAreNotCutOff(_ kind: Volume.Kind) throws {
    // In memory: the faster T2 comes again, the more likely it comes at the wrong moment.
    let volume = try MemoryVolume(kind, isLossy: false)
    defer { withExtendedLifetime(volume) {} }
    do {
      let directory = volume.path
      let cache = try PageCache(.init(memoryLimit: 64 << 20))
      // On another file system.
      let other = FilePath("/tmp/pagecache-source-\(getpid())-\(kind)")
      defer { unsafe _ = unlink(other.string) }
      let source = try cache.open(other, .readWrite(creation: .exclusively))
      try source.write(toAbsoluteOffset: 0, someBytes(8192, 77))
      try source.sync()
      let failures = Failures()
      var random = RandomWords(seed: testSeed)
      for number in 1...max(1, realFileRounds(240) / Rounds.count) {
        let rounds = Rounds(
          number: number, path: directory.appending("file-\(number)"), source: source, cache: cache,
          failures: failures, random: &random)
        try rounds.run()
        if !failures.all.isEmpty { break }
      }
      #expect(failures.all == [])
      try source.close()
    }
  }
}

extension Tag {
  /// As long as one likes: `PAGECACHE_ROUNDS`.
  @Tag static var stress: Self
}
