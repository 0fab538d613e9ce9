import BackingStores
import CPrimitives
import Glibc
import Primitives
import SystemPackage
import Testing

@Suite("Reading a local file", .timeLimit(.minutes(30)))
struct LocalFileReadingTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 4)

  init() throws { directory = try TemporaryDirectory() }

  private static let policies = DirectIOPolicy.allCases.filter { $0 != .required || Machine.readsDirectly }

  /// The tests check by runs of the pattern what they mean byte by byte.
  @Test func thePatternIsWhatItSays() {
    for range: Range<Int64> in [0..<20_000, 4095..<4097, 5000..<5001, (1 << 40) - 700..<(1 << 40) + 5000] {
      let bytes = range.map { patternByte(at: $0, seed: 77) }
      #expect(Array(patternRuns(range, seed: 77).joined()) == bytes)
    }
    #expect(!Frames(4096).holdsPattern(1, at: 0))
  }

  @Test(.enabled(if: Machine.readsDirectly))
  func modeSaysWhichWay() throws {
    let file = try directory.makeFile(size: 1)
    #expect(try LocalFileStore(path: file, threads: threads).mode == .direct)
    #expect(try LocalFileStore(path: file, directIO: .required, threads: threads).mode == .direct)
    let buffered = try LocalFileStore(path: file, directIO: .never, threads: threads).mode
    #expect(buffered == .buffered(dropsBehind: .byReadFlag))
    #expect(buffered.description == "buffered, dropped behind by read flag")
  }

  @Test(arguments: policies, [0, 1, 511, 512, 513, 1536, 4095, 4096, 4097, 8192, 70_000])
  func everySizeFromEveryFrame(policy: DirectIOPolicy, size: Int) throws {
    let file = try directory.makeFile(size: size)
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
    #expect(try store.status().size == Int64(size))
    for start in stride(from: 0, through: size + 8192, by: 4096) {
      for length in [4096, 12288, 81920] {
        let frames = Frames(length)
        let expected = max(0, min(length, size - start))
        let result = store.readAndWait(frames, at: Int64(start))
        #expect(result == .success(expected), "\(length) bytes at \(start) of \(size)")
        #expect(frames.holdsPattern(expected, at: Int64(start)))
        let piece = Frames(length)
        #expect(try unsafe store.read(at: Int64(start), into: piece.memory) == expected)
        #expect(piece.holdsPattern(expected, at: Int64(start)))
      }
    }
    #expect(try store.version() == store.status().version)
    store.close()
    let closed = StoreError(operation: .read, store: file.string, range: 0..<4096, cause: .system(.badFileDescriptor))
    #expect(throws: closed) { () throws(StoreError) in try unsafe store.read(at: 0, into: Frames(4096).memory) }
    #expect(throws: StoreError(operation: .status, store: file.string, cause: .system(.badFileDescriptor))) {
      () throws(StoreError) in try store.version()
    }
  }

  @Test(arguments: policies)
  func aFileThatChangesItsSize(policy: DirectIOPolicy) throws {
    let file = try directory.makeFile(size: 40_000)
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
    unsafe try #require(truncate(file.string, 5000) == 0)
    let frames = Frames(40_960)
    #expect(store.readAndWait(frames, at: 0) == .success(5000))
    #expect(frames.holdsPattern(5000, at: 0))
    #expect(store.readAndWait(frames, at: 8192) == .success(0))
    unsafe try #require(truncate(file.string, 20_000) == 0)
    #expect(store.readAndWait(frames, at: 0) == .success(20_000))
    #expect(frames.bytes[5000..<20_000].allSatisfy { $0 == 0 })
  }

  @Test(arguments: policies)
  func moreSegmentsThanTheSystemTakesAtOnce(policy: DirectIOPolicy) throws {
    let size = 3000 * 4096 - 100
    let file = try directory.makeFile(size: size)
    let calls = Promise<Int32>()
    var system = FileSystemCalls.linux
    unsafe system.read = {
      calls.fulfil($2)
      return unsafe FileSystemCalls.linux.read($0, $1, $2, $3, $4)
    }
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads, system: system)
    let frames = Frames(3000 * 4096)
    #expect(store.readAndWait(frames, at: 0) == .success(size))
    #expect(frames.holdsPattern(size, at: 0))
    #expect(calls.all.prefix(3) == [1024, 1024, 952])
    // A buffered read has to ask whether the last, short one was the end.
    #expect(calls.count <= 4)
  }

  @Test func offsetsThatCannotBe() throws {
    let file = try directory.makeFile(size: 5000)
    for policy in Self.policies {
      let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
      let mode = store.mode
      let frames = Frames(8192)
      for (offset, cause) in [
        (Int64(-4096), StoreError.Cause.system(.invalidArgument)), (.min, .system(.invalidArgument)),
        (.max & ~4095, .system(.overflow)), (.max, .system(.overflow)),
      ] {
        let request = frames.request(at: offset)
        let error = StoreError(operation: .read, store: file.string, range: request.range, cause: cause)
        #expect(store.readAndWait(frames, at: offset) == .failure(error))
      }
      // Beyond what any file system holds, and no overflow.
      #expect(store.readAndWait(frames, at: (.max & ~4095) - 8192) == .success(0))
      #expect(store.mode == mode)
    }
  }

  @Test(.enabled(if: Machine.readsDirectly))
  func whatIsNotInWholeFramesIsReadBuffered() throws {
    let file = try directory.makeFile(size: 50_000)
    let store = try LocalFileStore(path: file, threads: threads)
    let required = try LocalFileStore(path: file, directIO: .required, threads: threads)
    let cases: [(Frames, Int64, Int)] = [
      (Frames(4096), 1, 4096), (Frames(4096, skew: 1), 0, 4096), (Frames(100), 0, 100), (Frames(9000), 4096, 1111),
    ]
    for (frames, offset, segment) in cases {
      let count = unsafe frames.memory.count
      #expect(store.readAndWait(frames, at: offset, segment: segment) == .success(count))
      #expect(frames.holdsPattern(count, at: offset))
      #expect(required.readAndWait(frames, at: offset, segment: segment).cause == .system(.invalidArgument))
    }
    #expect(store.mode == .direct, "the request was odd, not the file system")
    #expect(directory.openDescriptorCount == 3)
    store.close()
    required.close()
    #expect(directory.openDescriptorCount == 0)
  }

  @Test(.enabled(if: Machine.hasSharedMemory), arguments: [DirectIOPolicy.automatic, .never])
  func sharedMemoryFiles(policy: DirectIOPolicy) throws {
    let directory = try TemporaryDirectory(in: "/dev/shm")
    let file = try directory.makeFile(size: 9001)
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
    for _ in 0..<2 {
      let frames = Frames(12288)
      #expect(store.readAndWait(frames, at: 0) == .success(9001))
      #expect(frames.holdsPattern(9001, at: 0))
    }
  }

  // MARK: Who reads

  @Test(arguments: policies)
  func callersReadAtOnceAndTheOthersDoNotWait(policy: DirectIOPolicy) throws {
    let file = try directory.makeFile(size: 8192)
    let threads = IOThreads(count: 1)
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
    let leave = Promise<Void>()
    threads.submit { leave.wait() }

    let background = Promise<Result<Int, StoreError>>()
    let frames = Frames(8192)
    store.read(frames, at: 0, .background) { background.fulfil($0) }
    let who = Promise<pthread_t>()
    let other = Frames(8192)
    store.read(other, at: 0, .caller) { _ in who.fulfil(pthread_self()) }
    #expect(who.all == [pthread_self()])
    #expect(background.count == 0, "its thread is held")

    leave.fulfil(())
    #expect(background.wait() == .success(8192))
    #expect(frames.holdsPattern(8192, at: 0))
  }

  @Test(arguments: policies)
  func backgroundReadsAtTheSameTime(policy: DirectIOPolicy) throws {
    let file = try directory.makeFile(size: 64 * 8192)
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
    let done = Promise<(Int, Result<Int, StoreError>)>()
    let frames = (0..<64).map { _ in Frames(8192) }
    for number in 0..<64 {
      store.read(frames[number], at: Int64(number) * 8192, .background) { done.fulfil((number, $0)) }
    }
    let results = done.wait(for: 64)
    #expect(Set(results.map(\.0)) == Set(0..<64))
    for (number, result) in results {
      #expect(result == .success(8192))
      #expect(frames[number].holdsPattern(8192, at: Int64(number) * 8192))
    }
  }

  @Test(arguments: policies)
  func eightThreads(policy: DirectIOPolicy) throws {
    let file = try directory.makeFile(size: 8 * 65536 - 7)
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
    let wrong = Promise<String>()
    onThreads(8) { thread in
      for round in 0..<30 {
        let frames = Frames(65536)
        let offset = Int64((thread + round) % 8) * 65536
        let expected = offset == 7 * 65536 ? 65529 : 65536
        let result = store.readAndWait(frames, at: offset, round % 2 == 0 ? .caller : .background)
        if result != .success(expected) || !frames.holdsPattern(expected, at: offset) {
          wrong.fulfil("thread \(thread) at \(offset): \(result)")
        }
      }
    }
    #expect(wrong.all == [])
  }

  // MARK: The kernel's cache

  @Test(.enabled(if: Machine.dropsCaches), arguments: ["direct", "flag", "advice"])
  func nothingStaysInTheKernelsCache(way: String) throws {
    let file = try directory.makeFile(size: 1_000_001)
    var system = FileSystemCalls.linux
    if way == "advice" {
      unsafe system.read = {
        $4 == 0 ? unsafe FileSystemCalls.linux.read($0, $1, $2, $3, $4) : -Int(EOPNOTSUPP)
      }
    }
    let policy: DirectIOPolicy = way == "direct" ? .automatic : .never
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads, system: system)
    let frames = Frames(40_960)
    // The first pages and then the next ones make the kernel read ahead, if it is allowed to.
    for offset: Int64 in [0, 40_960, 81_920, 1_000_000 / 4096 * 4096] {
      try #require(store.readAndWait(frames, at: offset).count != nil)
    }
    #expect(residentPages(of: file) == 0, "\(store.mode)")

    // What would have stayed: the same bytes, read as anybody reads them.
    let descriptor = try FileDescriptor.open(file, .readOnly)
    defer { try? descriptor.close() }
    _ = unsafe try descriptor.read(fromAbsoluteOffset: 0, into: frames.memory)
    #expect(residentPages(of: file) > 0)
  }
}
