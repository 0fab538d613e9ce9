import BackingStores
import CPrimitives
import Glibc
import Primitives
import Synchronization
import SystemPackage
import Testing

@Suite("Opening a local file by its path", .timeLimit(.minutes(30)))
struct LocalFileOpeningTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 1)

  init() throws { directory = try TemporaryDirectory() }

  private func error(_ path: FilePath, _ policy: DirectIOPolicy = .automatic) -> StoreError? {
    openingError { () throws(StoreError) in try LocalFileStore(path: path, directIO: policy, threads: threads) }
  }

  private func kind(_ path: FilePath) -> StoreError.FileKind? {
    guard case .notRegularFile(let kind) = error(path)?.cause else { return nil }
    return kind
  }

  @Test(arguments: DirectIOPolicy.allCases)
  func missingFile(policy: DirectIOPolicy) {
    let path = directory.path.appending("missing")
    #expect(
      error(path, policy)
        == StoreError(operation: .open, store: path.string, cause: .system(.noSuchFileOrDirectory)))
    #expect(error("", policy)?.cause == .system(.noSuchFileOrDirectory))
  }

  @Test func whatIsNoRegularFileIsNamedAndRefused() throws {
    let fifo = directory.path.appending("fifo")
    unsafe try #require(mkfifo(fifo.string, 0o600) == 0)
    #expect(kind(fifo) == .fifo, "and opening did not wait for a writer")
    #expect(kind(directory.path) == .directory)
    #expect(kind("/dev/null") == .characterDevice)

    let link = directory.path.appending("link")
    unsafe try #require(symlink(fifo.string, link.string) == 0)
    #expect(kind(link) == .fifo)

    let socketPath = directory.path.appending("socket")
    let made = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(made) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: socketPath.string.utf8) }
    let bound = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(made, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(bound == 0)
    #expect(kind(socketPath) == .socket)
    #expect(directory.openDescriptorCount == 0)
  }

  @Test func symbolicLinks() throws {
    let file = try directory.makeFile(size: 5000)
    let link = directory.path.appending("link")
    unsafe try #require(symlink(file.string, link.string) == 0)
    let store = try LocalFileStore(path: link, threads: threads)
    #expect(try store.status().size == 5000)
    #expect(store.name == link.string)

    let loop = directory.path.appending("loop")
    unsafe try #require(symlink(loop.string, loop.string) == 0)
    #expect(error(loop)?.cause == .system(.tooManySymbolicLinkLevels))
    let dangling = directory.path.appending("dangling")
    unsafe try #require(symlink("nowhere", dangling.string) == 0)
    #expect(error(dangling)?.cause == .system(.noSuchFileOrDirectory))
  }

  @Test func identityIsTheFilesAndNotThePaths() throws {
    let file = try directory.makeFile("a", size: 100)
    let other = try directory.makeFile("b", size: 100)
    let hardLink = directory.path.appending("c")
    unsafe try #require(Glibc.link(file.string, hardLink.string) == 0)
    let store = try LocalFileStore(path: file, threads: threads)
    #expect(try LocalFileStore(path: hardLink, threads: threads).identity == store.identity)
    #expect(try LocalFileStore(path: other, threads: threads).identity != store.identity)
    let descriptor = try FileDescriptor.open(file, .readOnly)
    defer { try? descriptor.close() }
    #expect(try LocalFileStore(duplicating: descriptor, threads: threads).identity == store.identity)
    #expect(store.identity != (try LocalFileStore(path: "/proc/self/exe", threads: threads).identity))
  }

  @Test func statusFollowsTheFile() throws {
    let file = try directory.makeFile(size: 100)
    let store = try LocalFileStore(path: file, threads: threads)
    let before = try store.status()
    #expect(before.size == 100)
    sleepNanoseconds(20_000_000)
    unsafe try #require(truncate(file.string, 77) == 0)
    let after = try store.status()
    #expect(after.size == 77)
    #expect(after.changeStamp != before.changeStamp)
    #expect(try store.status() == after)
  }

  @Test func aRenamedAndRemovedFileStaysOpen() throws {
    let file = try directory.makeFile("a", size: 5000)
    let store = try LocalFileStore(path: file, threads: threads)
    let other = try directory.makeFile("b", size: 5000, seed: 99)
    unsafe try #require(rename(other.string, file.string) == 0)
    let frames = Frames(8192)
    #expect(store.readAndWait(frames, at: 0) == .success(5000))
    #expect(frames.holdsPattern(5000, at: 0))
  }

  @Test(arguments: DirectIOPolicy.allCases.filter { $0 != .required || Machine.readsDirectly })
  func closing(policy: DirectIOPolicy) throws {
    let file = try directory.makeFile(size: 5000)
    do {
      let store = try LocalFileStore(path: file, directIO: policy, threads: threads)
      #expect(directory.openDescriptorCount == 1)
      store.close()
      #expect(directory.openDescriptorCount == 0)
      store.close()
      #expect(store.readAndWait(Frames(4096), at: 0).cause == .system(.badFileDescriptor))
      #expect(store.readAndWait(Frames(4096), at: 1).cause == .system(.badFileDescriptor))
      #expect(throws: StoreError(operation: .status, store: file.string, cause: .system(.badFileDescriptor))) {
        try store.status()
      }
    }
    _ = try LocalFileStore(path: file, directIO: policy, threads: threads)
    #expect(directory.openDescriptorCount == 0, "dropping a store closes it")
  }

  @Test func exhaustionIsNamed() throws {
    var system = FileSystemCalls.linux
    system.open = { _, _ in .failure(.tooManyOpenFiles) }
    let error = openingError { [system] () throws(StoreError) in
      try LocalFileStore(path: "/any", directIO: .automatic, threads: threads, system: system)
    }
    #expect(error?.cause == .exhausted("descriptors"))
  }

  // MARK: Without /proc

  private var withoutProc: FileSystemCalls {
    var system = FileSystemCalls.linux
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    return system
  }

  @Test func withoutProcThePathIsOpened() throws {
    let file = try directory.makeFile(size: 5000)
    let store = try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: withoutProc)
    let frames = Frames(8192)
    #expect(store.readAndWait(frames, at: 0) == .success(5000))
    #expect(frames.holdsPattern(5000, at: 0))
    // One more, buffered, for a request that is not in whole frames.
    let skewed = Frames(100)
    #expect(store.readAndWait(skewed, at: 17) == .success(100))
    #expect(skewed.holdsPattern(100, at: 17))
  }

  /// Calls that put other files in the path's place each time the path has been looked at.
  private func withoutProc(afterLooking replace: @escaping @Sendable (_ time: Int) -> Void) -> FileSystemCalls {
    let looks = Promise<Void>()
    var system = withoutProc
    system.open = { path, flags in
      let result = FileSystemCalls.linux.open(path, flags)
      if flags & pagecache_open_path_only != 0 {
        looks.fulfil(())
        replace(looks.count)
      }
      return result
    }
    return system
  }

  @Test func aFileInThePathsPlaceIsNoticed() throws {
    let file = try directory.makeFile("a", size: 100)
    let other = try directory.makeFile("b", size: 200, seed: 5)
    let system = withoutProc { if $0 == 1 { unsafe rename(other.string, file.string) } }
    let store = try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
    #expect(try store.status().size == 200)
    #expect(try LocalFileStore(path: file, threads: threads).identity == store.identity)
    let frames = Frames(4096)
    #expect(store.readAndWait(frames, at: 0) == .success(200))
    #expect(frames.holdsPattern(200, at: 0, seed: 5))
  }

  @Test func aFifoInThePathsPlaceDoesNotBlock() throws {
    let file = try directory.makeFile("a", size: 100)
    let fifo = directory.path.appending("fifo")
    unsafe try #require(mkfifo(fifo.string, 0o600) == 0)
    let system = withoutProc { if $0 == 1 { unsafe rename(fifo.string, file.string) } }
    let error = openingError { () throws(StoreError) in
      try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
    }
    #expect(error?.cause == .notRegularFile(.fifo))
  }

  @Test func replacingForeverIsGivenUpOn() throws {
    let file = try directory.makeFile("a", size: 100)
    let directory = directory
    let times = Atomic(0)
    let system = withoutProc {
      times.store($0, ordering: .relaxed)
      guard let next = try? directory.makeFile("next", size: 1) else { return }
      unsafe rename(next.string, file.string)
    }
    let error = openingError { () throws(StoreError) in
      try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
    }
    guard case .other = error?.cause else {
      Issue.record("opened, or failed otherwise: \(String(describing: error))")
      return
    }
    #expect(times.load(ordering: .relaxed) == 3)
    #expect(directory.openDescriptorCount == 0)
  }
}
