import BackingStores
import PageCache
import PageCacheBenchmarking
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Each operation on a range does, and refuses, what Linux does and refuses.
@Suite struct RangeOperationTests {
  enum Operation: CaseIterable {
    case allocate, allocateKeeping, punch, zero, zeroKeeping, collapse, insert, resizeToStart, resizeToEnd, copyWithin

    func apply(_ file: CachedFile, _ range: Range<Int64>) throws {
      switch self {
      case .allocate: try file.allocate(range)
      case .allocateKeeping: try file.allocate(range, keepingSize: true)
      case .punch: try file.punchHole(range)
      case .zero: try file.zeroRange(range)
      case .zeroKeeping: try file.zeroRange(range, keepingSize: true)
      case .collapse: try file.collapseRange(range)
      case .insert: try file.insertRange(range)
      case .resizeToStart: try file.resize(to: range.lowerBound)
      case .resizeToEnd: try file.resize(to: range.upperBound)
      case .copyWithin: try file.copy(range, of: file, to: 65_536)
      }
    }

    func apply(_ file: KernelFile, _ range: Range<Int64>) throws {
      switch self {
      case .allocate: try file.allocate(range, keepingSize: false)
      case .allocateKeeping: try file.allocate(range, keepingSize: true)
      case .punch: try file.punchHole(range)
      case .zero: try file.zero(range, keepingSize: false)
      case .zeroKeeping: try file.zero(range, keepingSize: true)
      case .collapse: try file.collapse(range)
      case .insert: try file.insert(range)
      case .resizeToStart: try file.resize(to: range.lowerBound)
      case .resizeToEnd: try file.resize(to: range.upperBound)
      case .copyWithin:
        // The kernel's copy ends with the source.
        try file.copy(range.clamped(to: 0..<max(range.lowerBound, file.size())), of: file, to: 65_536)
      }
    }
  }

  /// On page boundaries and off them, inside, across the end, behind it.
  private static let ranges: [Range<Int64>] = [
    0..<4096, 4096..<12_288, 1..<4095, 1..<2, 4095..<4097, 100..<9000, 8192..<40_000, 36_864..<40_960, 39_999..<40_000,
    40_000..<40_001, 40_000..<50_000, 40_960..<45_056, 39_000..<60_001, 0..<40_000, 0..<40_960, 49_152..<53_248,
    -4096..<0, -1..<4096,
  ]

