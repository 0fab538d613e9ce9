import BackingStores
import Glibc
import SystemPackage
import TestSupport
import Testing

/// Largest sizes, as the file systems say and as they are.
@Suite("The largest size of a local file", .timeLimit(.minutes(30)))
struct LocalFileSizeTests {
  let threads = IOThreads(count: 1)

  /// What the store says is what the file system does.
  private func check(_ parent: String) throws -> Int64 {
    let directory = try TemporaryDirectory(in: parent)
    let file = try directory.makeFile(size: 100)
    let store = try LocalFileStore(path: file, threads: threads)
    try store.prepareToWrite()
    let most = store.maximumSize
    try store.resize(to: most)
    #expect(try store.status().size == most)
    if most < .max {
      #expect(cause { try store.resize(to: most + 1) } == .system(.fileTooLarge))
      #expect(cause { try store.write([1], at: most) } == .system(.fileTooLarge))
    }
    try store.resize(to: 100)
    try store.write([7], at: most - 1)
    try store.flush(dataOnly: true)
    #expect(try store.status().size == most)
    try store.resize(to: 100)
    #expect(try store.contents() == pattern(0..<100))
    store.close()
    return most
  }

  /// Blocks of 4096 bytes have 32-bit numbers, and one number means something else.
  @Test(.enabled(if: Volume.Kind.ext4.isAvailable)) func ofExt4() throws {
    let volume = try Volume(.ext4)
    #expect(try check(volume.path) == (1 << 32 - 1) << 12)
  }

  @Test(.enabled(if: Volume.Kind.xfs.isAvailable)) func ofXFS() throws {
    let volume = try Volume(.xfs)
    #expect(try check(volume.path) > 1 << 60)
  }

  @Test(.enabled(if: Machine.hasSharedMemory)) func ofTmpfs() throws {
    #expect(try check("/dev/shm") > 1 << 60)
  }

  /// It is asked for with every write that extends.
  @Test func itIsLearntOnce() throws {
    let directory = try TemporaryDirectory()
    let file = try directory.makeFile(size: 100)
    let store = try LocalFileStore(path: file, threads: threads)
    let most = store.maximumSize
    try store.prepareToWrite()
    #expect(store.maximumSize == most)
    #expect(try store.contents() == pattern(0..<100))
    store.close()
    #expect(store.maximumSize == most, "also of a closed store, which has no descriptor to ask by")
  }

  /// lseek(2) would move the offset that the caller has.
  @Test func aSharedDescriptorIsNotMoved() throws {
    let directory = try TemporaryDirectory()
    let file = try directory.makeFile(size: 100)
    var system = FileSystemCalls.linux
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    let given = try FileDescriptor.open(file, .readOnly)
    defer { try? given.close() }
    try given.seek(offset: 5, from: .start)
    let store = try LocalFileStore(duplicating: given, directIO: .automatic, threads: threads, system: system)
    _ = store.maximumSize
    #expect(try given.seek(offset: 0, from: .current) == 5)
  }
}
