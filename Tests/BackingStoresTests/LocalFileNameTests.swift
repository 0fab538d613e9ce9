import BackingStores
import Glibc
import Primitives
import Synchronization
import SystemPackage
import Testing

/// The name of a file that opening made is durable after the first flush of the file in this process, by any store.
@Suite("The name of a new file", .timeLimit(.minutes(30)))
struct LocalFileNameTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 1)
  let flushed = Flushed()

  init() throws { directory = try TemporaryDirectory() }

  /// What was flushed, in order, and how the flush of a directory and of a file system ends.
  final class Flushed: Sendable {
    let calls = Promise<String>()
    let directoriesFail = Atomic(0)

    var system: FileSystemCalls {
      var system = FileSystemCalls.linux
      system.flush = { descriptor, _ in
        var status = stat()
        unsafe fstat(descriptor, &status)
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        self.calls.fulfil(isDirectory ? "directory" : "file")
        let errno = self.directoriesFail.load(ordering: .relaxed)
        return isDirectory && errno != 0 ? Errno(rawValue: Int32(errno)) : nil
      }
      system.flushFileSystem = { _ in
        self.calls.fulfil("file system")
        return nil
      }
      return system
    }
  }

  private func make(
    _ path: FilePath, _ creating: FileCreation = .ifMissing, _ system: FileSystemCalls? = nil
  ) throws(StoreError) -> LocalFileStore {
    let store = try LocalFileStore(
      path: path, creating: creating, directIO: .automatic, threads: threads, system: system ?? flushed.system)
    try store.prepareToWrite()
    return store
  }

  private var path: FilePath { directory.path.appending("new") }

  @Test func closedAndOpenedAgainBeforeTheFirstFlush() throws {
    let made = try make(path, .exclusively)
    try made.write([1], at: 0)
    made.close()
    #expect(directory.openDescriptorCount == 0, "a name that is not durable keeps no descriptor")
    let again = try make(path, .never)
    #expect(!again.wasCreated)
    try again.flush(dataOnly: true)
    #expect(flushed.calls.all == ["file", "directory"])
    try again.flush(dataOnly: true)
    #expect(flushed.calls.all == ["file", "directory", "file"])
  }

  /// Two opens of a missing path: the store that made the file comes second, is kept aside, and is never flushed.
  @Test func anotherStoreOfTheSameFileIsFlushed() throws {
    let made = try make(path, .exclusively)
    let other = try make(path)
    try other.flush(dataOnly: false)
    #expect(flushed.calls.all == ["file", "directory"])
    try made.flush(dataOnly: false)
    #expect(flushed.calls.all == ["file", "directory", "file"], "once for the file, not once for each store")
  }

  /// By a link, by a descriptor, and by a store that only reads.
  @Test func byWhateverStore() throws {
    let link = directory.path.appending("link")
    for way in 0..<3 {
      unlink(path)
      unlink(link)
      try make(path, .exclusively).close()
      let before = flushed.calls.count
      let store: LocalFileStore
      switch way {
      case 0:
        unsafe try #require(Glibc.link(path.string, link.string) == 0)
        store = try make(link, .never)
      case 1:
        let descriptor = try FileDescriptor.open(path, .readOnly)
        defer { try? descriptor.close() }
        store = try LocalFileStore(
          duplicating: descriptor, directIO: .never, threads: threads, system: flushed.system)
      default:
        store = try LocalFileStore(path: path, directIO: .automatic, threads: threads, system: flushed.system)
      }
      try store.flush(dataOnly: true)
      #expect(Array(flushed.calls.all.dropFirst(before)) == ["file", "directory"], "way \(way)")
    }
  }

  @Test func aNameThatCouldNotBeFlushedIsTriedAgain() throws {
    try make(path, .exclusively).close()
    flushed.directoriesFail.store(Int(EIO), ordering: .relaxed)
    for _ in 0..<2 {
      let store = try make(path, .never)
      #expect(cause { try store.flush(dataOnly: true) } == .system(.ioError))
      store.close()
    }
    flushed.directoriesFail.store(0, ordering: .relaxed)
    let store = try make(path, .never)
    try store.flush(dataOnly: true)
    try store.flush(dataOnly: true)
    #expect(flushed.calls.all == ["file", "directory", "file", "directory", "file", "directory", "file"])
  }

  /// The path of the directory leads to another one by now: the file system is flushed, which has the right one.
  @Test(arguments: [false, true])
  func aDirectoryThatWasRenamed(isClosed: Bool) throws {
    let (old, new) = (directory.path.appending("old"), directory.path.appending("renamed"))
    defer { for path in [old, new] { unsafe _ = (unlink(path.appending("new")), rmdir(path.string)) } }
    unsafe try #require(mkdir(old.string, 0o700) == 0)
    var made: LocalFileStore? = try make(old.appending("new"), .exclusively)
    if isClosed { made = nil }
    unsafe try #require(rename(old.string, new.string) == 0)
    unsafe try #require(mkdir(old.string, 0o700) == 0)
    // Another file of the same name.
    try FileDescriptor.open(old.appending("new"), .writeOnly, options: .create, permissions: .ownerReadWrite).close()
    let store = try made ?? make(new.appending("new"), .never)
    try store.flush(dataOnly: true)
    try store.flush(dataOnly: true)
    #expect(flushed.calls.all == ["file", "file system", "file"])
  }

  /// A relative path leads elsewhere when the working directory is another one.
  @Test func theWorkingDirectoryMayChange() throws {
    let relative = FilePath("../../../../../../../..\(path.string)")
    try make(relative, .exclusively).close()
    let store = try make(path, .never)
    try store.flush(dataOnly: true)
    #expect(flushed.calls.all == ["file", "directory"])
  }

  @Test func aFileWithoutANameNeedsNone() throws {
    let store = try make(path, .exclusively)
    unlink(path)
    try store.flush(dataOnly: true)
    try store.flush(dataOnly: true)
    #expect(flushed.calls.all == ["file", "file"])
  }

  /// An inode number is used again for another file.
  @Test func anotherFileWithTheSameNumber() throws {
    let made = try make(path, .exclusively)
    let (identity, created) = (made.identity, try made.status().creationStamp)
    made.close()
    unlink(path)
    try directory.makeFile("new", size: 10)
    let store = try make(path, .never)
    guard store.identity == identity, created != nil, try created != store.status().creationStamp else { return }
    try store.flush(dataOnly: true)
    #expect(flushed.calls.all == ["file"])
  }

  private func unlink(_ path: FilePath) { unsafe _ = Glibc.unlink(path.string) }
}
