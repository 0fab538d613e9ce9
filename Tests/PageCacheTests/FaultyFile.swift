import Glibc
import PageCacheBenchmarking
import Primitives
import SystemPackage

/// What can be wrong with a file on purpose.
enum Fault: String, CaseIterable {
  case none
  /// A read takes its two halves at two times.
  case tornReads
  case tornWrites
  /// Writes to some places are not done.
  case lostWrites
  /// A write is done when the next one comes.
  case lateWrites
  /// A write reads all pages that it touches, and writes them back.
  case lostNeighbours
  /// A read that is cut short changes a byte behind its count.
  case changedTail
  /// A file that becomes longer shows what was there.
  case staleTail
  /// A range that is not of whole pages is not refused.
  case laxCollapse
  /// Some sizes are refused.
  case refusedResize
  /// Only the storage lacks it.
  case lostAtClose
}

/// The kernel's files with a lock around every call, so that they are atomic on any file system, and one fault.
struct FaultyTarget: ExerciseTarget {
  let fault: Fault
  let lock = Lock()

  final class Lock: Sendable {
    let monitor = Monitor()
  }

  var name: String { "faulty: \(fault)" }
  var maximumAtomicLength: Int { 256 << 10 }
  // Cloning is reading and writing on some file systems; the lock makes one thing of it.
  var atomicChanges: Set<ExerciseChange> { Set(ExerciseChange.allCases) }

  func open(_ path: FilePath) throws -> FaultyFile { try FaultyFile(path, fault, lock) }
}

@safe
final class FaultyFile: ExercisedFile, @unchecked Sendable {
  private let file: KernelFile
  private let fault: Fault
  private let lock: FaultyTarget.Lock
  // Guarded by `lock`.
  private var late: (offset: Int64, bytes: [UInt8])?

  init(_ path: FilePath, _ fault: Fault, _ lock: FaultyTarget.Lock) throws {
    file = try KernelFile(path)
    self.fault = fault
    self.lock = lock
  }

  private func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
    lock.monitor.lock()
    defer { lock.monitor.unlock() }
    return try body()
  }

  private func pause() {
    lock.monitor.unlock()
    sleepNanoseconds(20_000)
    lock.monitor.lock()
  }

  func size() throws -> Int64 { try locked { try file.size() } }

  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try locked {
      if fault == .tornReads, buffer.count > 1 {
        let half = buffer.count / 2
        let first = try unsafe file.read(at: offset, into: .init(rebasing: buffer[..<half]))
        guard first == half else { return first }
        pause()
        return try unsafe half + file.read(at: offset + Int64(half), into: .init(rebasing: buffer[half...]))
      }
      let count = try unsafe file.read(at: offset, into: buffer)
      if fault == .changedTail, count > 0, count < buffer.count { unsafe buffer[count] = 0 }
      return count
    }
  }

  func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    try locked { try unsafe put(offset, bytes) }
  }

  private func put(_ offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    switch fault {
    case .tornWrites where bytes.count > 1:
      let half = bytes.count / 2
      try unsafe file.write(at: offset, .init(rebasing: bytes[..<half]))
      pause()
      try unsafe file.write(at: offset + Int64(half), .init(rebasing: bytes[half...]))
    case .lostWrites where (offset >> 6) % 11 == 3: break
    case .lateWrites where offset >= 0:
      // The size is right, and the bytes are not there yet.
      if let (offset, bytes) = late { try unsafe bytes.withUnsafeBytes { unsafe try file.write(at: offset, $0) } }
      late = nil
      if offset + Int64(bytes.count) <= (try file.size()) {
        unsafe late = (offset, Array(bytes))
      } else {
        try unsafe file.write(at: offset, bytes)
      }
    case .lostNeighbours where offset >= 0:
      let start = offset / 4096 * 4096
      let end = min(try file.size(), (offset + Int64(bytes.count) + 4095) / 4096 * 4096)
      guard end >= offset + Int64(bytes.count) else { return try unsafe file.write(at: offset, bytes) }
      var pages = [UInt8](repeating: 0, count: Int(end - start))
      _ = try unsafe pages.withUnsafeMutableBytes { try unsafe file.read(at: start, into: $0) }
      pause()
      unsafe pages.replaceSubrange(Int(offset - start)..<Int(offset - start) + bytes.count, with: bytes)
      try unsafe pages.withUnsafeBytes { try unsafe file.write(at: start, $0) }
    default: try unsafe file.write(at: offset, bytes)
    }
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws -> Int64 { try locked { try unsafe file.append(bytes) } }

  func resize(to size: Int64) throws {
    try locked {
      if fault == .refusedResize, size >> 6 & 15 == 7 { throw ExerciseError("resize", errno: ENOSPC) }
      let old = try file.size()
      try file.resize(to: size)
      if fault == .staleTail, size > old {
        let byte: [UInt8] = [0xEE]
        try unsafe byte.withUnsafeBytes { try unsafe file.write(at: old, $0) }
      }
    }
  }

  func allocate(_ range: Range<Int64>, keepingSize: Bool) throws {
    try locked { try file.allocate(range, keepingSize: keepingSize) }
  }
  func punchHole(_ range: Range<Int64>) throws { try locked { try file.punchHole(range) } }
  func zero(_ range: Range<Int64>, keepingSize: Bool) throws {
    try locked { try file.zero(range, keepingSize: keepingSize) }
  }
  func collapse(_ range: Range<Int64>) throws {
    try locked {
      guard fault == .laxCollapse, range.lowerBound >= 0 else { return try file.collapse(range) }
      try file.collapse(range.lowerBound / 4096 * 4096..<(range.upperBound + 4095) / 4096 * 4096)
    }
  }
  func insert(_ range: Range<Int64>) throws { try locked { try file.insert(range) } }
  func clone(_ range: Range<Int64>, of source: FaultyFile, to offset: Int64) throws {
    try locked { try file.clone(range, of: source.file, to: offset) }
  }
  func copy(_ range: Range<Int64>, of source: FaultyFile, to offset: Int64) throws {
    try locked { try file.copy(range, of: source.file, to: offset) }
  }
  func exchange(_ range: Range<Int64>, with other: FaultyFile, at offset: Int64) throws {
    try locked { try file.exchange(range, with: other.file, at: offset) }
  }
  func dedupe(_ range: Range<Int64>, with other: FaultyFile, at offset: Int64) throws -> Bool {
    try locked { try file.dedupe(range, with: other.file, at: offset) }
  }
  func unshare(_ range: Range<Int64>) throws { try locked { try file.unshare(range) } }
  func seekData(from offset: Int64) throws -> Int64? { try locked { try file.seekData(from: offset) } }
  func seekHole(from offset: Int64) throws -> Int64? { try locked { try file.seekHole(from: offset) } }
  func sync(dataOnly: Bool) throws {}
  func flush(_ range: Range<Int64>) throws {}
  func invalidate() throws {}
  func close() throws {
    try locked {
      let size = try file.size()
      if fault == .lostAtClose, size > 0 { try file.resize(to: size - 1) }
      try file.close()
    }
  }
}
