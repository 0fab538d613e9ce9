import Glibc
import Primitives

/// Reads anywhere, and has every read explained.
@safe
final class StampedReader<File: ExercisedFile>: @unchecked Sendable {
  private let groups: [StampedGroup<File>]
  private let shared: SharedBlocks<File>
  private let longest: Int
  private var replicas: [StampedReplica]
  private var seen: [UInt64]
  private var random: RandomWords
  private let buffer: UnsafeMutableRawBufferPointer
  // Written by the thread that reads, read when it has ended.
  private(set) var report = StampedReport()

  private static var canary: UInt8 { 0xC5 }
  private static var tailBytes: Int { 64 }

  init(number: Int, groups: [StampedGroup<File>], shared: SharedBlocks<File>, longest: Int, seed: UInt64) {
    self.groups = groups
    self.shared = shared
    self.longest = longest
    random = RandomWords(seed: seed)
    replicas = groups.map { group in
      StampedReplica(
        state: StampedState(group: group.number, files: group.files.count, phase: group.phase), reader: number)
    }
    seen = Array(repeating: 0, count: SharedBlocks<File>.blockCount)
    unsafe buffer = .allocate(byteCount: longest + Self.tailBytes, alignment: 64)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: Self.canary)
  }

  deinit { unsafe buffer.deallocate() }

  /// One read.
  func step() {
    // A group that is not read is not waited for.
    if report.reads % 16 == 0 {
      for (number, group) in groups.enumerated() { replicas[number].catchUp(to: group.oldest(), of: group) }
    }
    let choice = below(groups.count * 3 + 1)
    do {
      if choice < groups.count * 3 { try readGroup(choice / 3) } else { try readShared() }
    } catch {
      report.refuse("read: \(error)")
    }
  }

  /// Nobody waits for this reader any more.
  func finish() { for group in groups { group.passed(.max / 2, reader: replicas[group.number].reader) } }

  private func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(max(1, bound)))) }

  private func length() -> Int {
    let most = [64, 400, 5000, 5000, 20_000, 70_000, 300_000, longest][below(8)]
    return min(longest, below(most) + 1)
  }

  private func readGroup(_ number: Int) throws {
    let group = groups[number]
    let file = below(group.files.count)
    let wanted = length()
    let size = replicas[number].state.size(file)
    let offset = below(size + size / 16 + 64)
    let oldest = group.oldest()
    let bytes = try unsafe read(group.files[file], offset, wanted)
    let newest = group.newest()
    unsafe count(bytes)
    let miss = unsafe replicas[number].explain(
      bytes, file: file, at: offset, wanted: wanted, of: group, oldest: oldest, newest: newest)
    if let miss { report.miss(miss) }
    checkTail(bytes.count, wanted)
  }

  private func readShared() throws {
    let wanted = length()
    let offset = below(SharedBlocks<File>.fileBytes)
    let start = monotonicNanoseconds()
    let bytes = try unsafe read(shared.file, offset, wanted)
    let end = monotonicNanoseconds()
    unsafe count(bytes)
    if let miss = unsafe shared.explain(bytes, at: offset, wanted: wanted, start: start, end: end, seen: &seen) {
      report.miss(miss)
    }
    checkTail(bytes.count, wanted)
  }

  private func read(_ file: File, _ offset: Int, _ wanted: Int) throws -> UnsafeRawBufferPointer {
    let place = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
    let count = try unsafe file.read(at: Int64(offset), into: place)
    return unsafe UnsafeRawBufferPointer(rebasing: place[..<count])
  }

  private func count(_ bytes: UnsafeRawBufferPointer) {
    report.reads += 1
    report.readBytes += UInt64(bytes.count)
  }

  /// What is behind the count has not changed (P3); what is before it is made ready for the next read.
  private func checkTail(_ count: Int, _ wanted: Int) {
    let tail = unsafe buffer[count..<wanted + Self.tailBytes]
    if let place = unsafe tail.firstIndex(where: { $0 != Self.canary }) {
      report.spill("read of \(wanted) bytes returned \(count) and changed the buffer at \(place)")
      unsafe buffer.initializeMemory(as: UInt8.self, repeating: Self.canary)
    } else if let base = unsafe buffer.baseAddress {
      unsafe _ = memset(base, Int32(Self.canary), count)
    }
  }
}
