import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P1: a call that goes by the length of the file goes by the one that it has at the call's instant.
@Suite struct WholeLengthTests {
  /// A write that extends a file of so many ones with sevens from 50 bytes before its end on, and stays at the store
  /// until it is told to go on.
  private struct Extension {
    let store: ScriptedStore
    let file: CachedFile
    let cache: PageCache
    let goesOn = Moment()
    let thread: StagedThread<Void>

    init(of count: Int, writing range: Range<Int>) throws {
      let store = ScriptedStore(filled(1, count))
      cache = try smallCache()
      let file = try store.open(in: cache)
      try file.sync()
      let (begun, goesOn, once) = (Moment(), goesOn, Once())
      store.after { call in
        guard case .write = call, once.isFirst() else { return }
        begun.come()
        goesOn.wait()
      }
      thread = StagedThread("extending") {
        try file.write(toAbsoluteOffset: Int64(range.lowerBound), filled(7, range.count))
      }
      begun.wait()
      (self.store, self.file) = (store, file)
    }

    /// Runs a call that looks at the length, waits for the write, and goes on after it.
    func beside<Value: Sendable>(_ call: @escaping @Sendable () throws -> Value) throws -> Value {
      let other = StagedThread("other") { try call() }
      other.waitUntilOverOrAsleep()
      goesOn.come()
      try thread.value()
      return try other.value()
    }
  }

  enum Reading: String, CaseIterable { case buffer, array, loan, loanOfTwoPages, copy }

