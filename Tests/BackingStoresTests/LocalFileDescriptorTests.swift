import BackingStores
import CPrimitives
import Glibc
import SystemPackage
import Testing

@Suite("Opening a local file by a descriptor", .timeLimit(.minutes(30)))
struct LocalFileDescriptorTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 1)
  let file: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    file = try directory.makeFile(size: 9000)
  }

  private func expectContents(_ store: LocalFileStore, sourceLocation: SourceLocation = #_sourceLocation) {
    let frames = Frames(12288)
    #expect(store.readAndWait(frames, at: 0) == .success(9000), sourceLocation: sourceLocation)
    #expect(frames.holdsPattern(9000, at: 0), sourceLocation: sourceLocation)
  }

  private func error(
    _ descriptor: FileDescriptor, _ policy: DirectIOPolicy = .automatic, _ system: FileSystemCalls = .linux
  ) -> StoreError? {
    openingError { () throws(StoreError) in
      try LocalFileStore(duplicating: descriptor, directIO: policy, threads: threads, system: system)
    }
  }

  private func open(_ flags: Int32) throws -> FileDescriptor {
    FileDescriptor(rawValue: try FileSystemCalls.linux.open(file, flags).get())
  }

  /// No `/proc`, so that descriptors cannot be opened again.
  private var withoutProc: FileSystemCalls {
    var system = FileSystemCalls.linux
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    return system
  }

  @Test(arguments: DirectIOPolicy.allCases.filter { $0 != .required || Machine.readsDirectly })
  func theCallersDescriptorIsLeftAlone(policy: DirectIOPolicy) throws {
    let descriptor = try FileDescriptor.open(file, .readWrite)
    try descriptor.seek(offset: 123, from: .start)
    let flags = fcntl(descriptor.rawValue, F_GETFL)
    let store = try LocalFileStore(duplicating: descriptor, directIO: policy, threads: threads)
    expectContents(store)
    #expect(try descriptor.seek(offset: 0, from: .current) == 123)
    #expect(fcntl(descriptor.rawValue, F_GETFL) == flags)
    #expect(store.name == file.string)
    try descriptor.close()
    expectContents(store)
    store.close()
    #expect(directory.openDescriptorCount == 0)
  }

  @Test func closedDescriptors() {
    for number: Int32 in [-1, 999_999] {
      let error = error(FileDescriptor(rawValue: number))
      #expect(error == StoreError(operation: .open, store: "descriptor \(number)", cause: .system(.badFileDescriptor)))
    }
  }

  @Test func otherKinds() throws {
    let (reading, writing) = try FileDescriptor.pipe()
    #expect(error(reading)?.cause == .notRegularFile(.fifo))
    #expect(error(writing)?.cause == .notRegularFile(.fifo))
    try reading.close()
    try writing.close()
  }

  @Test func writeOnly() throws {
    let descriptor = try open(O_WRONLY)
    defer { try? descriptor.close() }
    expectContents(try LocalFileStore(duplicating: descriptor, threads: threads))
    #expect(error(descriptor, .automatic, withoutProc)?.cause == .system(.badFileDescriptor))
    var forbidden = FileSystemCalls.linux
    forbidden.open = { _, _ in .failure(.permissionDenied) }
    #expect(error(descriptor, .automatic, forbidden)?.cause == .system(.permissionDenied))
  }

  @Test func pathOnly() throws {
    let descriptor = try open(pagecache_open_path_only)
    defer { try? descriptor.close() }
    expectContents(try LocalFileStore(duplicating: descriptor, threads: threads))
    #expect(error(descriptor, .automatic, withoutProc)?.cause == .system(.badFileDescriptor))
  }

  @Test func removedFile() throws {
    let descriptor = try open(O_RDONLY)
    unsafe try #require(unlink(file.string) == 0)
    let store = try LocalFileStore(duplicating: descriptor, threads: threads)
    try descriptor.close()
    expectContents(store)
  }

  @Test func sharedWhereItCannotBeOpenedAgain() throws {
    let descriptor = try open(O_RDONLY)
    try descriptor.seek(offset: 123, from: .start)
    let store = try LocalFileStore(
      duplicating: descriptor, directIO: .automatic, threads: threads, system: withoutProc)
    guard case .buffered = store.mode else {
      Issue.record("a descriptor that was not opened for it is not read directly")
      return
    }
    expectContents(store)
    #expect(try descriptor.seek(offset: 0, from: .current) == 123)
    try descriptor.close()
    expectContents(store)
    store.close()
    #expect(directory.openDescriptorCount == 0)
  }

  @Test(.enabled(if: Machine.readsDirectly))
  func sharedReadsTheWayItWasOpened() throws {
    let buffered = try open(O_RDONLY)
    let direct = try open(O_RDONLY | pagecache_open_direct)
    defer {
      try? buffered.close()
      try? direct.close()
    }
    let store = try LocalFileStore(duplicating: direct, directIO: .automatic, threads: threads, system: withoutProc)
    #expect(store.mode == .direct)
    expectContents(store)
    #expect(
      store.readAndWait(Frames(100), at: 1).cause == .system(.invalidArgument),
      "unaligned, and nothing to read it buffered by")
    for (descriptor, policy) in [(buffered, DirectIOPolicy.required), (direct, .never)] {
      guard case .other = error(descriptor, policy, withoutProc)?.cause else {
        Issue.record("\(policy) was not refused")
        continue
      }
    }
  }
}
