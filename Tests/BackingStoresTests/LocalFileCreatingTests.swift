import BackingStores
import Glibc
import Primitives
import Synchronization
import SystemPackage
import Testing

@Suite("Making a local file", .timeLimit(.minutes(30)))
struct LocalFileCreatingTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 1)

  init() throws { directory = try TemporaryDirectory() }

  private func make(
    _ path: FilePath, _ creating: FileCreation, _ system: FileSystemCalls = .linux,
    permissions: FilePermissions = [.ownerReadWrite]
  ) throws(StoreError) -> LocalFileStore {
    try LocalFileStore(
      path: path, creating: creating, permissions: permissions, directIO: .automatic, threads: threads, system: system)
  }

  private func refusal(_ path: FilePath, _ creating: FileCreation) -> StoreError.Cause? {
    openingError { () throws(StoreError) in try make(path, creating) }?.cause
  }

  @Test(arguments: [FileCreation.ifMissing, .exclusively])
  func aMissingFileIsMade(creating: FileCreation) throws {
    let path = directory.path.appending("new")
    #expect(refusal(path, .never) == .system(.noSuchFileOrDirectory))
    let store = try make(path, creating, permissions: [.ownerReadWrite, .groupRead])
    #expect(store.wasCreated)
    #expect(store.name == path.string)
    #expect(try store.status().size == 0)
    var status = stat()
    unsafe try #require(stat(path.string, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o640)
    try store.write([1, 2, 3], at: 0)
    #expect(try store.contents() == [1, 2, 3])
    store.close()
    #expect(directory.openDescriptorCount == 0)

    #expect(refusal(path, .exclusively) == .system(.fileExists))
    let again = try make(path, .ifMissing)
    #expect(!again.wasCreated)
    #expect(try again.contents() == [1, 2, 3], "not emptied")
    #expect(cause { try again.write([1], at: 0) } == .system(.badFileDescriptor))
  }

  /// Written to by the descriptor that made it: another could not be opened.
  @Test func permissionsThatForbidWriting() throws {
    let store = try make(directory.path.appending("new"), .exclusively, permissions: [.ownerRead])
    try store.write([7], at: 0)
    #expect(try store.contents() == [7])
  }

  @Test func whatIsNoRegularFileIsRefused() throws {
    let fifo = directory.path.appending("fifo")
    unsafe try #require(mkfifo(fifo.string, 0o600) == 0)
    #expect(refusal(fifo, .ifMissing) == .notRegularFile(.fifo))
    #expect(refusal(fifo, .exclusively) == .system(.fileExists))
    #expect(refusal(directory.path, .ifMissing) == .notRegularFile(.directory))
    #expect(refusal(directory.path.appending("none/new"), .ifMissing) == .system(.noSuchFileOrDirectory))
    #expect(refusal("", .ifMissing) == .system(.noSuchFileOrDirectory))
    #expect(directory.openDescriptorCount == 0)
  }

  @Test func throughSymbolicLinks() throws {
    let target = directory.path.appending("target")
    let (first, second) = (directory.path.appending("first"), directory.path.appending("second"))
    unsafe try #require(symlink("second", first.string) == 0)
    unsafe try #require(symlink(target.string, second.string) == 0)
    #expect(refusal(first, .exclusively) == .system(.fileExists))
    let store = try make(first, .ifMissing)
    #expect(store.wasCreated)
    #expect(try make(target, .never).identity == store.identity)
    #expect(try !make(first, .ifMissing).wasCreated)
    let loop = directory.path.appending("loop")
    unsafe try #require(symlink("loop", loop.string) == 0)
    #expect(refusal(loop, .ifMissing) == .system(.tooManySymbolicLinkLevels))
  }

  @Test func aFileThatAppearsMeanwhileIsOpened() throws {
    let directory = directory
    let path = directory.path.appending("new")
    var system = FileSystemCalls.linux
    system.create = { path, permissions in
      _ = try? directory.makeFile("new", size: 10)
      return FileSystemCalls.linux.create(path, permissions)
    }
    let store = try make(path, .ifMissing, system)
    #expect(!store.wasCreated)
    #expect(try store.status().size == 10)
  }

  @Test func aFileThatComesAndGoesIsGivenUpOn() throws {
    var system = FileSystemCalls.linux
    system.create = { _, _ in .failure(.fileExists) }
    let error = openingError { [system] () throws(StoreError) in
      try make(directory.path.appending("new"), .ifMissing, system)
    }
    guard case .other = error?.cause else {
      Issue.record("opened, or failed otherwise: \(String(describing: error))")
      return
    }
  }

  // MARK: The name

  private func flushes(_ result: @escaping @Sendable (_ isDirectory: Bool) -> Errno?) -> (
    system: FileSystemCalls, calls: Promise<String>
  ) {
    let calls = Promise<String>()
    var system = FileSystemCalls.linux
    system.flush = { descriptor, dataOnly in
      var status = stat()
      unsafe fstat(descriptor, &status)
      let isDirectory = status.st_mode & S_IFMT == S_IFDIR
      calls.fulfil(isDirectory ? "directory" : "file")
      return result(isDirectory)
    }
    system.flushFileSystem = { _ in
      calls.fulfil("file system")
      return nil
    }
    return (system, calls)
  }

  @Test func theFirstFlushMakesTheNameDurable() throws {
    let fails = Atomic(false)
    let (system, calls) = flushes { $0 && fails.load(ordering: .relaxed) ? .ioError : nil }
    let store = try make(directory.path.appending("new"), .exclusively, system)
    fails.store(true, ordering: .relaxed)
    #expect(cause { try store.flush(dataOnly: true) } == .system(.ioError))
    fails.store(false, ordering: .relaxed)
    try store.flush(dataOnly: true)
    try store.flush(dataOnly: true)
    #expect(calls.all == ["file", "directory", "file", "directory", "file"])
    #expect(directory.openDescriptorCount == 2, "and the directory is not kept open")
    let again = try make(directory.path.appending("new"), .ifMissing, system)
    try again.prepareToWrite()
    try again.flush(dataOnly: false)
    #expect(calls.count == 6)
  }

  @Test func aDirectoryThatCannotBeFlushed() throws {
    let (system, calls) = flushes { $0 ? .invalidArgument : nil }
    let store = try make(directory.path.appending("one"), .exclusively, system)
    try store.flush(dataOnly: true)
    #expect(calls.all == ["file", "directory", "file system"])

    let (open, others) = flushes { _ in nil }
    var closed = open
    closed.open = {
      $1 & O_DIRECTORY != 0 ? .failure(.permissionDenied) : FileSystemCalls.linux.open($0, $1)
    }
    let unreadable = try make(directory.path.appending("two"), .exclusively, closed)
    try unreadable.flush(dataOnly: true)
    try unreadable.flush(dataOnly: true)
    #expect(others.all == ["file", "file system", "file"])
  }
}
