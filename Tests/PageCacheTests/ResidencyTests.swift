import BackingStores
import Foundation
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What was cached before a restart comes back.
@Suite struct ResidencyTests {
  private struct Heat: Equatable {
    var isProven: Bool
    var isAccessed: Bool
  }

  private func heats(_ file: CachedFile, pages: Int) -> [Heat?] {
    (0..<pages).map { page in
      file.heat(page: UInt64(page)).map { Heat(isProven: $0.isProven, isAccessed: $0.isAccessed) }
    }
  }

  private func expectPattern(_ file: CachedFile) throws {
    let count = Int(try file.size)
    #expect(try file.read(fromAbsoluteOffset: 0, count: count) == patternBytes(0..<count))
  }

  private func expectNothingLeft(_ cache: PageCache) {
    cache.reclaimDeferred()
    #expect(cache.leftovers.allSatisfy { $0.count == 0 }, "\(cache.leftovers)")
  }

  /// Reads some pages at random, some of them again.
  private func touch(_ file: CachedFile, seed: UInt64) throws {
    var random = RandomWords(seed: seed)
    let pages = UInt64(try file.size) / 4096
    for _ in 0..<pages {
      // More where the number is low, so that there are runs and there are gaps.
      let page = Int64(random.next(below: random.next(below: pages) + 1))
      _ = try file.read(fromAbsoluteOffset: page * 4096, count: 1)
    }
  }

  @Test func roundTripOnFiles() throws {
    try withTemporaryDirectory { directory in
      let pages = 600
      let patterns = try (0..<2).map {
        try PatternFile(creating: directory.appending("file-\($0)"), byteCount: pages * 4096 - 100)
      }
      let image = directory.appending("residency")
      var before: [(ranges: [Range<Int64>], heats: [Heat?])] = []
      do {
        let cache = try smallCache()
        let files = try patterns.map { try cache.open($0.path) }
        for (number, file) in files.enumerated() { try touch(file, seed: testSeed &+ UInt64(number)) }
        let saved = try cache.saveResidency(to: image)
        #expect(saved.files == 2 && saved.runs > 4)
        before = try files.map { (try $0.residency(), heats($0, pages: pages)) }
        let resident = before.reduce(0) { $0 + $1.heats.reduce(0) { $0 + ($1 == nil ? 0 : 4096) } }
        #expect(saved.residentBytes == resident)
        // Runs, not pages.
        #expect(saved.byteCount < 4 * saved.runs + 400)
        for file in files { try file.close() }
      }
      #expect(before.contains { $0.heats.contains { $0?.isProven == true } })
      #expect(before.contains { $0.heats.contains { $0?.isAccessed == true } })

      let cache = try smallCache()
      let files = try patterns.map { try cache.open($0.path) }
      let restored = try cache.restoreResidency(from: image).wait()
      #expect(restored.state == .complete && restored.files == 2 && restored.failures.isEmpty)
      #expect(restored.missingFiles.isEmpty && restored.replacedFiles.isEmpty)
      for (file, before) in zip(files, before) {
        #expect(try file.residency() == before.ranges)
        // In its queue again, and not as if it had been read.
        let wanted = before.heats.map { $0.map { Heat(isProven: $0.isProven, isAccessed: false) } }
        #expect(heats(file, pages: pages) == wanted)
      }
      let statistics = try cache.statistics()
      #expect(statistics.misses == 0 && statistics.refaults == 0 && statistics.evictions == 0)
      // A second time there is nothing to do.
      #expect(try cache.restoreResidency(from: image).wait().restoredBytes == 0)
      for file in files {
        try expectPattern(file)
        try file.close()
      }
      expectNothingLeft(cache)
    }
  }

