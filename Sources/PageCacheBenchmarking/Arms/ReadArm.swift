import Primitives

/// One way of reading one file. Each arm is a small struct, so that its loop is compiled for it alone.
///
/// An instance is shared by all threads that read its file.
package protocol ReadArm: Sendable {
  /// Reads a block. Returns the bytes read, or a negative number when the read was refused.
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int

  /// Does at least one read and at most about `count` more than asked. Returns how many it did.
  ///
  /// Called through the protocol, once for thousands of reads. What it does for each read is `ReadLoop.run`, inlined.
  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int
}

/// What one thread reads: random blocks, aligned to their size, as fio draws them. The same sequence for every arm.
@safe
package struct ReadLoop: ~Copyable {
  var random: RandomWords
  let blockBytes: Int
  let blockCount: UInt64
  /// Of the thread's own; room for one block at least.
  let buffer: UnsafeMutableRawBufferPointer
  /// Reads that did not return a whole block.
  package var shortReads = 0

  package init(seed: UInt64, blockBytes: Int, fileBytes: Int, buffer: UnsafeMutableRawBufferPointer) {
    precondition(blockBytes > 0 && blockBytes <= fileBytes && buffer.count >= blockBytes)
    random = RandomWords(seed: seed)
    self.blockBytes = blockBytes
    blockCount = UInt64(fileBytes / blockBytes)
    unsafe self.buffer = buffer
  }

  @inline(__always)
  mutating func run<Arm: ReadArm>(_ arm: Arm, count: Int) -> Int {
    // Locals: the compiler fence makes everything else be loaded again.
    var random = self.random
    let blockBytes = self.blockBytes
    let blockCount = self.blockCount
    let destination = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<blockBytes])
    var short = 0
    for _ in 0..<count {
      let offset = random.next(below: blockCount) &* UInt64(truncatingIfNeeded: blockBytes)
      if unsafe arm.read(at: offset, into: destination) != destination.count { short &+= 1 }
      // The bytes count as used.
      compilerFence()
    }
    self.random = random
    shortReads &+= short
    return count
  }
}
