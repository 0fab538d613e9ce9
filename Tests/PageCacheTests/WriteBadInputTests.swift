import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Bad input to whatever changes a file: an error that says what and where, nothing changed, nothing leaked, and the cache goes on.
@Suite struct WriteBadInputTests {
  /// Every way to change, or to look at, a file that throws.
  static func operations(_ file: CachedFile, _ other: CachedFile) -> [(CacheError.Operation, () throws -> Void)] {
    [
      (.write, { try file.write(toAbsoluteOffset: 0, [1]) }),
      (.write, { try file.write(toAbsoluteOffset: 1 << 20, someBytes(300_000)) }),
      (.append, { try file.append([1]) }), (.resize, { try file.resize(to: 5) }),
      (.allocate, { try file.allocate(0..<4096) }), (.punchHole, { try file.punchHole(0..<4096) }),
      (.zeroRange, { try file.zeroRange(0..<4096) }), (.collapseRange, { try file.collapseRange(0..<4096) }),
      (.insertRange, { try file.insertRange(0..<4096) }), (.unshare, { try file.unshare(0..<4096) }),
      (.clone, { try file.clone(0..<4096, of: other, to: 0) }), (.copy, { try file.copy(0..<100, of: other, to: 3) }),
      (.exchange, { try file.exchange(0..<100, with: other, at: 200) }),
      (.dedupe, { _ = try file.dedupe(0..<4096, with: other, at: 0) }),
    ]
  }