  private func bytes(_ file: KernelFile) throws -> [UInt8] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 200_000, alignment: 16)
    defer { unsafe memory.deallocate() }
    let count = try unsafe file.read(at: 0, into: memory)
    return unsafe [UInt8](memory[..<count])
  }

  @Test(arguments: Operation.allCases, PageCache.Durability.allCases)
  func asTheKernelDoesIt(_ operation: Operation, _ durability: PageCache.Durability) throws {
    try withTemporaryDirectory { directory in
      let kernel = try KernelFile(directory.appending("kernel"))
      let path = directory.appending("cached")
      let cache = try smallCache(atomic: 1 << 16)
      let file = try cache.open(path, .readWrite(creation: .exclusively, durability: durability))
      for range in Self.ranges where range.lowerBound >= 0 || operation != .copyWithin {
        let start = someBytes(40_000, 3)
        try unsafe start.withUnsafeBytes {
          try kernel.resize(to: 0)
          try unsafe kernel.write(at: 0, $0)
        }
        try file.resize(to: 0)
        try file.write(toAbsoluteOffset: 0, start)
        func isDone(_ body: () throws -> Void) -> Bool {
          do {
            try body()
            return true
          } catch { return false }
        }
        let isExpected = isDone { try operation.apply(kernel, range) }
        let error: CacheError?
        do {
          try operation.apply(file, range)
          error = nil
        } catch let refusal as CacheError { error = refusal }
        #expect((error == nil) == isExpected, "\(range): the kernel says \(isExpected), and the cache \(error as Any)")
        let expected = try bytes(kernel)
        #expect(try contents(file) == expected, "\(range)")
        #expect(try file.size == kernel.size(), "\(range)")
        try file.flush(0..<1)
        try file.invalidate()
        #expect(try contents(file) == expected, "\(range), from the store")
        #expect(try kernelBytes(path) == expected, "\(range), in the store")
      }
      try kernel.close()
      try file.close()
    }
  }

  @Test(arguments: WritingTests.ways) func clonesAndCopies(_ way: WritingTests.Way) throws {
    // Sharing storage, and by copying where the store cannot.
    for isSharing in [true, false] {
      let memory = [MemoryStore(bytes: someBytes(50_000)), MemoryStore(bytes: someBytes(70_000, 2))]
      let stores = memory.map { store in
        FaultInjectingStore(store, calls: { _, call in call == .clone && !isSharing ? .fail(.unsupported) : nil })
      }
      let cache = try smallCache(orders: way.orders, atomic: 1 << 14)
      let before = try cache.statistics().freeFrames
      let files = try stores.map { try cache.open(store: $0, .readWrite(durability: way.durability)) }
      var models = [BytesModel(bytes: someBytes(50_000)), BytesModel(bytes: someBytes(70_000, 2))]
      // What is dirty is cloned as well.
      try files[1].write(toAbsoluteOffset: 9000, someBytes(5000, 4))
      models[1].write(someBytes(5000, 4), at: 9000)
      func check(_ what: String) throws {
        for index in 0...1 { #expect(try contents(files[index]) == models[index].bytes, "\(what), file \(index)") }
      }
      for (source, target, range, offset) in [
        (1, 0, Int64(8192)..<16_384, Int64(4096)), (1, 0, 100..<9_000, 77), (1, 0, 0..<70_000, 8192),
        (0, 0, 0..<4096, 4096), (0, 0, 4096..<8192, 0), (0, 0, 10..<20, 20), (0, 1, 0..<50_000, 100_000),
        (0, 1, 4096..<4096, 4096), (1, 1, 0..<60_000, 60_000),
      ] {
        try files[target].clone(range, of: files[source], to: offset)
        models[target].write(
          Array(models[source].bytes[Int(range.lowerBound)..<Int(range.upperBound)]), at: Int(offset))
        try check("clone of \(range) of \(source) to \(offset) of \(target)")
      }
      // What follows in one does not reach the other.
      try files[1].write(toAbsoluteOffset: 8192, someBytes(4096, 5))
      models[1].write(someBytes(4096, 5), at: 8192)
      try check("written after it")
      // A copy ends with the source.
      let end = Int64(models[0].bytes.count)
      #expect(try files[1].copy(end - 5000..<end + 5000, of: files[0], to: 3) == 5000)
      models[1].write(Array(models[0].bytes.suffix(5000)), at: 3)
      #expect(try files[1].copy(end + 5..<end + 100, of: files[0], to: 3) == 0)
      try check("copy")
      if isSharing { #expect(stores[0].callCount(of: .clone) > 0) }
      for file in files { try file.sync() }
      for index in 0...1 { #expect(memory[index].crashed() == models[index].bytes) }
      for file in files { try file.close() }
      try expectAllFramesBack(cache, before)
    }
  }

  @Test(arguments: WritingTests.ways) func exchanges(_ way: WritingTests.Way) throws {
    let memory = [MemoryStore(bytes: someBytes(280_000)), MemoryStore(bytes: someBytes(290_000, 2))]
    let cache = try smallCache(orders: way.orders, atomic: 1 << 16)
    let before = try cache.statistics().freeFrames
    let files = try memory.map { try cache.open(store: $0, .readWrite(durability: way.durability)) }
    var models = [BytesModel(bytes: someBytes(280_000)), BytesModel(bytes: someBytes(290_000, 2))]
    for (one, other, range, offset) in [
      // More than a piece of its own, off boundaries, in one file, to both ends.
      (0, 1, Int64(3)..<279_000, Int64(1001)), (0, 1, 4096..<8192, 4096), (1, 0, 289_990..<290_000, 279_990),
      (0, 0, 0..<100, 100), (0, 0, 200_000..<210_000, 17), (1, 0, 5..<5, 7),
    ] {
      try files[one].write(toAbsoluteOffset: 5000, someBytes(300, one + 6))
      models[one].write(someBytes(300, one + 6), at: 5000)
      try files[one].exchange(range, with: files[other], at: offset)
      let mine = Array(models[one].bytes[Int(range.lowerBound)..<Int(range.upperBound)])
      let theirs = Array(models[other].bytes[Int(offset)..<Int(offset) + range.count])
      models[one].write(theirs, at: Int(range.lowerBound))
      models[other].write(mine, at: Int(offset))
      for index in 0...1 { #expect(try contents(files[index]) == models[index].bytes, "\(range), \(offset)") }
    }
    for file in files { try file.sync() }
    for index in 0...1 { #expect(memory[index].crashed() == models[index].bytes) }
    for file in files { try file.close() }
    try expectAllFramesBack(cache, before)
  }
}
