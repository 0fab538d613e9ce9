import BackingStores
import Glibc
import PageCache
import SystemPackage
import TestSupport
import Testing

/// How many rounds the stresses on real file systems take: `PAGECACHE_ROUNDS` in the environment.
func realFileRounds(_ standard: Int) -> Int {
  guard let text = unsafe getenv("PAGECACHE_ROUNDS"), let rounds = unsafe Int(String(cString: text)) else {
    return isSanitized ? standard / 5 : standard
  }
  return rounds
}

/// A file system in memory, where flushes take microseconds; and one whose device loses blocks: it reads them as zero,
/// and refuses to write them.
///
/// The device is a file of a tmpfs. When that has no room left, what the file has storage for can be written; blocks
/// that were punched out of it cannot. Needs root.
final class MemoryVolume {
  let path: FilePath
  private let directory: FilePath
  private var image: FilePath { directory.appending("back/image") }
  private var filler: FilePath { directory.appending("back/filler") }

  /// - Parameter isLossy: It may lose blocks: ext4 has no journal then. It would stop where the journal's blocks cannot
  ///   be written, and that is not what is tried.
  init(_ kind: Volume.Kind, isLossy: Bool) throws {
    var template = Array("/tmp/pagecache-memory-XXXXXX".utf8CString)
    let isMade = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil }
    try #require(isMade)
    directory = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    path = directory.appending("mounted")
    let size = kind == .xfs ? 300 : isLossy ? 32 : 64
    let journal = isLossy ? "-O ^has_journal" : ""
    let make =
      kind == .xfs
      ? "mkfs.xfs -q -f -K" : "mkfs.ext4 -q -F -b 4096 -m 0 \(journal) -E nodiscard,lazy_itable_init=0"
    let isMounted = run(
      """
      mkdir \(directory)/back \(path) && mount -t tmpfs -o size=\(size + 20)M none \(directory)/back && \
      truncate -s \(size)M \(image) && \(make) \(image) && mount -o loop \(image) \(path)
      """)
    if !isMounted { cleanUp() }
    try #require(isMounted, "no \(kind) on a tmpfs")
  }

  deinit { cleanUp() }

  private func cleanUp() {
    _ = run(
      """
      rm -f \(filler)
      for mounted in \(path) \(directory)/back; do umount $mounted || umount -l $mounted; done
      rm -rf --one-file-system \(directory)
      """)
  }

  /// Loses every block that holds these 4096 bytes, and has no room for them.
  /// - Returns: how many.
  func loseBlocks(holding page: [UInt8]) throws -> Int {
    let device = try FileDescriptor.open(image, .readWrite)
    defer { try? device.close() }
    var lost = 0
    var data: Int64 = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      data = FileSystemCalls.linux.seek(device.rawValue, data, false)
      guard data >= 0 else { break }
      let count = try unsafe buffer.withUnsafeMutableBytes {
        try unsafe device.read(fromAbsoluteOffset: data, into: $0)
      }
      guard count > 0 else { break }
      for start in stride(from: 0, to: count - 4095, by: 4096) {
        let isSame = unsafe buffer.withUnsafeBytes { buffer in
          unsafe page.withUnsafeBytes { unsafe memcmp(buffer.baseAddress! + start, $0.baseAddress!, 4096) == 0 }
        }
        guard isSame else { continue }
        let punchHole: Int32 = 0x02 | 0x01
        try #require(FileSystemCalls.linux.allocate(device.rawValue, punchHole, data + Int64(start), 4096) == nil)
        lost += 1
      }
      data += Int64(count)
    }
    let filling = try FileDescriptor.open(filler, .writeOnly, options: .create, permissions: .ownerReadWrite)
    defer { try? filling.close() }
    for size in [1 << 16, 4096] { while (try? filling.writeAll(someBytes(size))) != nil {} }
    return lost
  }

  /// There is room again. A shell that another test has started meanwhile may have the filler open: its name alone
  /// frees nothing.
  func heal() { unsafe _ = (truncate(filler.string, 0), unlink(filler.string)) }
}

/// Runs a command of the shell.
private func run(_ command: String) -> Bool { unsafe system("{ \(command); } >/dev/null 2>&1") == 0 }

/// What a file holds, read past the kernel's page cache or through it, by a store of its own.
func storeBytes(_ path: FilePath, _ policy: DirectIOPolicy) throws -> [UInt8] {
  let threads = IOThreads(count: 1)
  defer { threads.shutDown() }
  let store = try LocalFileStore(path: path, directIO: policy, threads: threads)
  defer { store.close() }
  let size = Int(try store.status().size)
  let room = (size + 4095) / 4096 * 4096
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 4096)
  defer { unsafe memory.deallocate() }
  let count = try unsafe store.read(at: 0, into: memory)
  return unsafe [UInt8](memory[..<count])
}
