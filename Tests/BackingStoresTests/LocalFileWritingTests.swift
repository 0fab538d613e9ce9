import BackingStores
import CPrimitives
import Glibc
import Primitives
import SystemPackage
import Testing

@Suite("Writing a local file", .timeLimit(.minutes(30)))
struct LocalFileWritingTests {
  let directory: TemporaryDirectory
  let threads = IOThreads(count: 2)
  let file: FilePath
  private static let size = 50_000

  init() throws {
    directory = try TemporaryDirectory()
    file = try directory.makeFile(size: Self.size)
  }

  private func open(
    _ policy: DirectIOPolicy = .automatic, _ system: FileSystemCalls = .linux
  ) throws(StoreError) -> LocalFileStore {
    try LocalFileStore(path: file, directIO: policy, threads: threads, system: system)
  }

  private func openForWriting(
    _ policy: DirectIOPolicy = .automatic, _ system: FileSystemCalls = .linux
  ) throws(StoreError) -> LocalFileStore {
    let store = try open(policy, system)
    try store.prepareToWrite()
    return store
  }

  private static let policies = DirectIOPolicy.allCases.filter { $0 != .required || Machine.readsDirectly }

  @Test(arguments: policies)
  func readsSeeWhatWasWritten(policy: DirectIOPolicy) throws {
    let store = try openForWriting(policy)
    var model = pattern(0..<Int64(Self.size))
    for (offset, count) in [(0, 1), (4095, 2), (10_000, 20_000), (49_999, 1), (49_000, 5000), (60_000, 4096)] {
      let bytes = pattern(Int64(offset)..<Int64(offset + count), seed: 99)
      #expect(try store.write(bytes, at: Int64(offset)) == count)
      if model.count < offset + count { model += zeroes(offset + count - model.count) }
      model.replaceSubrange(offset..<offset + count, with: bytes)
      #expect(try store.status().size == Int64(model.count))
      #expect(try store.contents() == model)
    }
    if policy == .required { #expect(store.mode == .direct) }
    try store.flush(dataOnly: true)
    try store.flush(dataOnly: false)
    store.dropBehind(0..<30_000)
    store.dropBehind(5..<5)
    #expect(try store.contents() == model)
    store.close()
    #expect(directory.openDescriptorCount == 0)
    #expect(try open().contents() == model)
  }

  @Test func segmentsOfEveryLength() throws {
    let calls = Promise<Int32>()
    var system = FileSystemCalls.linux
    unsafe system.write = {
      calls.fulfil($2)
      return unsafe FileSystemCalls.linux.write($0, $1, $2, $3)
    }
    let store = try openForWriting(.never, system)
    let bytes = pattern(0..<30_000, seed: 5)
    for segment in [10, 29, 30, 4096, 29_999, 30_000] {
      #expect(try store.write(bytes, at: 7, segment: segment) == bytes.count)
      #expect(try Array(store.contents()[7..<30_007]) == bytes)
    }
    #expect(calls.all == [1024, 1024, 952, 1024, 11, 1000, 8, 2, 1])
    #expect(try store.write([], at: 7) == 0)
  }

  @Test(arguments: [1, 97, 4095, 4096, 9999])
  func shortWritesAreContinued(step: Int) throws {
    var system = FileSystemCalls.linux
    unsafe system.write = {
      var part = unsafe $1.pointee
      unsafe part.iov_len = min(part.iov_len, step)
      return unsafe FileSystemCalls.linux.write($0, &part, 1, $3)
    }
    let store = try openForWriting(.never, system)
    for segment in [nil, 1000] {
      let bytes = pattern(0..<12_345, seed: segment == nil ? 1 : 2)
      #expect(try store.write(bytes, at: 100, segment: segment) == bytes.count)
      #expect(try Array(store.contents()[100..<12_445]) == bytes)
    }
  }

  @Test func anErrorAfterSomeBytesIsToldTheNextTime() throws {
    var system = FileSystemCalls.linux
    unsafe system.write = {
      guard $3 < 5000 else { return -Int(ENOSPC) }
      var part = unsafe $1.pointee
      unsafe part.iov_len = min(part.iov_len, Int(5000 - $3))
      return unsafe FileSystemCalls.linux.write($0, &part, 1, $3)
    }
    let store = try openForWriting(.never, system)
    let bytes = pattern(0..<10_000, seed: 3)
    #expect(try store.write(bytes, at: 0) == 5000)
    #expect(try store.write(bytes, at: 0, segment: 777) == 5000)
    let error = StoreError(operation: .write, store: file.string, range: 5000..<15_000, cause: .system(.noSpace))
    #expect(throws: error) { try store.write(bytes, at: 5000) }
    unsafe system.write = { _, _, _, _ in 0 }
    let stuck = try openForWriting(.never, system)
    for segment in [nil, 100] {
      #expect(cause { try stuck.write(bytes, at: 0, segment: segment) } == .system(.ioError))
    }
  }

  @Test func whatCannotBeWritten() throws {
    let store = try open()
    func write(_ offset: Int64) -> StoreError.Cause? {
      cause { try store.write([1, 2], at: offset) }
    }
    #expect(write(0) == .system(.badFileDescriptor), "not prepared")
    for body in unprepared(store) { #expect(cause(body) == .system(.badFileDescriptor)) }
    try store.flush(dataOnly: true)
    try store.prepareToWrite()
    #expect(write(-1) == .system(.invalidArgument))
    #expect(write(.max - 1) == .system(.overflow))
    #expect(write(.max - 2) == .system(.fileTooLarge))
    #expect(cause { try store.resize(to: -1) } == .system(.invalidArgument))
    store.close()
    #expect(write(0) == .system(.badFileDescriptor))
    for body in unprepared(store) + [store.prepareToWrite, { try store.flush(dataOnly: true) }] {
      #expect(cause(body) == .system(.badFileDescriptor))
    }
  }

  private func unprepared(_ store: LocalFileStore) -> [() throws -> Void] {
    [
      { try store.resize(to: 1) },
      { try store.change(.punchHole, 0..<1) },
      { try store.clone(0..<1, of: store, to: 4096) },
      { _ = try store.dedupe(0..<1, with: store, at: 4096) },
    ]
  }

  @Test func preparingOnceForManyThreads() throws {
    let store = try open()
    let wrong = Promise<String>()
    onThreads(8) { _ in
      do { try store.prepareToWrite() } catch { wrong.fulfil("\(error)") }
    }
    #expect(wrong.all == [])
    #expect(directory.openDescriptorCount == 2)
  }

  @Test func aFileThatMayOnlyBeRead() throws {
    var system = FileSystemCalls.linux
    system.open = { $1 & O_ACCMODE == O_RDWR ? .failure(.readOnlyFileSystem) : FileSystemCalls.linux.open($0, $1) }
    let store = try open(.automatic, system)
    let error = StoreError(operation: .open, store: file.string, cause: .system(.readOnlyFileSystem))
    #expect(throws: error) { try store.prepareToWrite() }
    #expect(throws: error) { try store.claim(forWriting: true) }
    #expect(try store.contents().count == Self.size)
  }

  @Test func withoutProcAReplacedFileIsNotWritten() throws {
    var system = FileSystemCalls.linux
    system.descriptorDirectories = [directory.path.appending("no-proc")]
    let store = try open(.automatic, system)
    try store.prepareToWrite()
    let replaced = try open(.automatic, system)
    let other = try directory.makeFile("other", size: 5)
    unsafe try #require(rename(other.string, file.string) == 0)
    #expect(cause(replaced.prepareToWrite) == .replaced)
    #expect(try store.status().isReplaced)
  }

  // MARK: Flushing

  @Test func whatAFlushAsksFor() throws {
    let calls = Promise<Bool>()
    var system = FileSystemCalls.linux
    system.flush = {
      calls.fulfil($1)
      return FileSystemCalls.linux.flush($0, $1)
    }
    let store = try open(.automatic, system)
    try store.flush(dataOnly: true)
    #expect(calls.all == [true], "what another process wrote may not be durable")
    try store.prepareToWrite()
    try store.flush(dataOnly: true)
    try store.flush(dataOnly: false)
    #expect(calls.all == [true, true, false])
    system.flush = { _, _ in .ioError }
    let failing = try openForWriting(.automatic, system)
    #expect(throws: StoreError(operation: .flush, store: file.string, cause: .system(.ioError))) {
      try failing.flush(dataOnly: true)
    }
  }

  // MARK: Status

  @Test func statusOfAWrittenFile() throws {
    let store = try openForWriting()
    let before = try store.status()
    #expect(before.allocatedBytes == 53_248)
    sleepNanoseconds(20_000_000)
    unsafe try #require(link(file.string, directory.path.appending("link").string) == 0)
    #expect(try store.status() == before, "another name is no change")
    try store.write([1], at: 10)
    #expect(try store.status().changeStamp != before.changeStamp)
    try store.resize(to: 1 << 40)
    try store.flush(dataOnly: true)
    let grown = try store.status()
    #expect(grown.size == 1 << 40)
    #expect(try #require(grown.allocatedBytes) < 1 << 20)
  }

  @Test func replacedOnlyIfPreparedAndOpenedByPath() throws {
    let reading = try open()
    let writing = try openForWriting()
    let descriptor = try FileDescriptor.open(file, .readWrite)
    defer { try? descriptor.close() }
    let given = try LocalFileStore(duplicating: descriptor, threads: threads)
    try given.prepareToWrite()
    for store in [reading, writing, given] { #expect(try !store.status().isReplaced) }
    let moved = directory.path.appending("moved")
    unsafe try #require(rename(file.string, moved.string) == 0)
    #expect(try writing.status().isReplaced, "its name is gone")
    try directory.makeFile(size: 7)
    #expect(try writing.status().isReplaced, "its name is another's")
    for store in [reading, given] { #expect(try !store.status().isReplaced) }
    unsafe try #require(rename(moved.string, file.string) == 0)
    #expect(try !writing.status().isReplaced, "it has its name again")
  }
}
