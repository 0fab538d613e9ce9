import BackingStores
import Foundation
import Glibc
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P10: who else may use a file, and what is noticed of those who do not ask.
@Suite struct OwnershipTests {
  private func isClaimed(_ cache: PageCache, _ path: FilePath, _ options: PageCache.OpenOptions) -> Bool {
    guard let error = cacheError({ _ = try cache.open(path, options) }) else { return false }
    guard case .claimed? = error.cause.storeCause, error.operation == .open, error.file == path.string else {
      Issue.record("\(error)")
      return false
    }
    return true
  }

  private func withFile(_ body: (FilePath) throws -> Void) throws {
    try withTemporaryDirectory { directory in
      let path = directory.appending("file")
      try Data(someBytes(50_000)).write(to: URL(fileURLWithPath: path.string))
      try body(path)
    }
  }

  @Test func twoCachesOfOneProcess() throws {
    try withFile { path in
      let (one, two) = (try smallCache(), try smallCache())
      let before = try two.statistics().freeFrames
      let writer = try one.open(path, .readWrite())
      #expect(isClaimed(two, path, .init()))
      #expect(isClaimed(two, path, .readWrite()))
      #expect(isClaimed(two, path, .readWrite(truncates: true)))
      #expect(try kernelBytes(path).count == 50_000, "who is refused truncates nothing")
      #expect(try two.statistics().openFiles == 0)
      try writer.close()
      // Readers share, and exclude writers.
      let readers = try [one.open(path), two.open(path)]
      for reader in readers { #expect(try contents(reader) == someBytes(50_000)) }
      #expect(isClaimed(one, path, .readWrite()))
      #expect(isClaimed(try smallCache(), path, .readWrite()))
      #expect(try one.statistics().openFiles == 1, "its reader is there still")
      #expect(try readers[0].read(fromAbsoluteOffset: 7, count: 9) == Array(someBytes(50_000)[7..<16]))
      try readers[1].close()
      // A reader becomes a writer, in one cache.
      let upgraded = try one.open(path, .readWrite())
      try upgraded.write(toAbsoluteOffset: 0, [1, 2])
      #expect(try readers[0].read(fromAbsoluteOffset: 0, count: 2) == [1, 2])
      expectRefusal(.write, "readOnly") { try readers[0].write(toAbsoluteOffset: 0, [3]) }
      #expect(isClaimed(two, path, .init()))
      try upgraded.close()
      #expect(isClaimed(two, path, .init()), "the claim is the file's, until its last close")
      try readers[0].close()
      let last = try two.open(path, .readWrite())
      #expect(try last.read(fromAbsoluteOffset: 0, count: 2) == [1, 2])
      try last.close()
      try expectAllFramesBack(two, before)
    }
  }

  @Test(.enabled(if: !isSanitized)) func aCacheOfAnotherProcess() async throws {
    try await withTemporaryDirectory { directory async throws in
      let path = directory.appending("file")
      try Data(someBytes(5000)).write(to: URL(fileURLWithPath: path.string))
      let name = path.string
      let cache = try smallCache()
      let writer = try cache.open(path, .readWrite())
      await #expect(processExitsWith: .success) { [name = name as String] in
        let cache = try smallCache()
        for options in [PageCache.OpenOptions(), .readWrite()] {
          let error = cacheError { _ = try cache.open(FilePath(name), options) }
          guard case .claimed? = error?.cause.storeCause else { exit(3) }
        }
        // Whoever has a protocol of his own is not kept out.
        let file = try cache.open(FilePath(name), .init(ownership: .external))
        guard try file.size == 5000 else { exit(4) }
      }
      try writer.close()
      let reader = try cache.open(path)
      await #expect(processExitsWith: .success) { [name = name as String] in
        let cache = try smallCache()
        let file = try cache.open(FilePath(name))
        guard try file.size == 5000 else { exit(5) }
        let error = cacheError { _ = try cache.open(FilePath(name), .readWrite()) }
        guard case .claimed? = error?.cause.storeCause else { exit(6) }
      }
      try reader.close()
      // A process that ends lets go, also without closing.
      await #expect(processExitsWith: .success) { [name = name as String] in
        let file = try smallCache().open(FilePath(name), .readWrite())
        try file.write(toAbsoluteOffset: 0, [7])
        exit(0)
      }
      let after = try cache.open(path, .readWrite())
      #expect(after.isWritable)
      #expect(try kernelBytes(path).first == 7)
      try after.close()
    }
  }

  @Test func externalOwnershipTakesNoLocks() throws {
    try withFile { path in
      let (one, two) = (try smallCache(), try smallCache())
      let first = try one.open(path, .readWrite(ownership: .external))
      let second = try two.open(path, .readWrite(ownership: .external))
      #expect(try second.read(fromAbsoluteOffset: 0, count: 2) == someBytes(2))
      try first.write(toAbsoluteOffset: 0, [1, 2])
      // By its protocol it knows when to look again.
      #expect(try second.read(fromAbsoluteOffset: 0, count: 2) == someBytes(2))
      try second.invalidate(0..<2)
      #expect(try second.read(fromAbsoluteOffset: 0, count: 2) == [1, 2])
      try first.resize(to: 100)
      #expect(try second.size == 50_000)
      try second.invalidate()
      #expect(try second.size == 100)
      // Nothing is checked.
      try second.write(toAbsoluteOffset: 5, [5])
      try second.sync()
      try first.sync()
      // One file has one kind of owner.
      expectRefusal(.open, "options") { _ = try one.open(path) }
      expectRefusal(.open, "options") { _ = try one.open(path, .readWrite()) }
      try first.close()
      try second.close()
      let exclusive = try one.open(path)
      expectRefusal(.open, "options") { _ = try one.open(path, .init(ownership: .external)) }
      #expect(try one.statistics().openFiles == 1)
      try exclusive.close()
      #expect(try one.statistics().openFiles == 0)
    }
  }

  enum Change: CaseIterable { case truncate, lengthen, write }

  /// Time stamps of files are as coarse as the kernel's ticks.
  private func change(_ change: Change, _ path: FilePath) throws {
    sleepNanoseconds(20_000_000)
    let descriptor = try FileDescriptor.open(path, .writeOnly)
    defer { try? descriptor.close() }
    switch change {
    case .truncate: try descriptor.resize(to: 30_000)
    case .lengthen: try descriptor.resize(to: 70_000)
    case .write: try descriptor.writeAll(toAbsoluteOffset: 20_000, [1, 2, 3])
    }
  }

  @Test(arguments: Change.allCases, PageCache.Durability.allCases)
  func changesByOthersAreNoticed(_ what: Change, _ durability: PageCache.Durability) throws {
    try withFile { path in
      let cache = try smallCache()
      let before = try cache.statistics().freeFrames
      let file = try cache.open(path, .readWrite(durability: durability))
      #expect(try file.read(fromAbsoluteOffset: 0, count: 4096) == Array(someBytes(50_000)[..<4096]))
      // After a write of our own and its sync, the stamp is ours.
      try file.write(toAbsoluteOffset: 10, [1])
      try file.sync()
      #expect(try file.read(fromAbsoluteOffset: 8192, count: 10).count == 10)
      try change(what, path)
      let fill = cacheError { _ = try file.read(fromAbsoluteOffset: 20_480, count: 10) }
      guard case .changedByOthers(50_000, let size)? = fill?.cause.storeCause else {
        return #expect(Bool(false), "\(fill as Any)")
      }
      #expect(try size == Int64(kernelBytes(path).count))
      let sync = expectRefusal(.sync, "writeBackFailed") { try file.sync(dataOnly: false) }
      guard case .changedByOthers? = sync?.cause.storeCause else { return #expect(Bool(false), "\(sync as Any)") }
      // What is cached is served, until what is there now is accepted.
      #expect(try file.read(fromAbsoluteOffset: 8192, count: 10) == Array(someBytes(50_000)[8192..<8202]))
      try file.invalidate()
      #expect(try contents(file) == kernelBytes(path))
      try file.write(toAbsoluteOffset: 0, [9])
      try file.sync()
      #expect(try kernelBytes(path) == contents(file))
      try file.close()
      try expectAllFramesBack(cache, before)
    }
  }

  @Test func aFileThatIsRenamedOver() throws {
    try withFile { path in
      let cache = try smallCache()
      let file = try cache.open(path, .readWrite(durability: .writeBack))
      let other = path.removingLastComponent().appending("other")
      try Data([1, 2, 3]).write(to: URL(fileURLWithPath: other.string))
      try #require(unsafe rename(other.string, path.string) == 0)
      try file.write(toAbsoluteOffset: 0, [5])
      let error = expectRefusal(.sync, "writeBackFailed") { try file.sync() }
      #expect(error?.cause.storeCause == .replaced)
      try file.sync()
      #expect(try kernelBytes(path) == [1, 2, 3], "what is written goes to the old one")
      // The new one is another file.
      let new = try cache.open(path, .readWrite())
      #expect(try contents(new) == [1, 2, 3])
      #expect(try cache.statistics().openFiles == 2)
      #expect(try file.read(fromAbsoluteOffset: 0, count: 2) == [5, someBytes(2)[1]])
      try new.close()
      try file.close()
    }
  }

  @Test func opensAndClosesOfManyThreads() throws {
    try withFile { path in
      let cache = try smallCache()
      let before = try cache.statistics().freeFrames
      let failures = Failures()
      onThreads(6) { thread in
        for round in 0..<(isSanitized ? 20 : 120) {
          do {
            let file: CachedFile
            if thread == 0 {
              let descriptor = try FileDescriptor.open(path, .readWrite)
              defer { try? descriptor.close() }
              file = try cache.open(descriptor, .readWrite())
            } else {
              file = try cache.open(path, thread % 2 == 0 ? .init() : .readWrite(durability: .writeBack))
            }
            let offset = Int64(thread * 5000)
            if file.isWritable { try file.write(toAbsoluteOffset: offset, [UInt8(thread), UInt8(round)]) }
            let bytes = try file.read(fromAbsoluteOffset: offset, count: 2)
            failures.check(!file.isWritable || bytes == [UInt8(thread), UInt8(round)], "\(thread), \(round): \(bytes)")
            // Every other handle is dropped.
            if round % 2 == 0 { try file.close() }
          } catch { failures.add("thread \(thread), round \(round): \(error)") }
        }
      }
      #expect(failures.all == [])
      #expect(try cache.statistics().openFiles == 0 && cache.statistics().owedFrames == 0)
      try expectAllFramesBack(cache, before)
    }
  }

  @Test func makingAndEmptyingFiles() throws {
    try withTemporaryDirectory { directory in
      let cache = try smallCache()
      let path = directory.appending("file")
      let contradictions = [
        PageCache.OpenOptions(creation: .ifMissing), .init(creation: .exclusively), .init(truncates: true),
      ]
      for options in contradictions { expectRefusal(.open, "options") { _ = try cache.open(path, options) } }
      func refusal(_ options: PageCache.OpenOptions) -> StoreError.Cause? {
        cacheError { _ = try cache.open(path, options) }?.cause.storeCause
      }
      #expect(refusal(.readWrite()) == .system(.noSuchFileOrDirectory))
      #expect(!FileManager.default.fileExists(atPath: path.string))
      var options = PageCache.OpenOptions.readWrite(creation: .exclusively, durability: .writeBack)
      options.permissions = [.ownerReadWrite]
      let file = try cache.open(path, options)
      #expect(try file.size == 0)
      let mode = try FileManager.default.attributesOfItem(atPath: path.string)[.posixPermissions] as? Int
      #expect(mode == 0o600)
      try file.write(toAbsoluteOffset: 0, someBytes(10_000))
      // Whether it is open here or not.
      #expect(refusal(.readWrite(creation: .exclusively)) == .system(.fileExists))
      let again = try cache.open(path, .readWrite(creation: .ifMissing))
      #expect(try contents(again) == someBytes(10_000))
      for options in contradictions { expectRefusal(.open, "options") { _ = try cache.open(path, options) } }
      // Emptied beside a handle that has something dirty.
      let emptied = try cache.open(path, .readWrite(truncates: true))
      #expect(try file.size == 0 && contents(again) == [])
      try file.sync()
      #expect(try kernelBytes(path) == [])
      try file.append([1, 2, 3])
      for file in [file, again, emptied] { try file.close() }
      #expect(refusal(.readWrite(creation: .exclusively)) == .system(.fileExists))
      #expect(try kernelBytes(path) == [1, 2, 3])
      let last = try cache.open(path, .readWrite(truncates: true))
      #expect(try contents(last) == [] && kernelBytes(path) == [])
      try last.close()
      #expect(try cache.statistics().openFiles == 0)
    }
  }

  /// close(2) of any descriptor drops the process's POSIX locks on the file: the cache must not.
  @Test(arguments: PageCache.Ownership.allCases) func locksOfTheProcessSurvive(_ ownership: PageCache.Ownership) throws
  {
    try withFile { path in
      let descriptor = try FileDescriptor.open(path, .readWrite)
      defer { try? descriptor.close() }
      var lock = flock()
      // A writer's lock would be in the way of a claim.
      lock.l_type = Int16(ownership == .exclusive ? F_RDLCK : F_WRLCK)
      lock.l_whence = Int16(SEEK_SET)
      lock.l_start = 10
      lock.l_len = 20
      try #require(unsafe fcntl(descriptor.rawValue, F_SETLK, &lock) == 0)
      // Asked for another description, which is as good as another process.
      func isHeld() -> Bool {
        FileSystemCalls.linux.conflictingLock(descriptor.rawValue, F_WRLCK) == .success(getpid())
      }
      #expect(isHeld())
      let cache = try smallCache()
      for round in 0..<3 {
        let options = ownership == .exclusive ? PageCache.OpenOptions() : .readWrite(ownership: .external)
        let file = try cache.open(path, options)
        let second = try cache.open(descriptor, options)
        _ = try contents(file)
        if file.isWritable {
          try file.write(toAbsoluteOffset: 0, [UInt8(round)])
          try second.sync()
        }
        try second.close()
        #expect(isHeld(), "a close, round \(round)")
        try file.close()
        #expect(isHeld(), "the last close, round \(round)")
      }
    }
  }
}