  /// D17. A read is short where the file ends, or it has what makes it longer.
  @Test(arguments: Reading.allCases) func aReadBesideAWriteThatExtends(_ reading: Reading) throws {
    let count = reading == .loanOfTwoPages ? 5000 : 100
    let writing = try Extension(of: count, writing: count - 50..<count + 200)
    let file = writing.file
    let target = try ScriptedStore().open(in: writing.cache)
    let bytes = try writing.beside { () -> [UInt8] in
      switch reading {
      case .buffer:
        return try unsafe [UInt8](unsafeUninitializedCapacity: 10_000) { buffer, count in
          count = try unsafe file.read(fromAbsoluteOffset: 0, into: UnsafeMutableRawBufferPointer(buffer))
        }
      case .array: return try file.read(fromAbsoluteOffset: 0, count: 10_000)
      case .copy:
        try target.copy(0..<10_000, of: file, to: 0)
        return try contents(target)
      case .loan, .loanOfTwoPages:
        return try file.withBytes(atAbsoluteOffset: 0, count: 10_000) { span in
          unsafe span.withUnsafeBytes { unsafe Array($0) }
        }
      }
    }
    let (before, after) = (filled(1, count), filled(1, count - 50) + filled(7, 250))
    #expect(
      bytes == before || bytes == after,
      "\(bytes.count) bytes with \(bytes.filter { $0 == 7 }.count) of the 250 that make the file longer")
    try file.close()
  }

  /// Runs what a task does on the thread that has it to do: as far as it goes when it is made, and then on the thread
  /// that wakes it.
  private final class InlineExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
      unsafe UnownedJob(job).runSynchronously(on: asUnownedTaskExecutor())
    }
  }

  /// D17. The same for a task. When it has been made, it has looked at the length and waits for the write.
  @Test func aTaskThatReadsBesideAWriteThatExtends() async throws {
    let writing = try Extension(of: 100, writing: 50..<300)
    let file = writing.file
    let reading = Task(executorPreference: InlineExecutor()) {
      try await file.read(fromAbsoluteOffset: 0, count: 10_000)
    }
    writing.goesOn.come()
    let bytes = try await reading.value
    #expect(
      bytes == filled(1, 100) || bytes == filled(1, 50) + filled(7, 250),
      "\(bytes.count) bytes with \(bytes.filter { $0 == 7 }.count) of the 250 that make the file longer")
    try writing.thread.value()
    try file.close()
  }

  enum Zeroing: String, CaseIterable { case punch, zero, zeroAndGrow }

  private func zero(_ file: CachedFile, _ range: Range<Int64>, _ zeroing: Zeroing) throws {
    switch zeroing {
    case .punch: try file.punchHole(range)
    case .zero: try file.zeroRange(range, keepingSize: true)
    case .zeroAndGrow: try file.zeroRange(range)
    }
  }

  /// Whether bytes are what two calls leave, one after the other.
  private func expectOneOrder(_ bytes: [UInt8], _ orders: [[UInt8]], _ comment: String) {
    var parts: [String] = []
    var rest = bytes[...]
    while let first = rest.first {
      let run = rest.prefix { $0 == first }
      parts.append("\(run.count)x\(first)")
      rest = rest.dropFirst(run.count)
    }
    if !orders.contains(bytes) { Issue.record("\(comment): \(parts.joined(separator: " "))") }
  }

  /// D18. The range reaches past the old end, and the write makes the file longer.
  @Test(arguments: Zeroing.allCases) func zeroingBesideAWriteThatExtends(_ zeroing: Zeroing) throws {
    let writing = try Extension(of: 256, writing: 200..<400)
    let file = writing.file
    try writing.beside { try zero(file, 100..<300, zeroing) }
    let zeroedFirst = filled(1, 100) + filled(0, 100) + filled(7, 200)
    let writtenFirst = filled(1, 100) + filled(0, 200) + filled(7, 100)
    expectOneOrder(try contents(file), [zeroedFirst, writtenFirst], "read")
    expectOneOrder(writing.store.present, [zeroedFirst, writtenFirst], "in the store")
    try file.close()
  }

  /// D18. The other way round: the write makes the file longer while the store works on the range. If a read sees the
  /// write and not the hole, the write came first, and lies under the hole afterwards.
  @Test(arguments: [Zeroing.punch, .zero]) func aWriteThatExtendsBesideZeroing(_ zeroing: Zeroing) throws {
    let store = ScriptedStore(filled(1))
    let cache = try smallCache()
    let file = try store.open(in: cache)
    try file.sync()
    _ = try file.read(fromAbsoluteOffset: 0, count: 4096)
    let (begun, goesOn, once) = (Moment(), Moment(), Once())
    store.after { call in
      guard case .change = call, once.isFirst() else { return }
      begun.come()
      goesOn.wait()
    }
    let zeroing = StagedThread("zeroing") { try zero(file, 4000..<8000, zeroing) }
    begun.wait()
    let writing = StagedThread("writing") { try file.write(toAbsoluteOffset: 4096, filled(7)) }
    writing.waitUntilOverOrAsleep()
    let seen = writing.isOver ? try file.read(fromAbsoluteOffset: 3000, count: 5192) : []
    goesOn.come()
    try zeroing.value()
    _ = try writing.value()
    let zeroedFirst = filled(1, 4000) + filled(0, 96) + filled(7)
    let writtenFirst = filled(1, 4000) + filled(0, 4000) + filled(7, 192)
    let hasSeenTheWriteAlone = seen == filled(1, 1096) + filled(7)
    expectOneOrder(try contents(file), hasSeenTheWriteAlone ? [writtenFirst] : [zeroedFirst, writtenFirst], "read")
    try file.close()
  }

  /// A clone that waits for its source to be cut: it has all of the range, or it fails and has done nothing.
  @Test func aCloneBesideACut() throws {
    let store = ScriptedStore(filled(7, 8192))
    let cache = try smallCache()
    let source = try store.open(in: cache)
    let file = try ScriptedStore(filled(1, 8192)).open(in: cache)
    for file in [source, file] { try file.sync() }
    let (begun, goesOn) = (Moment(), Moment())
    store.before { call in
      guard case .resize = call else { return nil }
      begun.come()
      goesOn.wait()
      return nil
    }
    let cutting = StagedThread("cutting") { try source.resize(to: 4096) }
    begun.wait()
    // Not in whole blocks: it is copied.
    let cloning = StagedThread("cloning") { try file.clone(1..<8001, of: source, to: 1) }
    cloning.waitUntilOverOrAsleep()
    goesOn.come()
    try cutting.value()
    let error = cloning.error() as? CacheError
    if let error { #expect(error.cause.kind == "pastEnd", "\(error)") }
    let cloned = filled(1, 1) + filled(7, 8000) + filled(1, 191)
    expectOneOrder(try contents(file), [error == nil ? cloned : filled(1, 8192)], error == nil ? "cloned" : "refused")
    for file in [source, file] { try file.close() }
  }
}
