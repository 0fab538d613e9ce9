import BackingStores
import CPrimitives
import Glibc
import Primitives
import SystemPackage
import Testing

@Suite("Claims and other people's locks", .timeLimit(.minutes(30)))
struct LocalFileClaimTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 1)
  let file: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    file = try directory.makeFile(size: 5000)
  }

  private func open(_ system: FileSystemCalls = .linux) throws(StoreError) -> LocalFileStore {
    try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
  }

  private func refusal(_ store: LocalFileStore, forWriting: Bool) -> StoreError.Cause? {
    cause { try store.claim(forWriting: forWriting) }
  }

  // MARK: Claims

  @Test func readersShareAndWritersDoNot() throws {
    let (first, second) = (try open(), try open())
    try first.claim(forWriting: false)
    try second.claim(forWriting: false)
    try second.claim(forWriting: false)
    #expect(refusal(first, forWriting: true) == .claimed(byProcess: nil))
    #expect(refusal(try open(), forWriting: true) == .claimed(byProcess: nil))
    second.close()
    try first.claim(forWriting: true)
    try first.claim(forWriting: true)
    try first.claim(forWriting: false)
    let third = try open()
    let error = StoreError(operation: .claim, store: file.string, cause: .claimed(byProcess: nil))
    #expect(throws: error) { try third.claim(forWriting: false) }
    #expect(throws: error) { try third.claim(forWriting: true) }
    first.close()
    try third.claim(forWriting: true)
  }

  @Test func aRefusedWriterStaysAReader() throws {
    let (first, second) = (try open(), try open())
    try first.claim(forWriting: false)
    try second.claim(forWriting: false)
    for _ in 0..<2 { #expect(refusal(first, forWriting: true) == .claimed(byProcess: nil)) }
    #expect(refusal(second, forWriting: true) == .claimed(byProcess: nil), "the first is a reader still")
    first.close()
    try second.claim(forWriting: true)
  }

  @Test func aClaimGoesWithTheStore() throws {
    let descriptor = try FileDescriptor.open(file, .readWrite)
    defer { try? descriptor.close() }
    do {
      let store = try LocalFileStore(duplicating: descriptor, threads: threads)
      try store.claim(forWriting: true)
      #expect(refusal(try open(), forWriting: false) == .claimed(byProcess: nil))
    }
    try open().claim(forWriting: true)
  }

  @Test func aDescriptionOfTheCallersIsNotLocked() throws {
    var system = FileSystemCalls.linux
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    let descriptor = try FileDescriptor.open(file, .readWrite)
    defer { try? descriptor.close() }
    let store = try LocalFileStore(duplicating: descriptor, directIO: .automatic, threads: threads, system: system)
    try store.claim(forWriting: false)
    try open().claim(forWriting: true)
    #expect(cause { try store.claim(forWriting: true) } != nil, "it is not written to, either")
  }

  @Test func claimsOfAClosedStore() throws {
    let store = try open()
    store.close()
    for forWriting in [false, true] { #expect(refusal(store, forWriting: forWriting) == .system(.badFileDescriptor)) }
  }

  @Test(arguments: [
    (Errno.noLocks, StoreError.Cause.unsupported), (.notSupported, .unsupported), (.invalidArgument, .unsupported),
    (.noFunction, .unsupported), (.ioError, .system(.ioError)),
  ])
  func fileSystemsWithoutLocks(errno: Errno, expected: StoreError.Cause) throws {
    var system = FileSystemCalls.linux
    system.lock = { _, _ in errno }
    let store = try open(system)
    try store.claim(forWriting: false)
    #expect(refusal(store, forWriting: true) == expected)
  }

  /// POSIX locks do have a process.
  @Test func whoHasIt() throws {
    let locks = try PosixLocks(file)
    try #require(locks.lock(F_RDLCK, 100..<200))
    let store = try open()
    try store.claim(forWriting: false)
    #expect(refusal(store, forWriting: true) == .claimed(byProcess: getpid()))
    store.close()
    try #require(locks.lock(F_WRLCK, 100..<200))
    #expect(refusal(try open(), forWriting: false) == .claimed(byProcess: getpid()))
  }
}

/// POSIX locks of this process on a file, seen as another process would see them.
final class PosixLocks: Sendable {
  private let descriptor: FileDescriptor

  init(_ file: FilePath) throws { descriptor = try FileDescriptor.open(file, .readWrite) }

  deinit { try? descriptor.close() }

  func lock(_ type: Int32, _ range: Range<Int64>) -> Bool {
    var lock = flock()
    lock.l_type = Int16(type)
    lock.l_whence = Int16(SEEK_SET)
    lock.l_start = off_t(range.lowerBound)
    lock.l_len = off_t(range.count)
    return unsafe fcntl(descriptor.rawValue, F_SETLK, &lock) == 0
  }

  /// Asks for another open file description: to the kernel that is as good as another process.
  var areHeld: Bool { FileSystemCalls.linux.conflictingLock(descriptor.rawValue, F_WRLCK) == .success(getpid()) }
}

/// close(2) of any descriptor of a file drops the process's POSIX locks on it. Stores must not.
@Suite("Descriptors that cannot be closed yet", .timeLimit(.minutes(30)))
struct ParkedDescriptorTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 1)
  let file: FilePath
  let locks: PosixLocks

  init() throws {
    directory = try TemporaryDirectory()
    file = try directory.makeFile(size: 5000)
    locks = try PosixLocks(file)
  }

  private func useStore(_ system: FileSystemCalls = .linux) throws {
    let store = try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
    // All three descriptors, where reads are direct.
    _ = store.readAndWait(Frames(100), at: 1)
    try store.prepareToWrite()
    try store.write([1], at: 1)
    store.close()
  }

  private var inUse: Int { directory.openDescriptorCount - 1 }

  @Test func withoutAStoreTheLockWouldBeGone() throws {
    try #require(locks.lock(F_WRLCK, 10..<20))
    #expect(locks.areHeld)
    try FileDescriptor.open(file, .readOnly).close()
    #expect(!locks.areHeld)
  }

  @Test(arguments: [F_RDLCK, F_WRLCK])
  func locksSurviveAStore(type: Int32) throws {
    try #require(locks.lock(type, 10..<20))
    for _ in 0..<5 {
      try useStore()
      #expect(locks.areHeld)
      #expect(inUse == (Machine.readsDirectly ? 3 : 2), "taken over, and not opened again")
    }
    try #require(locks.lock(F_UNLCK, 0..<1000))
    #expect(!locks.areHeld)
    // The next store that is closed, of whatever file, closes them.
    let other = try TemporaryDirectory()
    try LocalFileStore(path: other.makeFile(size: 1), threads: threads).close()
    #expect(eventually { inUse == 0 })
  }

  @Test func theClaimIsGivenUpAllTheSame() throws {
    let reader = try LocalFileStore(path: file, threads: threads)
    try reader.claim(forWriting: false)
    try #require(locks.lock(F_RDLCK, 10..<20))
    reader.close()
    #expect(locks.areHeld)
    #expect(inUse == 1)
    try #require(locks.lock(F_UNLCK, 0..<1000))
    let writer = try LocalFileStore(path: file, threads: threads)
    try writer.claim(forWriting: true)
    writer.close()
    #expect(eventually { inUse == 0 })
  }

  /// Two stores at a time leave two sets; and one at a time takes one of them.
  @Test func asManyAsThereWereStoresAtATime() throws {
    try #require(locks.lock(F_RDLCK, 10..<20))
    for _ in 0..<3 {
      let stores = try (0..<2).map { _ in try LocalFileStore(path: file, threads: threads) }
      for store in stores {
        let frames = Frames(8192)
        #expect(store.readAndWait(frames, at: 0) == .success(5000))
        #expect(frames.holdsPattern(5000, at: 0))
      }
      for store in stores { store.close() }
      #expect(inUse == 2)
    }
    #expect(locks.areHeld)
    try #require(locks.lock(F_UNLCK, 0..<1000))
    try useStore()
    #expect(eventually { inUse == 0 })
  }

  /// The kernel tells of one lock only, and that is somebody else's.
  @Test func ownLocksBehindOthers() throws {
    let other = try LocalFileStore(path: file, threads: threads)
    try other.claim(forWriting: false)
    let store = try LocalFileStore(path: file, threads: threads)
    store.close()
    #expect(inUse == 1, "nobody's POSIX locks: closed")
    try #require(locks.lock(F_RDLCK, 10..<20))
    try LocalFileStore(path: file, threads: threads).close()
    #expect(inUse == 2)
    other.close()
    #expect(locks.areHeld)
    try #require(locks.lock(F_UNLCK, 0..<1000))
    try useStore()
    #expect(eventually { inUse == 0 })
  }

  @Test func inDoubtTheyStayOpen() throws {
    var system = FileSystemCalls.linux
    system.conflictingLock = { _, _ in .failure(.invalidArgument) }
    try useStore(system)
    #expect(inUse == 0, "the kernel's list of locks has none")
    try #require(locks.lock(F_WRLCK, 10..<20))
    try useStore(system)
    #expect(locks.areHeld)
    try #require(locks.lock(F_UNLCK, 0..<1000))
    try useStore()
    #expect(eventually { inUse == 0 })
  }
}
