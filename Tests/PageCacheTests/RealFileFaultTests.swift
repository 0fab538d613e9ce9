import BackingStores
import Glibc
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// A device that refuses blocks: whatever is left of a write, all ways of reading the file see the same.
@Suite(.serialized) struct RealFileFaultTests {
  private static let size = 1 << 18

  /// Pages that nothing else on the volume holds.
  private static func page(_ seed: Int) -> [UInt8] { someBytes(4096, seed) }
  private static func bytes(_ seed: Int) -> [UInt8] {
    Array(repeatElement(page(seed), count: size >> 12).joined())
  }

  private func withLostBlocks(
    _ kind: Volume.Kind, _ body: (_ volume: MemoryVolume, _ path: FilePath) throws -> Void
  ) throws {
    let volume = try MemoryVolume(kind, isLossy: true)
    let path = volume.path.appending("file")
    do {
      let file = try FileDescriptor.open(path, .writeOnly, options: .create, permissions: .ownerReadWrite)
      defer { try? file.close() }
      try file.writeAll(Self.bytes(1))
      try #require(fsync(file.rawValue) == 0)
      posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
    }
    sync()
    try #require(volume.loseBlocks(holding: Self.page(1)) == Self.size >> 12)
    try body(volume, path)
  }

  /// Not in the expectation: it would print them.
  private func expectSame(_ path: FilePath, _ said: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let (direct, buffered) = (try storeBytes(path, .required), try storeBytes(path, .never))
    let isSame = direct == buffered
    #expect(
      isSame,
      "\(said): direct \(direct.prefix(4)), buffered \(buffered.prefix(4)), written \(Self.bytes(2).prefix(4))",
      sourceLocation: sourceLocation)
  }

  /// The kernel marks as clean what it could not write back, and keeps it.
  @Test(arguments: Volume.Kind.available) func aStoreWhoseFlushFails(_ kind: Volume.Kind) throws {
    try withLostBlocks(kind) { volume, path in
      let threads = IOThreads(count: 1)
      defer { threads.shutDown() }
      let store = try LocalFileStore(path: path, threads: threads)
      try store.prepareToWrite()
      let bytes = Self.bytes(2)
      func write() throws {
        let count = try unsafe bytes.withUnsafeBytes {
          try unsafe store.write(StoreWriteRequest(offset: 0, segments: [$0]))
        }
        #expect(count == bytes.count)
      }
      try write()
      #expect(throws: StoreError.self) { try store.flush(dataOnly: true) }
      try expectSame(path, "after a flush that failed")
      // What is written after that is not flushed by anything but the end.
      try write()
      store.close()
      try expectSame(path, "after the close")
      volume.heal()
      let healed = try LocalFileStore(path: path, threads: threads)
      try healed.prepareToWrite()
      let count = try unsafe bytes.withUnsafeBytes {
        try unsafe healed.write(StoreWriteRequest(offset: 0, segments: [$0]))
      }
      #expect(count == bytes.count)
      try healed.flush(dataOnly: true)
      healed.close()
      let isWritten = try storeBytes(path, .required) == bytes
      #expect(isWritten)
    }
  }

  /// A write that is given up: opened again directly or buffered, the file holds the same bytes.
  @Test(arguments: Volume.Kind.available, PageCache.Durability.allCases)
  func aCloseThatGivesUpWhatWasRefused(_ kind: Volume.Kind, _ durability: PageCache.Durability) throws {
    try withLostBlocks(kind) { volume, path in
      let cache = try DurabilityTests.cache()
      for attempts in 1...2 {
        let file = try cache.open(path, .readWrite(durability: durability))
        try file.write(toAbsoluteOffset: 0, Self.bytes(2))
        // Each one writes again what the one before has lost.
        for _ in 0..<attempts { expectRefusal(.sync, "writeBackFailed") { try file.sync() } }
        try file.close(discardingDirty: true)
        try expectSame(path, "\(attempts) attempts")
        for policy in [DirectIOPolicy.required, .never] {
          let other = try PageCache(.init(memoryLimit: 8 << 20, directIO: policy))
          let reader = try other.open(path)
          let isSame = try contents(reader) == storeBytes(path, .required)
          #expect(isSame, "\(policy), \(attempts) attempts")
          try reader.close()
        }
      }
      volume.heal()
      let file = try cache.open(path, .readWrite(durability: durability))
      try file.write(toAbsoluteOffset: 0, Self.bytes(3))
      try file.sync()
      try file.close()
      let isWritten = try storeBytes(path, .required) == Self.bytes(3)
      #expect(isWritten)
    }
  }
}
