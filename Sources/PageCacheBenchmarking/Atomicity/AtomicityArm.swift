import Primitives

/// One way of reading and changing one file at the same time, as `bench atomicity` measures it.
package protocol AtomicityArm: Sendable {
  /// Returns the bytes read, or a negative number when the read was refused.
  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int
  func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws
  func punchHole(_ range: Range<Int64>) throws
  func resize(to size: Int64) throws
}

/// A file as it is.
package struct DirectArm<File: ExercisedFile>: AtomicityArm {
  let file: File

  package init(_ file: File) { self.file = file }

  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    do { return try unsafe file.read(at: offset, into: buffer) } catch { return -1 }
  }

  package func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    try unsafe file.write(at: offset, bytes)
  }

  package func punchHole(_ range: Range<Int64>) throws { try file.punchHole(range) }

  package func resize(to size: Int64) throws { try file.resize(to: size) }
}

/// A file with a lock that readers share and changes take alone: atomic in the way of XFS, whatever the file does.
package struct ReadWriteLockedArm<File: ExercisedFile>: AtomicityArm {
  private let file: File
  private let lock = FileLock()

  private final class FileLock: Sendable {
    let lock = ReadWriteLock()
  }

  package init(_ file: File) { self.file = file }

  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    lock.lock.lockShared()
    defer { lock.lock.unlock() }
    do { return try unsafe file.read(at: offset, into: buffer) } catch { return -1 }
  }

  private func alone<Result>(_ body: () throws -> Result) rethrows -> Result {
    lock.lock.lockExclusive()
    defer { lock.lock.unlock() }
    return try body()
  }

  package func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    try alone { try unsafe file.write(at: offset, bytes) }
  }

  package func punchHole(_ range: Range<Int64>) throws { try alone { try file.punchHole(range) } }

  package func resize(to size: Int64) throws { try alone { try file.resize(to: size) } }
}

/// A file that is read a page at a time: each page is of one instant, and a block of several is not. The way of ext4.
package struct PagewiseArm<File: ExercisedFile>: AtomicityArm {
  private let file: File

  package init(_ file: File) { self.file = file }

  package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var done = 0
    while done < buffer.count {
      let wanted = min(4096 - Int((offset + Int64(done)) & 4095), buffer.count - done)
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + wanted])
      do {
        let count = try unsafe file.read(at: offset + Int64(done), into: part)
        done += count
        if count < wanted { break }
      } catch {
        return -1
      }
    }
    return done
  }

  package func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws {
    try unsafe file.write(at: offset, bytes)
  }

  package func punchHole(_ range: Range<Int64>) throws { try file.punchHole(range) }

  package func resize(to size: Int64) throws { try file.resize(to: size) }
}

/// A block that carries one stamp: a word at the start of each cache line says which write put it there.
///
/// Only these words are written and looked at, so that what is measured is mostly the read.
enum StampedBlock {
  static let lineBytes = 64

  /// What the words of a block are after a write: never zero.
  static func stamp(block: Int, version: UInt64) -> UInt64 {
    version &<< 24 | UInt64(truncatingIfNeeded: block & 0x7F_FFFF) &<< 1 | 1
  }

  static func fill(_ bytes: UnsafeMutableRawBufferPointer, stamp: UInt64) {
    for line in stride(from: 0, to: bytes.count, by: lineBytes) {
      unsafe bytes.storeBytes(of: stamp, toByteOffset: line, as: UInt64.self)
    }
  }

  /// Whether all words are those of one write of the block, or zero if that is allowed.
  static func isWhole(_ bytes: UnsafeRawBufferPointer, block: Int, mayBeZero: Bool) -> Bool {
    let first = unsafe bytes.loadUnaligned(as: UInt64.self)
    var difference: UInt64 = 0
    for line in stride(from: 0, to: bytes.count, by: lineBytes) {
      difference |= unsafe bytes.loadUnaligned(fromByteOffset: line, as: UInt64.self) ^ first
    }
    guard difference == 0 else { return false }
    return first == 0 ? mayBeZero : first & 0xFF_FFFF == stamp(block: block, version: 0)
  }
}
