import BackingStores
import Glibc
import PageCache
import PageCacheBenchmarking
import SystemPackage
import TestSupport
import Testing

/// What depends on the file system: shared storage, holes, sizes.
@Suite(.serialized) struct SharedStorageTests {
  private func freeBytes(_ path: FilePath) throws -> Int {
    var status = statvfs()
    sync()
    unsafe try #require(statvfs(path.string, &status) == 0)
    return Int(status.f_bfree * status.f_frsize)
  }

  @Test(.enabled(if: Volume.Kind.xfs.isAvailable), arguments: PageCache.Durability.allCases)
  func storageIsShared(_ durability: PageCache.Durability) throws {
    try Volume.mounted(.xfs) { directory in
      let cache = try smallCache(limit: 16 << 20, atomic: 1 << 20)
      let paths = (0..<3).map { directory.appending("file\($0)") }
      let files = try paths.map { try cache.open($0, .readWrite(creation: .exclusively, durability: durability)) }
      let half = Int64(4 << 20)
      var model = BytesModel()
      for piece in 0..<32 {
        for file in files.prefix(2) { try file.write(toAbsoluteOffset: Int64(piece) << 18, someBytes(1 << 18, piece)) }
        model.write(someBytes(1 << 18, piece), at: piece << 18)
      }
      for file in files.prefix(2) { try file.sync() }
      let free = try freeBytes(directory)

      #expect(try files[1].dedupe(0..<half, with: files[0], at: 0))
      #expect(try freeBytes(directory) - free > 3 << 20, "one copy is enough")
      #expect(try !files[1].dedupe(0..<half, with: files[0], at: half))
      #expect(try contents(files[1]) == model.bytes)
      // What is dirty is compared as it is.
      try files[0].write(toAbsoluteOffset: half + 5, [1, 2, 3])
      #expect(try !files[1].dedupe(half..<2 * half, with: files[0], at: half))
      try files[1].write(toAbsoluteOffset: half + 5, [1, 2, 3])
      model.write([1, 2, 3], at: Int(half) + 5)
      #expect(try files[1].dedupe(half..<2 * half, with: files[0], at: half))

      let shared = try freeBytes(directory)
      try files[2].clone(0..<2 * half, of: files[0], to: 0)
      try files[2].sync()
      #expect(try shared - freeBytes(directory) < 1 << 20, "a clone takes no storage")
      #expect(try contents(files[2]) == model.bytes)
      // Made its own: storage is taken, bytes stay.
      try files[2].unshare(0..<half)
      try files[2].sync()
      #expect(try shared - freeBytes(directory) > 3 << 20)
      #expect(try contents(files[2]) == model.bytes)
      // And apart in any case.
      try files[2].write(toAbsoluteOffset: 2 * half - 10, someBytes(100, 50))
      for file in files { try file.sync() }
      for path in paths.prefix(2) { #expect(try kernelBytes(path) == model.bytes) }
      model.write(someBytes(100, 50), at: Int(2 * half) - 10)
      #expect(try kernelBytes(paths[2]) == model.bytes)
      for file in files { try file.close() }
    }
  }

  @Test(.enabled(if: Volume.Kind.ext4.isAvailable)) func whereStorageCannotBeShared() throws {
    try Volume.mounted(.ext4) { directory in
      let cache = try smallCache()
      let file = try cache.open(directory.appending("file"), .readWrite(creation: .exclusively, durability: .writeBack))
      let bytes = someBytes(8192) + someBytes(8192)
      try file.write(toAbsoluteOffset: 0, bytes)
      let errors = [
        expectRefusal(.dedupe, "store") { _ = try file.dedupe(0..<8192, with: file, at: 8192) },
        expectRefusal(.unshare, "store") { try file.unshare(0..<8192) },
      ]
      for error in errors { #expect(error?.cause.storeCause == .unsupported) }
      // A clone is a copy here.
      try file.clone(0..<4096, of: file, to: 12_288)
      #expect(try contents(file) == Array(bytes[..<12_288]) + Array(bytes[..<4096]))
      try file.close()
    }
  }

  /// SEEK_DATA and SEEK_HOLE as lseek(2) has them, of what is written and of what is dirty still.
  @Test(arguments: PageCache.Durability.allCases) func seeking(_ durability: PageCache.Durability) throws {
    try withTemporaryDirectory { directory in
      let cache = try smallCache()
      let path = directory.appending("file")
      let file = try cache.open(path, .readWrite(creation: .exclusively, durability: durability))
      #expect(try file.seekData(from: 0) == nil)
      #expect(try file.seekHole(from: 0) == nil)
      try file.write(toAbsoluteOffset: 65_536, someBytes(4096))
      try file.write(toAbsoluteOffset: 1 << 20, someBytes(10))
      try file.resize(to: 2 << 20)
      try file.punchHole(65_536 + 100..<65_536 + 200)
      let descriptor = try FileDescriptor.open(path, .readOnly)
      defer { try? descriptor.close() }
      let mega: Int64 = 1 << 20
      for offset in [0, 1, 65_535, 65_536, 65_700, 69_631, 69_632, mega, mega + 10, mega + 4096, 2 * mega] {
        let data = try file.seekData(from: offset)
        let hole = try file.seekHole(from: offset)
        func expected(_ whence: Int32) -> Int64? {
          let found = lseek(descriptor.rawValue, off_t(offset), whence)
          return found < 0 ? nil : Int64(found)
        }
        // SEEK_DATA and SEEK_HOLE, which Swift's Glibc module does not have.
        #expect(data == expected(3), "data from \(offset)")
        #expect(hole == expected(4), "hole from \(offset)")
      }
      #expect(try file.seekData(from: 0) == 65_536)
      #expect(try file.seekHole(from: 65_536) == 69_632)
      try file.close()
    }
  }

  @Test(arguments: PageCache.Durability.allCases) func sizesUpToTheLargest(_ durability: PageCache.Durability) throws {
    let memory = MemoryStore(holeOf: 0)
    let cache = try smallCache()
    let before = try cache.statistics().freeFrames
    let file = try cache.open(store: memory, .readWrite(durability: durability))
    let most = PageCache.maximumFileSize
    let sizes: [Int64] = [1, 4095, 4096, 4097, 1 << 21, (1 << 32) + 1, 1 << 40, most - 1, most]
    for size in sizes {
      try file.resize(to: size)
      #expect(try file.size == size)
      try file.write(toAbsoluteOffset: size - 1, [7])
      #expect(try file.read(fromAbsoluteOffset: max(0, size - 3), count: 10) == [0, 0, 7].suffix(Int(min(size, 3))))
      #expect(try file.read(fromAbsoluteOffset: size, count: 10) == [])
      try file.punchHole(size - 1..<size)
      #expect(try file.read(fromAbsoluteOffset: size - 1, count: 10) == [0])
    }
    for size in [most + 1, Int64.max] { expectRefusal(.resize, "sizeTooLarge") { try file.resize(to: size) } }
    expectRefusal(.append, "sizeTooLarge") { try file.append([1]) }
    expectRefusal(.write, "sizeTooLarge") { try file.write(toAbsoluteOffset: most, [1]) }
    #expect(try file.size == most)
    try file.resize(to: 3)
    try file.sync()
    #expect(memory.crashed() == [0, 0, 0])
    try file.close()
    try expectAllFramesBack(cache, before)
  }
}
