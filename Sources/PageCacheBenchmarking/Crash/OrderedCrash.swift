import Glibc
import PageCache
import Primitives
import SystemPackage

/// What killed and killing process must agree on.
package struct OrderedCrashLoad: Sendable {
  package var seed: UInt64
  /// What the names of the files begin with.
  package var path: String
  /// Of the log. The index is written back.
  package var durability: CrashDurability

  package init(seed: UInt64, path: String, durability: CrashDurability) {
    self.seed = seed
    self.path = path
    self.durability = durability
  }

  var index: String { path + ".index" }
  var log: String { path + ".ordered-log" }
  var account: String { path + ".account" }
}

/// The process that is killed: four threads make transactions, one syncs the index, until the end comes.
package struct OrderedCrashChild {
  private let load: OrderedCrashLoad

  package init(_ load: OrderedCrashLoad) { self.load = load }

  /// Returns only if something is refused, or after a minute: the process that should kill it is gone.
  package func run() throws {
    let account = try OrderedAccount(FilePath(load.account))
    do { try run(account) } catch {
      account.state = .refused
      throw error
    }
  }

  private func run(_ account: OrderedAccount) throws {
    let cache = try PageCache(.init(memoryLimit: 64 << 20, writeBackAge: .milliseconds(20)))
    let durability: PageCache.Durability = load.durability == .writeBack ? .writeBack : .writeThrough
    let files = try OrderedFiles(
      index: cache.open(FilePath(load.index), .readWrite(creation: .ifMissing, durability: .writeBack)),
      log: cache.open(FilePath(load.log), .readWrite(creation: .ifMissing, durability: durability)), isOrdered: true)
    let end = monotonicNanoseconds() + 60_000_000_000
    let refusals = Refusals()
    account.state = .running
    // Tells the parent that there is something to be killed.
    let line = Array("running\n".utf8)
    guard unsafe Glibc.write(STDOUT_FILENO, line, line.count) == line.count else {
      throw ExerciseError("write to the parent", errno: errno)
    }
    onThreads(OrderedFiles.writers + 1) { [load] number in
      do {
        if number == OrderedFiles.writers {
          try Self.sync(files, account, until: end, refusals)
        } else {
          try Self.write(files, account, writer: number, seed: load.seed, until: end, refusals)
        }
      } catch { refusals.note(error) }
    }
    if let error = refusals.first { throw error }
  }

  private static func write(
    _ files: OrderedFiles, _ account: OrderedAccount, writer: Int, seed: UInt64, until end: UInt64,
    _ refusals: Refusals
  ) throws {
    var random = RandomWords(seed: seed &+ UInt64(writer))
    while monotonicNanoseconds() < end, refusals.first == nil {
      let slot = OrderedFiles.drawSlot(writer: writer, &random)
      let count = account.begin(slot: slot)
      try files.transact(slot: slot, count: count)
      account.end(slot: slot, count: count)
    }
  }

  private static func sync(
    _ files: OrderedFiles, _ account: OrderedAccount, until end: UInt64, _ refusals: Refusals
  ) throws {
    while monotonicNanoseconds() < end, refusals.first == nil {
      account.beginSync()
      try files.index.sync(dataOnly: account.syncs % 2 == 0)
      account.endSync()
    }
  }

  /// The first error that a thread has met.
  private final class Refusals: Sendable {
    private let monitor = Monitor()
    // Guarded by `monitor`.
    nonisolated(unsafe) private var error: (any Error)?

    var first: (any Error)? { monitor.withLock { unsafe error } }
    func note(_ error: any Error) { monitor.withLock { if unsafe self.error == nil { unsafe self.error = error } } }
  }
}

/// Decides whether what is left of an index and its log is what was promised.
package enum OrderedCrashCheck {
  /// - Parameters:
  ///   - synced: of each slot, the last transaction that a sync has covered.
  ///   - begun: of each slot, the last transaction that had begun.
  /// - Returns: entries that are there, and what is wrong.
  package static func check(
    index: [UInt8], log: [UInt8], synced: (Int) -> UInt64, begun: (Int) -> UInt64
  ) -> (entries: Int, violations: [String]) {
    var (entries, violations) = (0, [String]())
    guard index.count >= OrderedFiles.indexBytes else {
      return (0, ["the index has \(index.count) bytes of \(OrderedFiles.indexBytes)"])
    }
    for slot in 0..<OrderedFiles.slots {
      let entry = OrderedFiles.words(index, at: slot * OrderedFiles.entryBytes, count: 4)
      let (number, offset, count) = (entry[0], entry[1], entry[0] >> 16)
      if count < synced(slot) {
        violations.append("slot \(slot) has transaction \(count), and a sync has returned for \(synced(slot))")
      }
      if entry == [0, 0, 0, 0] { continue }
      entries += 1
      if entry != OrderedFiles.entry(number, offset: offset) || number & 0xFFFF != UInt64(slot) {
        violations.append("slot \(slot) has an entry that was never written")
      } else if count > begun(slot) {
        violations.append("slot \(slot) has transaction \(count), and \(begun(slot)) is the last that had begun")
      } else if offset + UInt64(OrderedFiles.recordBytes) > UInt64(log.count) {
        violations.append("slot \(slot) names a record at \(offset), and the log has \(log.count) bytes")
      } else if OrderedFiles.words(log, at: Int(offset), count: OrderedFiles.recordBytes / 8)
        != OrderedFiles.record(number)
      {
        violations.append("slot \(slot) names a record at \(offset) that is not there, or not whole")
      }
    }
    return (entries, violations)
  }
}

/// What is left after some transactions of one slot: something to try the check with.
package struct OrderedCrashSample {
  package var index = [UInt8](repeating: 0, count: OrderedFiles.indexBytes)
  package var log: [UInt8] = []

  package init(slot: Int, transactions: UInt64) {
    for count in 1...transactions {
      let number = OrderedFiles.number(slot: slot, count: count)
      let entry = OrderedFiles.entry(number, offset: UInt64(log.count))
      unsafe OrderedFiles.record(number).withUnsafeBytes { unsafe log.append(contentsOf: $0) }
      let start = slot * OrderedFiles.entryBytes
      unsafe entry.withUnsafeBytes {
        unsafe index.replaceSubrange(start..<start + OrderedFiles.entryBytes, with: Array($0))
      }
    }
  }
}
