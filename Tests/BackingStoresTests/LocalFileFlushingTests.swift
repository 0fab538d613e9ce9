import BackingStores
import CPrimitives
import Glibc
import Primitives
import SystemPackage
import Testing

/// A flush that succeeds has flushed, whatever the store was opened for.
@Suite("Flushing a local file", .timeLimit(.minutes(30)))
struct LocalFileFlushingTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 1)
  let file: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    file = try directory.makeFile(size: 5000)
  }

  private struct Flush: Equatable {
    var accessMode: Int32
    var isDirect: Bool
    var dataOnly: Bool
  }

  private func recording(_ flushes: Promise<Flush>, _ fileSystems: Promise<Void> = .init()) -> FileSystemCalls {
    var system = FileSystemCalls.linux
    system.flush = { descriptor, dataOnly in
      let flags = fcntl(descriptor, F_GETFL)
      flushes.fulfil(
        Flush(accessMode: flags & O_ACCMODE, isDirect: flags & pagecache_open_direct != 0, dataOnly: dataOnly))
      return FileSystemCalls.linux.flush(descriptor, dataOnly)
    }
    system.flushFileSystem = {
      fileSystems.fulfil(())
      return FileSystemCalls.linux.flushFileSystem($0)
    }
    return system
  }

  /// Bytes of a process that ended before its fsync are in the kernel, and not on the device.
  @Test(arguments: DirectIOPolicy.allCases.filter { $0 != .required || Machine.readsDirectly })
  func aStoreThatOnlyReads(policy: DirectIOPolicy) throws {
    let flushes = Promise<Flush>()
    let store = try LocalFileStore(path: file, directIO: policy, threads: threads, system: recording(flushes))
    try store.flush(dataOnly: true)
    try store.flush(dataOnly: false)
    let isDirect = store.mode == .direct
    #expect(
      flushes.all == [true, false].map { Flush(accessMode: O_RDONLY, isDirect: isDirect, dataOnly: $0) })
    try store.prepareToWrite()
    try store.flush(dataOnly: true)
    #expect(flushes.all.last == Flush(accessMode: O_RDWR, isDirect: false, dataOnly: true))
    #expect(flushes.count == 3)
    store.close()
    #expect(cause { try store.flush(dataOnly: true) } == .system(.badFileDescriptor))
    #expect(flushes.count == 3)
  }

  @Test func aStoreThatOnlyReadsTellsOfAFailure() throws {
    var system = FileSystemCalls.linux
    system.flush = { _, _ in .ioError }
    let store = try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
    #expect(throws: StoreError(operation: .flush, store: file.string, cause: .system(.ioError))) {
      try store.flush(dataOnly: true)
    }
  }

  // MARK: A description of the caller's

  /// A descriptor that cannot be opened again.
  private func shared(
    _ flags: Int32, _ system: FileSystemCalls
  ) throws -> (store: LocalFileStore, given: FileDescriptor) {
    var system = system
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    let given = FileDescriptor(rawValue: try FileSystemCalls.linux.open(file, flags).get())
    let store = try LocalFileStore(duplicating: given, directIO: .automatic, threads: threads, system: system)
    return (store, given)
  }

  /// fsync(2) tells an open file description of an error once: of one that the caller has as well, the store takes
  /// nothing away.
  @Test func theCallersDescriptionIsNotAskedForErrors() throws {
    let flushes = Promise<Flush>()
    let fileSystems = Promise<Void>()
    let (store, given) = try shared(O_RDONLY, recording(flushes, fileSystems))
    defer { try? given.close() }
    try store.flush(dataOnly: true)
    #expect(flushes.count == 0)
    #expect(fileSystems.count == 1)
    store.close()
    #expect(cause { try store.flush(dataOnly: true) } == .system(.badFileDescriptor))
    var failing = FileSystemCalls.linux
    failing.flushFileSystem = { _ in .ioError }
    let (other, again) = try shared(O_RDONLY, failing)
    defer { try? again.close() }
    #expect(cause { try other.flush(dataOnly: true) } == .system(.ioError))
  }

  /// What one open file description is told of a failed write-back: once, by whichever descriptor.
  private final class Kernel: Sendable {
    private let monitor = Monitor()
    private nonisolated(unsafe) var hasFailed: Set<Int32> = []

    /// The kernel's write-back of the file fails. Its pages count as clean from here on.
    func fail(_ description: Int32) { monitor.withLock { unsafe _ = hasFailed.insert(description) } }
    func flush(_ description: Int32) -> Errno? {
      monitor.withLock { unsafe hasFailed.remove(description) == nil ? nil : .ioError }
    }
  }

  /// The interleaving: the store writes; the kernel fails to write back; the program calls fsync(2) and is told; the
  /// store flushes and is not told, as it is the same description. So the store does not write by it.
  @Test func noLossWhereTheProgramTakesTheError() throws {
    let kernel = Kernel()
    var system = FileSystemCalls.linux
    // One description, whichever descriptor.
    system.flush = { _, _ in kernel.flush(1) }
    let (store, given) = try shared(O_RDWR, system)
    defer { try? given.close() }
    do throws(StoreError) {
      try store.prepareToWrite()
      try store.write([1, 2, 3], at: 0)
    } catch {
      guard case .other(let text) = error.cause, error.operation == .open else {
        Issue.record("refused without the reason: \(error)")
        return
      }
      #expect(text.contains("opened again"))
      #expect(cause { try store.write([1], at: 0) } == .system(.badFileDescriptor))
      #expect(try store.contents() == pattern(0..<5000))
      return
    }
    kernel.fail(1)
    #expect(kernel.flush(1) == .ioError, "the program's own fsync")
    #expect(cause { try store.flush(dataOnly: true) } != nil, "success, and the bytes are gone")
  }

  // MARK: After a failure

  /// What the kernel failed to write back stays in its page cache, as clean pages: what is read through it differs from
  /// what is read past it. So the store has it dropped.
  @Test func whatAFlushRefusedIsDroppedFromTheKernelsCache() throws {
    let calls = Promise<String>()
    let fails = Promise<Void>()
    var system = FileSystemCalls.linux
    system.flush = { _, _ in
      calls.fulfil("flush")
      return fails.count > 0 ? nil : .ioError
    }
    system.dropFromKernelCache = { _, offset, count in calls.fulfil("drop \(offset) \(count)") }
    func open() throws -> LocalFileStore {
      let store = try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
      try store.prepareToWrite()
      return store
    }
    let store = try open()
    try store.write([1], at: 0)
    #expect(cause { try store.flush(dataOnly: true) } == .system(.ioError))
    #expect(calls.all == ["flush", "drop 0 0"])
    // What is written after that may fail as well, and no flush may come.
    try store.write([2], at: 0)
    store.close()
    #expect(calls.all == ["flush", "drop 0 0", "flush", "drop 0 0"])
    let healed = try open()
    #expect(cause { try healed.flush(dataOnly: true) } == .system(.ioError))
    fails.fulfil(())
    try healed.flush(dataOnly: true)
    healed.close()
    #expect(calls.all.dropFirst(4) == ["flush", "drop 0 0", "flush"], "a flush has succeeded: nothing is left to drop")
  }

  @Test func aWriteThatTheDeviceRefused() throws {
    let calls = Promise<String>()
    let cause = Promise<Int32>()
    var system = FileSystemCalls.linux
    // A part is written first, if there is one.
    unsafe system.write = { _, vectors, _, _ in unsafe vectors.pointee.iov_len > 1 ? 1 : -Int(cause.all.last ?? 0) }
    system.flush = { _, _ in
      calls.fulfil("flush")
      return nil
    }
    system.dropFromKernelCache = { _, _, _ in calls.fulfil("drop") }
    for (errno, expected) in [(EIO, ["flush", "drop"]), (ENOSPC, []), (EFBIG, [])] {
      for bytes in [[1], [1, 2]] as [[UInt8]] {
        let before = calls.count
        cause.fulfil(errno)
        let store = try LocalFileStore(path: file, directIO: .automatic, threads: threads, system: system)
        try store.prepareToWrite()
        if bytes.count > 1 {
          #expect(try store.write(bytes, at: 0) == 1)
        } else {
          #expect(throws: StoreError.self) { try store.write(bytes, at: 0) }
        }
        store.close()
        #expect(Array(calls.all.dropFirst(before)) == expected, "\(errno), \(bytes.count) bytes")
      }
    }
  }
}
