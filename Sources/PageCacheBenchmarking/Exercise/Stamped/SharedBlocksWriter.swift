import Primitives

/// Writes those blocks of the shared file that are one thread's.
@safe
final class SharedBlocksWriter<File: ExercisedFile>: @unchecked Sendable {
  private let shared: SharedBlocks<File>
  private let own: [Int]
  private var versions: [Int: UInt64] = [:]
  private var random: RandomWords
  private let buffer: UnsafeMutableRawBufferPointer
  // Written by the thread that writes, read when it has ended.
  private(set) var done = 0
  private(set) var failure: String?

  init(_ shared: SharedBlocks<File>, number: Int, of writers: Int, seed: UInt64) {
    self.shared = shared
    own = (0..<SharedBlocks<File>.blockCount).filter { $0 % writers == number }
    random = RandomWords(seed: seed)
    unsafe buffer = .allocate(byteCount: SharedBlocks<File>.blockBytes, alignment: 64)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe buffer.deallocate() }

  func version(_ block: Int) -> UInt64 { versions[block] ?? 0 }

  /// - Returns: false if the write was refused.
  func step() -> Bool {
    guard !own.isEmpty else { return true }
    let block = own[Int(random.next(below: UInt64(own.count)))]
    let version = version(block) + 1
    do {
      try unsafe shared.write(block, version: version, buffer: buffer)
    } catch {
      failure = "write of block \(block) of the shared file: \(error)"
      return false
    }
    versions[block] = version
    done += 1
    return true
  }
}

extension SharedBlocks {
  /// Whether a block of the whole file's bytes holds a certain write, all of it.
  static func isLatest(_ bytes: UnsafeRawBufferPointer, block: Int, version: UInt64) -> Bool {
    guard bytes.count >= (block + 1) * blockBytes else { return false }
    let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[block * blockBytes..<(block + 1) * blockBytes])
    return unsafe Self.version(part, block: block, from: 0) == version
  }
}
