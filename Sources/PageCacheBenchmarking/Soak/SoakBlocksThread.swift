import Glibc
import Primitives

/// Reads block files at all lengths, and writes those blocks that are its own.
@safe
final class SoakBlocksThread: @unchecked Sendable {
  private let files: [SoakBlocks]
  private let counts: SoakCounts
  private let number: Int
  private let threads: Int
  private var random: RandomWords
  private let buffer: UnsafeMutableRawBufferPointer
  private let bytesToWrite: UnsafeMutableRawBufferPointer
  private var oldest: [UInt64]
  // Written by the thread that runs, read when it has ended.
  private(set) var readBytes: UInt64 = 0
  private(set) var mismatches: [String] = []
  private(set) var mismatchCount = 0
  /// A write was refused: what the block holds is not known, so nothing more is written.
  private(set) var hasFailed = false

  private static var longest: Int { 1 << 20 }
  private static var canary: UInt8 { 0xC5 }
  private static var tailBytes: Int { 64 }

  init(_ files: [SoakBlocks], number: Int, of threads: Int, seed: UInt64, counts: SoakCounts) {
    self.files = files
    self.number = number
    self.threads = threads
    self.counts = counts
    random = RandomWords(seed: seed)
    unsafe buffer = .allocate(byteCount: Self.longest + Self.tailBytes, alignment: 64)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: Self.canary)
    unsafe bytesToWrite = .allocate(byteCount: SoakBlocks.blockBytes, alignment: 64)
    unsafe bytesToWrite.initializeMemory(as: UInt8.self, repeating: 0)
    oldest = Array(repeating: 0, count: Self.longest / SoakBlocks.blockBytes + 2)
  }

  deinit {
    unsafe buffer.deallocate()
    unsafe bytesToWrite.deallocate()
  }

  private func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(max(1, bound)))) }

  func step() {
    let file = files[below(files.count)]
    do {
      switch below(10_000) {
      case 0..<1200:
        guard !hasFailed, file.blockCount > number else { return }
        let block = below((file.blockCount - number + threads - 1) / threads) * threads + number
        do { try unsafe file.change(block, buffer: bytesToWrite, counts: counts) } catch { hasFailed = true }
      case 1200: try file.file.sync(dataOnly: below(2) == 0)
      case 1201..<1220: try scan(file)
      default:
        let most = [1, 64, 300, 5000, 5000, 20_000, 70_000, Self.longest][min(7, below(40) / 5)]
        let count = below(most) + 1
        // Mostly in a twentieth of the file, so that there is something worth keeping.
        let part = below(8) == 0 ? file.byteCount : max(1, file.byteCount / 20)
        try read(file, at: below(min(part, file.byteCount - count + 1)), count: min(count, file.byteCount))
      }
    } catch {
      // Noted where it was refused.
    }
  }

  /// Some mebibytes in a row, as somebody does who reads a file once.
  private func scan(_ file: SoakBlocks) throws {
    var place = below(file.byteCount)
    for _ in 0..<16 where place + 256 << 10 <= file.byteCount {
      try read(file, at: place, count: 256 << 10)
      place += 256 << 10
    }
  }

  private func read(_ file: SoakBlocks, at offset: Int, count: Int) throws {
    let range = offset..<offset + count
    file.oldest(file.blocks(range), into: &oldest)
    func check(_ bytes: UnsafeRawBufferPointer) {
      readBytes += UInt64(bytes.count)
      if bytes.count != count {
        note("\(bytes.count) of \(count) bytes at \(offset)")
      } else if let mismatch = unsafe file.mismatch(bytes, at: offset, oldest: oldest) {
        note(mismatch)
      }
    }
    if count <= 4096, below(16) == 0 {
      counts.count(.lendBlocks)
      try unsafe file.file.lend(Int64(offset)..<Int64(offset + count)) { unsafe check($0) }
      return
    }
    counts.count(.readBlocks)
    let place = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    let got = try unsafe file.file.read(at: Int64(offset), into: place)
    unsafe check(UnsafeRawBufferPointer(rebasing: place[..<got]))
    // P3: behind what was asked for, nothing has changed.
    let tail = unsafe buffer[count..<count + Self.tailBytes]
    if unsafe tail.contains(where: { $0 != Self.canary }) {
      note("bytes behind the \(count) at \(offset) have changed")
    }
    unsafe _ = memset(buffer.baseAddress.unsafelyUnwrapped, Int32(Self.canary), count + Self.tailBytes)
  }

  private func note(_ what: String) {
    mismatchCount += 1
    if mismatches.count < 5 { mismatches.append(what) }
  }
}
