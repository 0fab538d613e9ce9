import BackingStores
import CPrimitives
import Glibc
import Primitives
import SystemPackage
import TestSupport
import Testing

/// On the file systems that differ.
@Suite("Reshaping a local file", .timeLimit(.minutes(30)))
struct LocalFileReshapingTests {
  let threads = IOThreads(count: 1)

  private func make(
    _ directory: TemporaryDirectory, _ name: String = "file", size: Int, seed: Int64 = 0,
    system: FileSystemCalls = .linux
  ) throws -> LocalFileStore {
    let file = try directory.makeFile(name, size: size, seed: seed)
    let store = try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
    try store.prepareToWrite()
    return store
  }

  private func extents(_ store: LocalFileStore) throws -> [StoreExtent] {
    var extents: [StoreExtent] = []
    var offset: Int64 = 0
    let size = try store.status().size
    while offset < size {
      let extent = try store.extent(at: offset)
      #expect(extent.end > offset)
      extents.append(StoreExtent(isHole: extent.isHole, end: min(extent.end, size)))
      offset = extent.end
    }
    return extents
  }

  @Test(arguments: Volume.Kind.available)
  func resizing(kind: Volume.Kind) throws {
    let volume = try Volume(kind)
    let store = try make(TemporaryDirectory(in: volume.path), size: 10_000)
    try store.resize(to: 5000)
    #expect(try store.contents() == pattern(0..<5000))
    try store.resize(to: 20_000)
    #expect(try store.contents() == pattern(0..<5000) + zeroes(15_000))
    #expect(try extents(store) == [.init(isHole: false, end: 8192), .init(isHole: true, end: 20_000)])
    try store.write([1], at: 16_384)
    #expect(try store.extent(at: 8192) == StoreExtent(isHole: true, end: 16_384))
    #expect(try store.extent(at: 10_000) == StoreExtent(isHole: true, end: 16_384))
    try store.resize(to: 0)
    #expect(try store.contents() == [])
    if kind == .ext4 { #expect(cause { try store.resize(to: .max) } == .system(.fileTooLarge)) }
    store.close()
  }

  @Test(arguments: Volume.Kind.available)
  func changing(kind: Volume.Kind) throws {
    let volume = try Volume(kind)
    let directory = try TemporaryDirectory(in: volume.path)
    let store = try make(directory, size: 40_000)
    var model = pattern(0..<40_000)
    func expectModel(sourceLocation: SourceLocation = #_sourceLocation) throws {
      #expect(try store.contents() == model, sourceLocation: sourceLocation)
    }

    try store.change(.punchHole, 5000..<20_000)
    model.replaceSubrange(5000..<20_000, with: zeroes(15_000))
    try expectModel()
    #expect(try store.extent(at: 8192) == StoreExtent(isHole: true, end: 16_384))
    try store.change(.punchHole, 39_000..<100_000)
    model.replaceSubrange(39_000..., with: zeroes(1000))
    try expectModel()

    try store.change(.zero(keepingSize: false), 100..<300)
    model.replaceSubrange(100..<300, with: zeroes(200))
    try store.change(.zero(keepingSize: false), 39_500..<45_000)
    model += zeroes(5000)
    try expectModel()
    try store.change(.zero(keepingSize: true), 44_000..<60_000)
    try expectModel()

    try store.change(.allocate(keepingSize: true), 0..<200_000)
    try expectModel()
    #expect(try #require(store.status().allocatedBytes) >= 200_000)
    try store.change(.allocate(keepingSize: false), 0..<50_000)
    model += zeroes(5000)
    try expectModel()

    try store.change(.collapse, 4096..<12_288)
    model.removeSubrange(4096..<12_288)
    try expectModel()
    try store.change(.insert, 8192..<16_384)
    model.insert(contentsOf: zeroes(8192), at: 8192)
    try expectModel()
    #expect(try store.extent(at: 8192) == StoreExtent(isHole: true, end: 16_384))

    for change in [StoreRangeChange.punchHole, .collapse, .insert, .allocate(keepingSize: true)] {
      try store.change(change, 4096..<4096)
      #expect(cause { try store.change(change, -4096..<4096) } == .system(.invalidArgument))
    }
    for range in [Int64(1)..<4096, 0..<4095, 40_960..<53_248, 53_248..<57_344] {
      #expect(cause { try store.change(.collapse, range) } == .system(.invalidArgument))
    }
    for range in [Int64(1)..<4097, 0..<4095, 53_248..<57_344] {
      let error = StoreError(
        operation: .insertRange, store: store.name, range: range, cause: .system(.invalidArgument))
      #expect(throws: error) { try store.change(.insert, range) }
    }
    try expectModel()
    store.close()
  }

  @Test func whatTheSystemCannotDo() throws {
    let directory = try TemporaryDirectory()
    for errno in [Errno.notSupported, .noFunction] {
      var system = FileSystemCalls.linux
      system.allocate = { _, _, _, _ in errno }
      system.clone = { _, _, _, _ in errno }
      system.dedupe = { _, _, _, _ in -Int64(errno.rawValue) }
      let store = try make(directory, size: 4096, system: system)
      for change in Self.changes { #expect(cause { try store.change(change, 0..<4096) } == .unsupported) }
      #expect(cause { try store.clone(0..<4096, of: store, to: 4096) } == .unsupported)
      #expect(cause { _ = try store.dedupe(0..<4096, with: store, at: 4096) } == .unsupported)
    }
    for (errno, expected) in [
      (Errno.improperLink, StoreError.Cause.unsupported), (.inappropriateIOCTLForDevice, .unsupported),
      (.invalidArgument, .unsupported), (.noSpace, .system(.noSpace)), (.notPermitted, .system(.notPermitted)),
    ] {
      var system = FileSystemCalls.linux
      system.clone = { _, _, _, _ in errno }
      system.dedupe = { _, _, _, _ in -Int64(errno.rawValue) }
      let store = try make(directory, size: 4096, system: system)
      #expect(cause { try store.clone(0..<4096, of: store, to: 4096) } == expected)
      #expect(cause { _ = try store.dedupe(0..<4096, with: store, at: 4096) } == expected)
    }
    let store = try make(directory, size: 4096)
    let memory = MemoryStore(bytes: zeroes(4096))
    #expect(cause { try store.clone(0..<4096, of: memory, to: 0) } == .unsupported)
    #expect(cause { _ = try store.dedupe(0..<4096, with: memory, at: 0) } == .unsupported)
  }

  private static let changes: [StoreRangeChange] = [
    .allocate(keepingSize: true), .allocate(keepingSize: false), .punchHole, .zero(keepingSize: true),
    .zero(keepingSize: false), .collapse, .insert, .unshare,
  ]

  // MARK: Sharing

  @Test(.enabled(if: Volume.Kind.xfs.isAvailable))
  func cloning() throws {
    let volume = try Volume(.xfs)
    let directory = try TemporaryDirectory(in: volume.path)
    let source = try make(directory, "source", size: 40_000, seed: 3)
    let target = try make(directory, "target", size: 20_000)
    try source.write([1, 2, 3], at: 4096)
    let bytes = try source.contents()
    try target.clone(4096..<12_288, of: source, to: 8192)
    var model = pattern(0..<20_000)
    model.replaceSubrange(8192..<16_384, with: bytes[4096..<12_288])
    #expect(try target.contents() == model)

    // Up to the end of both, unaligned; and it grows.
    try target.clone(4096..<40_000, of: source, to: 16_384)
    model.replaceSubrange(16_384..., with: bytes[4096..<40_000])
    #expect(try target.contents() == model)
    try target.clone(0..<0, of: source, to: 0)
    #expect(try target.contents() == model, "nothing, and not all of it")

    // Inside of a file.
    try target.clone(0..<8192, of: target, to: 8192)
    model.replaceSubrange(8192..<16_384, with: model[0..<8192])
    #expect(try target.contents() == model)
    try source.write([9], at: 4096)
    #expect(try target.contents() == model, "written apart")
    try target.change(.unshare, 0..<40_960)
    #expect(try target.contents() == model)

    for (range, offset) in [(Int64(1)..<4097, Int64(0)), (0..<4095, 0), (0..<4096, 1), (40_960..<45_056, 0)] {
      let error = StoreError(operation: .clone, store: target.name, range: range, cause: .unsupported)
      #expect(throws: error) { try target.clone(range, of: source, to: offset) }
    }
    #expect(cause { try target.clone(0..<4096, of: source, to: -4096) } == .system(.invalidArgument))
    let outside = try make(TemporaryDirectory(), size: 4096)
    #expect(cause { try target.clone(0..<4096, of: outside, to: 0) } == .unsupported)
    for store in [source, target] { store.close() }
  }

  @Test(.enabled(if: Volume.Kind.xfs.isAvailable))
  func deduping() throws {
    let volume = try Volume(.xfs)
    let directory = try TemporaryDirectory(in: volume.path)
    let size = 36 << 20
    let first = try make(directory, "first", size: size)
    let second = try make(directory, "second", size: size)
    let before = try freeBytes(volume)
    #expect(try second.dedupe(0..<Int64(size), with: first, at: 0))
    #expect(try freeBytes(volume) - before > 30 << 20)
    try second.write([99], at: 20 << 20)
    #expect(try !second.dedupe(0..<Int64(size), with: first, at: 0))
    let frames = Frames(4096)
    #expect(second.readAndWait(frames, at: 20 << 20).count == 4096)
    #expect(frames.bytes[0] == 99)
    #expect(try second.dedupe(0..<0, with: first, at: 0))
    for (range, offset) in [(Int64(1)..<4097, Int64(1)), (0..<4095, 0), (Int64(size)..<Int64(size) + 4096, 0)] {
      #expect(cause { _ = try second.dedupe(range, with: first, at: offset) } == .unsupported, "\(range)")
    }
    #expect(cause { _ = try second.dedupe(0..<4096, with: first, at: -1) } == .system(.invalidArgument))
    let third = try make(directory, "third", size: 5000)
    #expect(try third.dedupe(0..<5000, with: make(directory, "fourth", size: 5000), at: 0), "the end of both")
    #expect(try !third.dedupe(0..<5000, with: make(directory, "fifth", size: 5000, seed: 1), at: 0))
    #expect(cause { _ = try third.dedupe(0..<5000, with: first, at: 0) } == .unsupported)
    for store in [first, second, third] { store.close() }
  }

  @Test(.enabled(if: Volume.Kind.ext4.isAvailable))
  func whereStorageCannotBeShared() throws {
    let volume = try Volume(.ext4)
    let store = try make(TemporaryDirectory(in: volume.path), size: 20_000)
    #expect(cause { try store.clone(0..<4096, of: store, to: 8192) } == .unsupported)
    #expect(cause { _ = try store.dedupe(0..<4096, with: store, at: 8192) } == .unsupported)
    #expect(cause { try store.change(.unshare, 0..<4096) } == .unsupported)
    store.close()
  }

  private func freeBytes(_ volume: Volume) throws -> Int {
    var status = statvfs()
    sync()
    unsafe try #require(statvfs(volume.path, &status) == 0)
    return Int(status.f_bfree * status.f_frsize)
  }

  // MARK: Full

  @Test(.enabled(if: Volume.Kind.ext4.isAvailable))
  func aFullDisk() throws {
    let volume = try Volume(.ext4, megabytes: 8)
    let store = try make(TemporaryDirectory(in: volume.path), size: 10)
    let bytes = pattern(0..<(9 << 20))
    let written = try store.write(bytes, at: 0)
    #expect((1 << 20..<8 << 20).contains(written))
    let range = Int64(written)..<Int64(bytes.count)
    let error = StoreError(operation: .write, store: store.name, range: range, cause: .system(.noSpace))
    #expect(throws: error) { try store.write(Array(bytes[written...]), at: Int64(written)) }
    #expect(try store.status().size == Int64(written))
    #expect(try store.contents() == Array(bytes[..<written]))
    #expect(cause { try store.change(.allocate(keepingSize: true), 0..<9 << 20) } == .system(.noSpace))
    #expect(try store.contents() == Array(bytes[..<written]))
    // What is there can be written again.
    #expect(try store.write(Array(bytes[..<written].reversed()), at: 0) == written)
    try store.flush(dataOnly: false)
    store.close()
  }

  // MARK: Holes

  @Test func aSharedDescriptorKeepsItsOffset() throws {
    let directory = try TemporaryDirectory()
    var system = FileSystemCalls.linux
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    let file = try directory.makeFile(size: 5000)
    let descriptor = try FileDescriptor.open(file, .readWrite)
    defer { try? descriptor.close() }
    try descriptor.resize(to: 1 << 20)
    try descriptor.seek(offset: 123, from: .start)
    let store = try LocalFileStore(duplicating: descriptor, directIO: .automatic, threads: threads, system: system)
    #expect(try store.extent(at: 0) == StoreExtent(isHole: false, end: .max))
    #expect(try store.extent(at: 500_000) == StoreExtent(isHole: false, end: .max))
    #expect(try descriptor.seek(offset: 0, from: .current) == 123)
    #expect(try store.contents() == pattern(0..<5000) + zeroes((1 << 20) - 5000))
  }

  /// Where a descriptor cannot be opened again, there is nothing to write by: its open file description is the
  /// caller's, and fsync(2) tells a description of an error once.
  @Test func descriptorsThatCannotBeWrittenTo() throws {
    let directory = try TemporaryDirectory()
    var system = FileSystemCalls.linux
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    let file = try directory.makeFile(size: 5000)
    func refusal(_ flags: Int32) throws -> StoreError.Cause? {
      let descriptor = FileDescriptor(rawValue: try FileSystemCalls.linux.open(file, flags).get())
      defer { try? descriptor.close() }
      let store = try LocalFileStore(duplicating: descriptor, directIO: .automatic, threads: threads, system: system)
      return cause { try store.prepareToWrite() }
    }
    #expect(try refusal(O_RDONLY) == .system(.badFileDescriptor))
    for flags in [O_RDWR, O_RDWR | O_APPEND] + (Machine.readsDirectly ? [O_RDWR | pagecache_open_direct] : []) {
      guard case .other(let text) = try refusal(flags) else {
        Issue.record("flags \(flags): written to")
        continue
      }
      #expect(text.contains("opened again"))
    }
  }

  @Test func holesOfStrangeFileSystems() throws {
    let directory = try TemporaryDirectory()
    func extent(_ data: Int64, _ hole: Int64) throws -> StoreExtent {
      var system = FileSystemCalls.linux
      system.seek = { $2 ? hole : data }
      return try make(directory, size: 20_000, system: system).extent(at: 5000)
    }
    #expect(try extent(6000, 0) == StoreExtent(isHole: true, end: 6000))
    #expect(try extent(5000, 7000) == StoreExtent(isHole: false, end: 7000))
    #expect(try extent(-Int64(ENXIO), 0) == StoreExtent(isHole: true, end: .max))
    #expect(try extent(-Int64(EINVAL), 0) == StoreExtent(isHole: false, end: .max), "it does not know the question")
    #expect(try extent(-Int64(EOPNOTSUPP), 0) == StoreExtent(isHole: false, end: .max))
    #expect(try extent(5000, -Int64(ENXIO)) == StoreExtent(isHole: false, end: .max), "cut off in between")
    #expect(cause { _ = try extent(-Int64(EIO), 0) } == .system(.ioError))
  }
}
