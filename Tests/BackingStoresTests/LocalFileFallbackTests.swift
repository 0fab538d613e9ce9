import BackingStores
import CPrimitives
import Glibc
import Primitives
import SystemPackage
import Testing

/// File systems and kernels that are not at hand, played by the store's system calls.
@Suite("Reading a local file where the system refuses", .timeLimit(.minutes(30)))
struct LocalFileFallbackTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 2)
  let file: FilePath
  static let size = 50_000

  init() throws {
    directory = try TemporaryDirectory()
    file = try directory.makeFile(size: Self.size)
  }

  /// - Parameter flag: Reads with a flag are buffered ones, and honest.
  private func open(
    _ policy: DirectIOPolicy, _ system: FileSystemCalls, flag: Bool = false
  ) throws(StoreError) -> LocalFileStore {
    var system = system
    if flag {
      let read = unsafe system.read
      unsafe system.read = {
        $4 != 0 ? unsafe FileSystemCalls.linux.read($0, $1, $2, $3, $4) : unsafe read($0, $1, $2, $3, $4)
      }
    }
    return try LocalFileStore(path: file, directIO: policy, threads: threads, system: system)
  }

  private func expectContents(_ store: LocalFileStore, sourceLocation: SourceLocation = #_sourceLocation) {
    let frames = Frames(53248)
    #expect(store.readAndWait(frames, at: 0) == .success(Self.size), sourceLocation: sourceLocation)
    #expect(frames.holdsPattern(Self.size, at: 0), sourceLocation: sourceLocation)
  }

  private func expectRefused(
    _ system: FileSystemCalls, saying text: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    guard case .other(let said) = openingError({ () throws(StoreError) in try open(.required, system) })?.cause else {
      Issue.record("required direct reads were not refused", sourceLocation: sourceLocation)
      return
    }
    #expect(said.contains(text), sourceLocation: sourceLocation)
    #expect(directory.openDescriptorCount == 0, sourceLocation: sourceLocation)
  }

  @Test func openRefusesDirect() throws {
    var system = FileSystemCalls.linux
    system.open = { path, flags in
      flags & pagecache_open_direct != 0 ? .failure(.invalidArgument) : FileSystemCalls.linux.open(path, flags)
    }
    expectRefused(system, saying: "refuses")
    let store = try open(.automatic, system)
    #expect(store.mode == .buffered(dropsBehind: .byReadFlag))
    expectContents(store)
  }

  @Test(arguments: [
    FileStatus.DirectSupport.impossible, .aligned(memory: 8192, offset: 512), .aligned(memory: 512, offset: 8192),
    .aligned(memory: 512, offset: 3),
  ])
  func alignmentDoesNotSuitFrames(support: FileStatus.DirectSupport) throws {
    var system = FileSystemCalls.linux
    system.status = { descriptor in
      FileSystemCalls.linux.status(descriptor).map {
        var status = $0
        status.direct = support
        return status
      }
    }
    expectRefused(system, saying: support == .impossible ? "cannot" : "multiples")
    let store = try open(.automatic, system)
    #expect(store.mode == .buffered(dropsBehind: .byReadFlag))
    expectContents(store)
  }

  @Test(.enabled(if: Machine.readsDirectly))
  func alignmentUnknownIsTried() throws {
    var system = FileSystemCalls.linux
    system.status = { descriptor in
      FileSystemCalls.linux.status(descriptor).map {
        var status = $0
        status.direct = .unknown
        return status
      }
    }
    let store = try open(.automatic, system)
    #expect(store.mode == .direct)
    expectContents(store)
  }

  /// Accepts `O_DIRECT` at open and refuses to read by it. Direct reads are the ones without a flag.
  private func refusingDirectReads(_ refused: Promise<Void>) -> FileSystemCalls {
    var system = FileSystemCalls.linux
    system.open = { path, flags in
      // Whatever the machine under the test can do.
      FileSystemCalls.linux.open(path, flags & ~pagecache_open_direct)
    }
    unsafe system.read = {
      if $4 != 0 { return unsafe FileSystemCalls.linux.read($0, $1, $2, $3, $4) }
      refused.fulfil(())
      return -Int(EINVAL)
    }
    system.status = { descriptor in
      FileSystemCalls.linux.status(descriptor).map {
        var status = $0
        status.direct = .unknown
        return status
      }
    }
    return system
  }

  @Test func readRefusesDirectForGood() throws {
    let refused = Promise<Void>()
    let store = try open(.automatic, refusingDirectReads(refused))
    #expect(store.mode == .direct)
    expectContents(store)
    #expect(store.mode == .buffered(dropsBehind: .byReadFlag))
    expectContents(store)
    #expect(refused.count == 1, "not tried again")
    #expect(directory.openDescriptorCount == 2, "a thread may still be reading by the first")
    store.close()
    #expect(directory.openDescriptorCount == 0)
  }

  /// Reads into one piece of memory find the same ways out.
  @Test func onePieceWhereDirectReadsAreRefusedOrShort() throws {
    let frames = Frames(53248)
    let refused = Promise<Void>()
    let store = try open(.automatic, refusingDirectReads(refused))
    for _ in 0..<2 { #expect(try unsafe store.read(at: 0, into: frames.memory) == Self.size) }
    #expect(frames.holdsPattern(Self.size, at: 0))
    #expect(store.mode == .buffered(dropsBehind: .byReadFlag))
    #expect(refused.count == 2, "not tried again")
    let short = try open(.automatic, direct { wanted, _ in min(wanted, 1536) })
    let others = Frames(53248)
    #expect(try unsafe short.read(at: 0, into: others.memory) == Self.size)
    #expect(others.holdsPattern(Self.size, at: 0))
    let required = try open(.required, refusingDirectReads(Promise<Void>()))
    #expect(throws: StoreError.self) { () throws(StoreError) in try unsafe required.read(at: 0, into: frames.memory) }
    // Offsets up to the largest are refused, and nothing traps.
    for offset in [-4096, Int64.max - 4095] {
      #expect(throws: StoreError.self) { () throws(StoreError) in try unsafe short.read(at: offset, into: frames.memory)
      }
    }
    required.close()
    #expect(throws: StoreError.self) { () throws(StoreError) in
      try unsafe required.read(at: Int64.max - 4095, into: frames.memory)
    }
  }

  @Test func readRefusesDirectForManyThreads() throws {
    let store = try open(.automatic, refusingDirectReads(Promise<Void>()))
    let wrong = Promise<String>()
    onThreads(8) { _ in
      for _ in 0..<10 {
        let frames = Frames(53248)
        let result = store.readAndWait(frames, at: 0)
        if result != .success(Self.size) || !frames.holdsPattern(Self.size, at: 0) { wrong.fulfil("\(result)") }
      }
    }
    #expect(wrong.all == [])
    #expect(directory.openDescriptorCount == 2)
  }

  @Test func readRefusesDirectThatIsRequired() throws {
    let refused = Promise<Void>()
    let store = try open(.required, refusingDirectReads(refused))
    #expect(store.readAndWait(Frames(4096), at: 0).cause == .system(.invalidArgument))
    #expect(store.mode == .direct)
    #expect(refused.count == 1)
  }

  @Test func kernelWithoutTheReadFlag() throws {
    let flagged = Promise<Int32>()
    let dropped = Promise<Range<Int64>>()
    var system = FileSystemCalls.linux
    unsafe system.read = {
      guard $4 != 0 else { return unsafe FileSystemCalls.linux.read($0, $1, $2, $3, $4) }
      flagged.fulfil($4)
      return -Int(EOPNOTSUPP)
    }
    system.dropFromKernelCache = { dropped.fulfil($1..<$1 + Int64($2)) }
    let store = try open(.never, system)
    #expect(store.mode == .buffered(dropsBehind: .byReadFlag))
    expectContents(store)
    expectContents(store)
    #expect(store.mode == .buffered(dropsBehind: .byAdvice))
    #expect(flagged.all == [0x80], "not tried again")
    #expect(dropped.all == [0..<53248, 0..<53248])
    // Nothing was read, nothing to drop.
    #expect(store.readAndWait(Frames(4096), at: 53248) == .success(0))
    #expect(dropped.count == 2)
  }

  @Test(arguments: [97, 511, 1000, 4096, 5000])
  func shortBufferedReadsAreContinued(step: Int) throws {
    var system = FileSystemCalls.linux
    unsafe system.read = {
      var part = unsafe $1.pointee
      unsafe part.iov_len = min(part.iov_len, step)
      return unsafe FileSystemCalls.linux.read($0, &part, 1, $3, $4)
    }
    expectContents(try open(.never, system))
  }

  /// Direct reads by a file system that delivers what it likes.
  private func direct(_ read: @escaping @Sendable (_ wanted: Int, _ offset: Int64) -> Int) -> FileSystemCalls {
    var system = FileSystemCalls.linux
    system.open = { FileSystemCalls.linux.open($0, $1 & ~pagecache_open_direct) }
    system.status = { descriptor in
      FileSystemCalls.linux.status(descriptor).map {
        var status = $0
        status.direct = .aligned(memory: 512, offset: 512)
        return status
      }
    }
    unsafe system.read = {
      var part = unsafe $1.pointee
      unsafe part.iov_len = min(part.iov_len, read(unsafe part.iov_len, $3))
      return unsafe FileSystemCalls.linux.read($0, &part, 1, $3, $4)
    }
    return system
  }

  @Test func shortDirectReadsAreContinuedWhileAligned() throws {
    expectContents(try open(.automatic, direct { wanted, _ in min(wanted, 1536) }))
  }

  /// A count that is no multiple of a block is the end of the file only if the file ends there: to go on from there
  /// would be an unaligned read, so the read goes on from the last block that is whole.
  @Test(arguments: [DirectIOPolicy.automatic, .required])
  func anUnalignedDirectReadInTheMiddleIsContinued(policy: DirectIOPolicy) throws {
    let offsets = Promise<Int64>()
    let store = try open(
      policy,
      direct { wanted, offset in
        defer { offsets.fulfil(offset) }
        return offset == 8192 && !offsets.all.contains(8192) ? 700 : wanted
      })
    let frames = Frames(53248)
    #expect(store.readAndWait(frames, at: 0, segment: 4096) == .success(Self.size))
    #expect(frames.holdsPattern(Self.size, at: 0))
    #expect(offsets.all.prefix(5) == [0, 4096, 8192, 8704, 12_288])
    let piece = Frames(53248)
    let other = try open(policy, direct { wanted, offset in offset == 0 && wanted > 40_000 ? 1000 : wanted })
    #expect(try unsafe other.read(at: 0, into: piece.memory) == Self.size)
    #expect(piece.holdsPattern(Self.size, at: 0))
    #expect(store.mode == .direct && other.mode == .direct)
  }

  /// The device delivers parts of a block, however often it is asked: the rest is read through the kernel's cache.
  @Test func directReadsThatNeverGetOnAreFinishedBuffered() throws {
    let store = try open(.automatic, direct { wanted, offset in offset < 8192 ? wanted : min(wanted, 100) }, flag: true)
    let frames = Frames(53248)
    #expect(store.readAndWait(frames, at: 0) == .success(Self.size))
    #expect(frames.holdsPattern(Self.size, at: 0))
    let piece = Frames(53248)
    #expect(try unsafe store.read(at: 0, into: piece.memory) == Self.size)
    #expect(piece.holdsPattern(Self.size, at: 0))
    // Where that is not allowed, it ends: it is the cache that says that the store is too short.
    let required = try open(.required, direct { wanted, offset in offset < 8192 ? wanted : min(wanted, 100) })
    #expect(required.readAndWait(Frames(53248), at: 0) == .success(8292))
  }

  /// A read that ends with the file asks the device once.
  @Test func theEndOfAFileIsNotReadTwice() throws {
    let offsets = Promise<Int64>()
    let store = try open(
      .automatic,
      direct { wanted, offset in
        offsets.fulfil(offset)
        return wanted
      })
    let frames = Frames(4096)
    #expect(store.readAndWait(frames, at: 49_152) == .success(848))
    #expect(try unsafe store.read(at: 49_152, into: frames.memory) == 848)
    #expect(offsets.all == [49_152, 49_152])
  }

  @Test(arguments: [DirectIOPolicy.automatic, .never])
  func errorsOfTheSystem(policy: DirectIOPolicy) throws {
    var system = FileSystemCalls.linux
    unsafe system.read = {
      if $3 == 0 {
        var first = unsafe $1.pointee
        return unsafe FileSystemCalls.linux.read($0, &first, 1, $3, $4)
      }
      return -Int(EIO)
    }
    let store = try open(policy, system)
    let mode = store.mode
    let frames = Frames(8192)
    let error = StoreError(operation: .read, store: file.string, range: 0..<8192, cause: .system(.ioError))
    #expect(store.readAndWait(frames, at: 0) == .failure(error), "half of it is no success")
    #expect(store.mode == mode)
    #expect(store.readAndWait(Frames(4096), at: 0) == .success(4096))
    unsafe system.read = { _, _, _, _, _ in -Int(ENOMEM) }
    #expect(try open(policy, system).readAndWait(frames, at: 0).cause == .exhausted("memory"))
  }
}
