import BackingStores
import Glibc
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// What the cache and the store of local files do together: names, flushes and sizes.
@Suite struct RealFileStoreTests {
  /// What was flushed.
  private final class Flushed: Sendable {
    let files = Word()
    let directories = Word()

    var system: FileSystemCalls {
      var system = FileSystemCalls.linux
      system.flush = { descriptor, dataOnly in
        var status = stat()
        unsafe fstat(descriptor, &status)
        (status.st_mode & S_IFMT == S_IFDIR ? self.directories : self.files).add(1)
        return FileSystemCalls.linux.flush(descriptor, dataOnly)
      }
      return system
    }
  }

  private func withStores(
    _ body: (_ flushed: (Word, Word), _ store: (FileCreation) throws -> LocalFileStore) throws -> Void
  ) throws {
    try withTemporaryDirectory { directory in
      let threads = IOThreads(count: 1)
      defer { threads.shutDown() }
      let flushed = Flushed()
      try body((flushed.files, flushed.directories)) { creation in
        try LocalFileStore(
          path: directory.appending("new"), creating: creation, directIO: .automatic, threads: threads,
          system: flushed.system)
      }
    }
  }

  @Test(arguments: PageCache.Durability.allCases)
  func theNameOfAFileThatWasClosedAndOpenedAgain(_ durability: PageCache.Durability) throws {
    try withStores { flushed, store in
      let cache = try DurabilityTests.cache()
      var file = try cache.open(store: store(.exclusively), .readWrite(durability: durability))
      try file.write(toAbsoluteOffset: 0, someBytes(100))
      try file.close()
      file = try cache.open(store: store(.never), .readWrite(durability: durability))
      try file.write(toAbsoluteOffset: 0, someBytes(100, 2))
      #expect(flushed.1.value == 0)
      try file.sync()
      #expect(flushed.1.value == 1)
      try file.close()
    }
  }

  @Test func theNameOfAFileWhoseMakerIsADuplicate() throws {
    try withStores { flushed, store in
      let cache = try DurabilityTests.cache()
      let made = try store(.exclusively)
      let first = try cache.open(store: store(.never), .readWrite())
      let second = try cache.open(store: made, .readWrite())
      try second.write(toAbsoluteOffset: 0, someBytes(100))
      try second.sync()
      #expect(flushed.1.value == 1)
      try first.sync()
      #expect(flushed.1.value == 1)
      try first.close()
      try second.close()
    }
  }

  /// The bytes of a process that ended before its fsync.
  @Test func aSyncOfAFileThatIsOpenForReading() throws {
    try withStores { flushed, store in
      try store(.exclusively).close()
      let cache = try DurabilityTests.cache()
      let reader = try cache.open(store: store(.never))
      try reader.sync()
      #expect(flushed.0.value == 1)
      let writer = try cache.open(store: store(.never), .readWrite())
      try writer.sync()
      #expect(flushed.0.value >= 1)
      try reader.close()
      try writer.close()
    }
  }

  /// A write that the file system will refuse is refused at once, and not at every sync from there on.
  @Test(arguments: Volume.Kind.available) func pastTheLargestSizeOfAFileSystem(_ kind: Volume.Kind) throws {
    try Volume.mounted(kind) { directory in
      let cache = try DurabilityTests.cache()
      let path = directory.appending("file")
      let file = try cache.open(path, .readWrite(creation: .exclusively, durability: .writeBack))
      let threads = IOThreads(count: 1)
      defer { threads.shutDown() }
      let most = min(try LocalFileStore(path: path, threads: threads).maximumSize, PageCache.maximumFileSize)
      try file.resize(to: most - 10)
      try file.append(someBytes(4))
      expectRefusal(.append, "sizeTooLarge") { try file.append(someBytes(100)) }
      expectRefusal(.write, "sizeTooLarge") { try file.write(toAbsoluteOffset: most, someBytes(1)) }
      expectRefusal(.resize, "sizeTooLarge") { try file.resize(to: most + 1) }
      try file.append(someBytes(6, 2))
      try file.sync()
      #expect(try file.size == most)
      try file.close()
    }
  }
}