  /// A file of 20,000 bytes that must not change, in a cache that must get everything back.
  private func unchanged(
    _ durability: PageCache.Durability = .writeThrough, most: Int64 = .max, isDirty: Bool = false,
    _ body: (PageCache, CachedFile) throws -> Void
  ) throws {
    let memory = MemoryStore(bytes: someBytes(20_000))
    memory.maximumSize = most
    let cache = try smallCache(atomic: 1 << 16)
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: memory, .readWrite(durability: durability))
    var model = BytesModel(bytes: someBytes(20_000))
    if isDirty {
      try file.write(toAbsoluteOffset: 5000, [1, 2, 3])
      model.write([1, 2, 3], at: 5000)
    }
    try body(cache, file)
    #expect(try contents(file) == model.bytes)
    // Usable afterwards.
    try file.write(toAbsoluteOffset: 4000, someBytes(500, 2))
    model.write(someBytes(500, 2), at: 4000)
    try file.sync()
    #expect(try contents(file) == model.bytes)
    #expect(memory.crashed() == model.bytes)
    #expect(try cache.statistics().owedFrames == 0)
    try file.close()
    try expectAllFramesBack(cache, before)
  }

  @Test(arguments: PageCache.Durability.allCases) func offsetsAndSizes(_ durability: PageCache.Durability) throws {
    try unchanged(durability, isDirty: true) { (_, file) throws in
      for offset in [Int64(-1), Int64.min] {
        expectRefusal(.write, "negativeOffset") { try file.write(toAbsoluteOffset: offset, [1]) }
        expectRefusal(.write, "negativeOffset") { try file.write(toAbsoluteOffset: offset, []) }
        expectRefusal(.seekData, "negativeOffset") { _ = try file.seekData(from: offset) }
        expectRefusal(.seekHole, "negativeOffset") { _ = try file.seekHole(from: offset) }
        expectRefusal(.resize, "negativeSize") { try file.resize(to: offset) }
        expectRefusal(.clone, "negativeOffset") { try file.clone(0..<10, of: file, to: offset) }
        expectRefusal(.copy, "negativeOffset") { try file.copy(0..<10, of: file, to: offset) }
        expectRefusal(.exchange, "negativeOffset") { try file.exchange(0..<10, with: file, at: offset) }
        expectRefusal(.dedupe, "negativeOffset") { _ = try file.dedupe(0..<10, with: file, at: offset) }
      }
      for offset in [Int64.max, Int64.max - 1] {
        expectRefusal(.write, "rangeOverflow") { try file.write(toAbsoluteOffset: offset, [1, 2]) }
        expectRefusal(.clone, "rangeOverflow") { try file.clone(0..<10, of: file, to: offset) }
        expectRefusal(.copy, "rangeOverflow") { try file.copy(0..<10, of: file, to: offset) }
        expectRefusal(.exchange, "rangeOverflow") { try file.exchange(0..<10, with: file, at: offset) }
        expectRefusal(.dedupe, "rangeOverflow") { _ = try file.dedupe(0..<10, with: file, at: offset) }
        expectRefusal(.resize, "sizeTooLarge") { try file.resize(to: offset) }
        #expect(try file.seekData(from: offset) == nil)
        #expect(try file.seekHole(from: offset) == nil)
      }
    }
  }

  @Test(arguments: PageCache.Durability.allCases) func ranges(_ durability: PageCache.Durability) throws {
    try unchanged(durability, isDirty: true) { (_, file) throws in
      for range in [-1..<4096, -8192 ..< -4096, Int64.min..<0, .min ..< .max] {
        let error = expectRefusal(.punchHole, "badRange") { try file.punchHole(range) }
        #expect(error?.range == range && error?.file == "memory")
        expectRefusal(.zeroRange, "badRange") { try file.zeroRange(range) }
        expectRefusal(.allocate, "badRange") { try file.allocate(range) }
        expectRefusal(.collapseRange, "badRange") { try file.collapseRange(range) }
        expectRefusal(.insertRange, "badRange") { try file.insertRange(range) }
        expectRefusal(.unshare, "badRange") { try file.unshare(range) }
        expectRefusal(.clone, "badRange") { try file.clone(range, of: file, to: 0) }
        expectRefusal(.copy, "badRange") { try file.copy(range, of: file, to: 0) }
        expectRefusal(.exchange, "badRange") { try file.exchange(range, with: file, at: 0) }
        expectRefusal(.dedupe, "badRange") { _ = try file.dedupe(range, with: file, at: 0) }
        expectRefusal(.flush, "badRange") { try file.flush(range) }
        expectRefusal(.invalidate, "badRange") { try file.invalidate(range) }
      }
      for range in [Int64(1)..<4097, 0..<4095, 4096..<8193, 100..<200] {
        expectRefusal(.collapseRange, "unaligned") { try file.collapseRange(range) }
        expectRefusal(.insertRange, "unaligned") { try file.insertRange(range) }
      }
      for range in [Int64(16_384)..<20_480, 20_480..<24_576, 0..<20_480, 0..<1 << 40] {
        let error = expectRefusal(.collapseRange, "pastEnd") { try file.collapseRange(range) }
        guard case .pastEnd(20_000)? = error?.cause else { return #expect(Bool(false), "\(error as Any)") }
      }
      for range in [Int64(20_480)..<24_576, 1 << 40..<1 << 41] {
        expectRefusal(.insertRange, "pastEnd") { try file.insertRange(range) }
      }
      expectRefusal(.clone, "pastEnd") { try file.clone(16_384..<20_001, of: file, to: 0) }
      expectRefusal(.clone, "pastEnd") { try file.clone(30_000..<30_001, of: file, to: 0) }
      expectRefusal(.exchange, "pastEnd") { try file.exchange(0..<10, with: file, at: 19_991) }
      expectRefusal(.exchange, "pastEnd") { try file.exchange(19_991..<20_001, with: file, at: 0) }
      expectRefusal(.dedupe, "pastEnd") { _ = try file.dedupe(16_384..<20_001, with: file, at: 0) }
      expectRefusal(.dedupe, "pastEnd") { _ = try file.dedupe(0..<4096, with: file, at: 16_384) }
      for (range, offset) in [(Int64(0)..<8192, Int64(4096)), (4096..<8192, 0), (4096..<8192, 4096), (10..<20, 19)] {
        guard offset < range.upperBound, range.lowerBound < offset + Int64(range.count) else { continue }
        expectRefusal(.clone, "overlap") { try file.clone(range, of: file, to: offset) }
        expectRefusal(.copy, "overlap") { try file.copy(range, of: file, to: offset) }
        expectRefusal(.exchange, "overlap") { try file.exchange(range, with: file, at: offset) }
        expectRefusal(.dedupe, "overlap") { _ = try file.dedupe(range, with: file, at: offset) }
      }
      // Nothing asked for is nothing done.
      try file.punchHole(4096..<4096)
      try file.zeroRange(4096..<4096)
      try file.collapseRange(4096..<4096)
      try file.insertRange(4096..<4096)
      try file.clone(5..<5, of: file, to: 5)
      try file.exchange(5..<5, with: file, at: 5)
      try file.flush(5..<5)
      try file.invalidate(5..<5)
      // And past the end there is nothing to punch, or to copy.
      try file.punchHole(20_000 ..< .max)
      #expect(try file.copy(20_000..<20_100, of: file, to: 0) == 0)
      try file.zeroRange(20_000..<30_000, keepingSize: true)
    }
  }

  @Test(arguments: PageCache.Durability.allCases) func theStoresLargestSize(
    _ durability: PageCache.Durability
  ) throws {
    try unchanged(durability, most: 40_960, isDirty: true) { (_, file) throws in
      let errors = [
        expectRefusal(.write, "sizeTooLarge") { try file.write(toAbsoluteOffset: 40_960, [1]) },
        expectRefusal(.write, "sizeTooLarge") { try file.write(toAbsoluteOffset: 40_950, someBytes(11)) },
        expectRefusal(.append, "sizeTooLarge") { try file.append(someBytes(20_961)) },
        expectRefusal(.resize, "sizeTooLarge") { try file.resize(to: 40_961) },
        expectRefusal(.zeroRange, "sizeTooLarge") { try file.zeroRange(0..<40_961) },
        expectRefusal(.allocate, "sizeTooLarge") { try file.allocate(0..<40_961) },
        expectRefusal(.insertRange, "sizeTooLarge") { try file.insertRange(0..<24_576) },
        expectRefusal(.clone, "sizeTooLarge") { try file.clone(0..<4096, of: file, to: 36_865) },
        expectRefusal(.copy, "sizeTooLarge") { try file.copy(0..<4096, of: file, to: 36_865) },
      ]
      for case let error? in errors {
        guard case .sizeTooLarge(_, most: 40_960) = error.cause else { return #expect(Bool(false), "\(error)") }
      }
      // The last byte that can be is no error.
      try file.write(toAbsoluteOffset: 40_959, [1])
      #expect(try file.size == 40_960)
      try file.resize(to: 20_000)
    }
  }

  @Test func theFileSystemsLargestSize() throws {
    try withTemporaryDirectory { directory in
      let cache = try smallCache()
      let before = try cache.statistics().freeFrames
      let path = directory.appending("file")
      let file = try cache.open(path, .readWrite(creation: .exclusively))
      try file.write(toAbsoluteOffset: 0, someBytes(5000))
      // No file system in use goes so far.
      let size = Int64.max / 2
      expectRefusal(.resize, "sizeTooLarge") { try file.resize(to: size) }
      expectRefusal(.write, "sizeTooLarge") { try file.write(toAbsoluteOffset: size, [1]) }
      expectRefusal(.zeroRange, "sizeTooLarge") { try file.zeroRange(size..<size + 10) }
      expectRefusal(.allocate, "sizeTooLarge") { try file.allocate(size..<size + 10) }
      expectRefusal(.copy, "sizeTooLarge") { try file.copy(0..<100, of: file, to: size) }
      #expect(try contents(file) == someBytes(5000))
      try file.sync()
      #expect(try kernelBytes(path) == someBytes(5000))
      try file.close()
      try expectAllFramesBack(cache, before)
    }
  }

  @Test func closedHandles() throws {
    try unchanged { (cache, file) throws in
      let other = try cache.open(store: MemoryStore(bytes: someBytes(10_000)), .readWrite())
      try other.close()
      for (operation, body) in Self.operations(other, file) { expectRefusal(operation, "closed", body) }
      // The other side of a pair.
      for (operation, body) in Self.operations(file, other).suffix(4) { expectRefusal(operation, "closed", body) }
      expectRefusal(.sync, "closed") { try other.sync() }
      expectRefusal(.flush, "closed") { try other.flush(0..<10) }
      expectRefusal(.invalidate, "closed") { try other.invalidate() }
      expectRefusal(.seekData, "closed") { _ = try other.seekData(from: 0) }
      expectRefusal(.seekHole, "closed") { _ = try other.seekHole(from: 0) }
      expectRefusal(.holdBack, "closed") { _ = try other.durabilityPoint() }
      expectRefusal(.close, "closed") { try other.close() }
      expectRefusal(.close, "closed") { try other.close(discardingDirty: true) }
    }
  }

  @Test func readOnlyHandles() throws {
    try unchanged { (cache, file) throws in
      let store = FaultInjectingStore(MemoryStore(bytes: someBytes(10_000)))
      let other = try cache.open(store: store)
      for (operation, body) in Self.operations(other, file) { expectRefusal(operation, "readOnly", body) }
      expectRefusal(.exchange, "readOnly") { try file.exchange(0..<10, with: other, at: 0) }
      #expect(!other.isWritable && file.isWritable)
      try other.sync()
      try other.flush(0..<10)
      #expect(store.callCount(of: .prepareToWrite) == 0 && store.callCount(of: .write) == 0)
      #expect(try contents(other) == someBytes(10_000))
      try other.close()
    }
  }

  @Test func filesOfDifferentCaches() throws {
    try unchanged { (_, file) throws in
      let foreign = try smallCache()
      let other = try foreign.open(store: MemoryStore(bytes: someBytes(20_000)), .readWrite())
      for (operation, body) in Self.operations(file, other).suffix(4) {
        expectRefusal(operation, "differentCaches", body)
      }
      for durability in PageCache.Durability.allCases {
        let own = try foreign.open(store: MemoryStore(bytes: [1, 2]), .readWrite(durability: durability))
        expectRefusal(.write, "differentCaches") {
          try own.write(toAbsoluteOffset: 0, [9], notBefore: file.durabilityPoint())
        }
        #expect(try contents(own) == [1, 2])
        try own.close()
      }
      #expect(try contents(other) == someBytes(20_000))
      try other.close()
    }
  }
}
