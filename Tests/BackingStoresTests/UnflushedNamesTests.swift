import BackingStores
import Glibc
import Primitives
import SystemPackage
import Testing

/// Names that wait for a flush: how many there can be, and what waits for them.
@Suite("Names that are not flushed yet", .timeLimit(.minutes(30)))
struct UnflushedNamesTests {
  let directory: TemporaryDirectory
  let calls = Promise<String>()

  init() throws { directory = try TemporaryDirectory() }

  /// - Parameter errno: of flushes of the file system.
  private func system(_ errno: Errno? = nil) -> FileSystemCalls {
    var system = FileSystemCalls.linux
    system.flush = { _, _ in
      calls.fulfil("directory")
      return nil
    }
    system.flushFileSystem = { _ in
      calls.fulfil("file system")
      return errno
    }
    return system
  }

  private struct Made: ~Copyable {
    let path: FilePath
    let file: FileDescriptor
    let identity: StoreIdentity
    deinit { try? file.close() }
  }

  private func make(_ name: String) throws -> Made {
    let path = directory.path.appending(name)
    let file = try FileDescriptor.open(path, .readWrite, options: .create, permissions: .ownerReadWrite)
    return Made(path: path, file: file, identity: try #require(try LocalFileStore.identity(of: file)))
  }

  private func flush(_ names: UnflushedNames, _ made: borrowing Made, _ system: FileSystemCalls? = nil) -> Errno? {
    names.flush(made.identity, created: nil, by: made.file.rawValue, system: system ?? self.system())
  }

  /// A program that makes files for ever and flushes none takes bounded memory, and its names are not forgotten.
  @Test func tooMany() throws {
    let names = UnflushedNames(limit: 3)
    let first = try make("first")
    let last = try make("last")
    let elsewhere = StoreIdentity(realm: "elsewhere", object: "file")
    names.add(first.path, of: first.identity, created: nil)
    names.add("/elsewhere/file", of: elsewhere, created: nil)
    names.add(directory.path.appending("gone"), of: .init(realm: first.identity.realm, object: "gone"), created: nil)
    #expect(names.count == 3)
    names.add(last.path, of: last.identity, created: nil)
    #expect(names.count == 2, "those of the file system that has the oldest one have gone")
    for _ in 0..<2 { #expect(flush(names, first, system(.ioError)) == .ioError, "its name was among them") }
    #expect(flush(names, last) == nil)
    #expect(calls.all == ["file system", "file system", "file system"])
    #expect(flush(names, first) == nil)
    #expect(flush(names, last) == nil)
    #expect(calls.count == 3, "all of them are durable")
    #expect(names.count == 1, "of another file system, which nothing was told about")
    names.add(first.path, of: first.identity, created: nil)
    #expect(flush(names, first) == nil)
    #expect(calls.all.last == "directory")
  }

  @Test func aTemporaryFileLeavesNothing() throws {
    let names = UnflushedNames(limit: 3)
    let made = try make("temporary")
    names.add(made.path, of: made.identity, created: nil)
    names.forgetIfNameless(made.identity, by: made.file.rawValue, system: .linux)
    #expect(names.count == 1, "it has its name")
    unsafe try #require(unlink(made.path.string) == 0)
    names.forgetIfNameless(made.identity, by: made.file.rawValue, system: .linux)
    #expect(names.count == 0)
  }

  /// A file is there for others before the thread that makes it has noted its name.
  @Test func aFlushWaitsForAFileThatIsBeingMade() throws {
    let threads = IOThreads(count: 1)
    defer { threads.shutDown() }
    let (made, goOn, flushed) = (Promise<Void>(), Promise<Void>(), Promise<StoreError.Cause?>())
    let path = directory.path.appending("new")
    var making = system()
    making.create = {
      let result = FileSystemCalls.linux.create($0, $1)
      made.fulfil(())
      goOn.wait()
      return result
    }
    let maker = JoinableThread(name: "maker") { [making] in
      _ = try? LocalFileStore(
        path: path, creating: .exclusively, directIO: .automatic, threads: threads, system: making)
    }
    made.wait()
    let store = try LocalFileStore(path: path, directIO: .automatic, threads: threads, system: system())
    // What an earlier file with the same number has left does not count.
    let earlier = StoreStatus.ChangeStamp(seconds: 1, nanoseconds: 1)
    if try store.status().creationStamp != nil {
      UnflushedNames.shared.add("/earlier/file", of: store.identity, created: earlier)
    }
    let flusher = JoinableThread(name: "flusher") { flushed.fulfil(cause { try store.flush(dataOnly: true) }) }
    #expect(eventually { UnflushedNames.shared.waitingCount > 0 })
    #expect(flushed.count == 0)
    goOn.fulfil(())
    #expect(flushed.wait() == nil)
    #expect(calls.all == ["directory", "directory"], "of the file, and of its directory")
    if let maker { maker.join() }
    if let flusher { flusher.join() }
  }

  /// One device that hangs while a file is made holds up no other.
  @Test func filesOfOtherDevicesDoNotWait() throws {
    let names = UnflushedNames(limit: 3)
    let file = try make("file")
    names.whileMaking(in: "elsewhere") { #expect(flush(names, file) == nil) }
    names.whileMaking(in: nil) { #expect(flush(names, file) == nil) }
    names.add(file.path, of: file.identity, created: nil)
    names.whileMaking(in: file.identity.realm) { #expect(flush(names, file) == nil, "its name is known") }
    #expect(calls.all == ["directory"])
  }
}
