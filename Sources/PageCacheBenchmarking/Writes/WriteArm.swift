import Glibc
import Primitives

/// One way of writing one file. Each arm is a small struct, not generic, so that its loop is compiled for it alone.
package protocol WriteArm: Sendable {
  /// Writes a block. Returns whether all of it was written.
  func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) -> Bool

  /// Brings what was written to storage, with as much of the metadata as is needed to find it.
  func sync() -> Bool

  /// Does a number of writes. Called through the protocol, once for many; what it does for each is `WriteLoop.run`, inlined.
  func writeBatch(_ loop: inout WriteLoop, count: Int)
}

/// What is written: random blocks, aligned to their size. The same sequence for every arm.
@safe
package struct WriteLoop: ~Copyable {
  var random: RandomWords
  let blockBytes: Int
  let blockCount: UInt64
  private let buffer: UnsafeMutableRawBufferPointer
  /// Writes and syncs that were refused.
  package var failures = 0

  /// - Parameter regionBytes: the part of the file, from its start, that is written.
  package init(seed: UInt64, blockBytes: Int, regionBytes: Int) {
    precondition(blockBytes > 0 && blockBytes <= regionBytes)
    random = RandomWords(seed: seed)
    self.blockBytes = blockBytes
    blockCount = UInt64(regionBytes / blockBytes)
    unsafe buffer = .allocate(byteCount: blockBytes, alignment: 4096)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: seed) | 1)
  }

  deinit { unsafe buffer.deallocate() }

  @inline(__always)
  package mutating func run<Arm: WriteArm>(_ arm: Arm, count: Int) {
    var random = self.random
    let blockBytes = self.blockBytes
    let blockCount = self.blockCount
    let bytes = unsafe UnsafeRawBufferPointer(buffer)
    var failed = 0
    for _ in 0..<count {
      let offset = random.next(below: blockCount) &* UInt64(truncatingIfNeeded: blockBytes)
      if unsafe !arm.write(at: Int64(bitPattern: offset), bytes) { failed &+= 1 }
    }
    self.random = random
    failures &+= failed
  }
}

/// The kernel's page cache through pwrite(2) and fdatasync(2), on a plain buffered descriptor.
struct PwriteArm: WriteArm {
  let descriptor: Int32

  @inline(__always)
  func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset)) == bytes.count
  }

  func sync() -> Bool { fdatasync(descriptor) == 0 }

  func writeBatch(_ loop: inout WriteLoop, count: Int) { loop.run(self, count: count) }
}

/// An arm by name.
package struct WriteEntry: Sendable {
  package let name: String
  package let arm: any WriteArm

  package init(name: String, arm: any WriteArm) {
    self.name = name
    self.arm = arm
  }

  /// What all others are compared with.
  package static let baseline = "pwrite"

  /// The kernel, on a file of its own. It has a name only until it is open: whatever ends the process, nothing stays on the disk.
  package static func kernel(directory: String) throws -> WriteEntry {
    let path = "\(directory)/pagecache-writes-\(getpid())"
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw ExerciseError("create \(path)", errno: errno) }
    unsafe unlink(path)
    return WriteEntry(name: baseline, arm: PwriteArm(descriptor: descriptor))
  }
}