  @Test(arguments: [0...0, 0...4, 3...3]) func roundTripOnStores(orders: ClosedRange<Int>) async throws {
    try await withTemporaryDirectory { directory in
      let identity = StoreIdentity(realm: "memory", object: "of the round trip")
      func store() -> MemoryStore {
        MemoryStore(size: 3_000_000, identity: identity) { PatternFile.byte(at: UInt64($0)) }
      }
      let image = directory.appending("residency")
      var before: [Range<Int64>] = []
      do {
        let cache = try smallCache(orders: orders)
        let file = try cache.open(store: store())
        for place in stride(from: 0 as Int64, to: 3_000_000, by: 350_000) {
          _ = try await file.read(fromAbsoluteOffset: place, count: 100_000)
        }
        try cache.saveResidency(to: image)
        before = try file.residency()
        try file.close()
      }
      let cache = try smallCache(orders: orders)
      let file = try cache.open(store: store())
      let restored = try await cache.restoreResidency(from: image).wait()
      #expect(restored.state == .complete)
      // Folios may come out larger than they were.
      let after = try file.residency()
      for range in before { #expect(after.contains { $0.clamped(to: range) == range }, "\(range)") }
      if orders.upperBound == 0 { #expect(after == before) }
      #expect(try await file.read(fromAbsoluteOffset: 0, count: 3_000_000) == patternBytes(0..<3_000_000))
      try file.close()
      expectNothingLeft(cache)
    }
  }

  /// What is saved by a large cache, the hottest of it, comes into a small one; what is there already stays.
  @Test func aSmallerCacheTakesTheHottest() throws {
    try withTemporaryDirectory { directory in
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: 12 << 20)
      let image = directory.appending("residency")
      do {
        let cache = try smallCache(limit: 32 << 20)
        let file = try cache.open(pattern.path)
        _ = try file.read(fromAbsoluteOffset: 0, count: 12 << 20)
        // At the end of the file, so that it is not the order of the file that brings it first.
        for page in 2800..<3000 { _ = try file.read(fromAbsoluteOffset: Int64(page) * 4096, count: 1) }
        #expect(try cache.saveResidency(to: image).residentBytes == 12 << 20)
        try file.close()
      }
      let other = try PatternFile(creating: directory.appending("other"), byteCount: 1 << 20)
      let cache = try smallCache(limit: 4 << 20)
      let inUse = try cache.open(other.path)
      _ = try inUse.read(fromAbsoluteOffset: 0, count: 1 << 20)
      let file = try cache.open(pattern.path)
      let restored = try cache.restoreResidency(from: image).wait()
      #expect(restored.state == .full && restored.wantedBytes == 12 << 20)
      #expect(restored.restoredBytes >= 1 << 20 && restored.restoredBytes < 3 << 20, "\(restored)")
      let statistics = try cache.statistics()
      #expect(statistics.evictions == 0 && statistics.freeFrames > 0)
      #expect(try inUse.residency() == [0..<1 << 20])
      #expect(try file.residency().contains { $0.lowerBound <= 2800 * 4096 && $0.upperBound >= 3000 * 4096 })
      // A cache that is full stays as it is.
      _ = try file.read(fromAbsoluteOffset: 0, count: 12 << 20)
      let evictions = try cache.statistics().evictions
      let again = try cache.restoreResidency(from: image).wait()
      #expect(again.state == .full && again.restoredBytes < 1 << 19)
      #expect(try cache.statistics().evictions == evictions)
      try expectPattern(file)
      try file.close()
      try inUse.close()
      expectNothingLeft(cache)
    }
  }

  @Test func anotherFileInItsPlaceIsNoticed() throws {
    try withTemporaryDirectory { directory in
      let paths = ["renamed", "made-again", "gone", "shorter", "same"].map { directory.appending($0) }
      let image = directory.appending("residency")
      for path in paths { _ = try PatternFile(creating: path, byteCount: 400_000) }
      do {
        let cache = try smallCache()
        let files = try paths.map { try cache.open($0) }
        for file in files { _ = try file.read(fromAbsoluteOffset: 0, count: 400_000) }
        #expect(try cache.saveResidency(to: image).files == 5)
        for file in files { try file.close() }
      }
      // Another file is renamed to the name, as databases do when they compact; and one is removed and made again, and gets the same number where the
      // file system is so minded.
      _ = try PatternFile(creating: directory.appending("new"), byteCount: 500_000)
      try FileManager.default.removeItem(atPath: paths[0].string)
      try FileManager.default.moveItem(atPath: directory.appending("new").string, toPath: paths[0].string)
      try FileManager.default.removeItem(atPath: paths[1].string)
      _ = try PatternFile(creating: paths[1], byteCount: 400_000)
      let shorter = try FileDescriptor.open(paths[3], .readWrite)
      try shorter.resize(to: 100_000)
      try shorter.close()

      let cache = try smallCache()
      let files = try [0, 1, 3, 4].map { try cache.open(paths[$0]) }
      let restored = try cache.restoreResidency(from: image).wait()
      #expect(restored.state == .complete && restored.files == 2)
      #expect(restored.replacedFiles == [paths[0].string, paths[1].string])
      #expect(restored.missingFiles == [paths[2].string])
      #expect(restored.wantedBytes == 500_000)
      #expect(try files.map { try $0.residency() } == [[], [], [0..<100_000], [0..<400_000]])
      for file in files {
        try expectPattern(file)
        try file.close()
      }
    }
  }

  /// A device may get another number, and a name may lead there by another way.
  @Test func aFileIsKnownByEither() throws {
    try withTemporaryDirectory { directory in
      let image = directory.appending("residency")
      func open(_ cache: PageCache, _ name: String, _ realm: String, _ object: String) throws -> CachedFile {
        try cache.open(
          store: MemoryStore(
            bytes: patternBytes(0..<50_000), name: name, identity: StoreIdentity(realm: realm, object: object)))
      }
      let saving = try smallCache()
      let file = try open(saving, "name", "device 1", "inode 1")
      _ = try file.read(fromAbsoluteOffset: 0, count: 50_000)
      try saving.saveResidency(to: image)
      for (name, realm, object, isSame) in [
        ("name", "device 1", "inode 1", true), ("other", "device 1", "inode 1", true),
        ("name", "device 2", "inode 1", true), ("name", "device 1", "inode 2", false),
        ("other", "device 2", "inode 1", false),
      ] {
        let cache = try smallCache()
        let file = try open(cache, name, realm, object)
        let restored = try cache.restoreResidency(from: image).wait()
        #expect(try file.residency() == (isSame ? [0..<50_000] : []))
        #expect(restored.replacedFiles == (!isSame && name == "name" ? ["name"] : []))
        #expect(restored.missingFiles == (!isSame && name == "other" ? ["name"] : []))
        try file.close()
      }
      try file.close()
    }
  }

  /// What became a hole meanwhile takes no frames.
  @Test func holesAreLearntInstead() throws {
    try withTemporaryDirectory { directory in
      let pattern = try PatternFile(creating: directory.appending("file"), byteCount: 1 << 20)
      let image = directory.appending("residency")
      let cache = try smallCache()
      do {
        let file = try cache.open(pattern.path, .readWrite())
        _ = try file.read(fromAbsoluteOffset: 0, count: 1 << 20)
        try cache.saveResidency(to: image)
        try file.punchHole(100 << 10..<900 << 10)
        try file.close()
      }
      let file = try cache.open(pattern.path)
      let restored = try cache.restoreResidency(from: image).wait()
      #expect(restored.state == .complete && restored.restoredBytes == 224 << 10, "\(restored)")
      #expect(try file.residency() == [0..<100 << 10, 900 << 10..<1 << 20])
      #expect(try file.read(fromAbsoluteOffset: 100 << 10, count: 800 << 10).allSatisfy { $0 == 0 })
      try file.close()
      expectNothingLeft(cache)
    }
  }
}
