import BackingStores
import Foundation
import Glibc
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// No space left, on a file system that really has none.
@Suite(.serialized) struct FullDiskTests {
  /// The disk is full, really, and then is not.
  @Test(.enabled(if: Volume.Kind.ext4.isAvailable), arguments: PageCache.Durability.allCases)
  func aFullDisk(_ durability: PageCache.Durability) throws {
    try Volume.mounted(.ext4, megabytes: 16) { directory in
      let filler = directory.appending("filler")
      try fill(filler)
      let cache = try DurabilityTests.cache(limit: 32 << 20)
      let before = try cache.statistics().freeFrames
      let path = directory.appending("file")
      let file = try cache.open(path, .readWrite(creation: .exclusively, durability: durability))
      var model = BytesModel()
      let refusal: CacheError?
      if durability == .writeThrough {
        refusal = cacheError {
          for piece in 0..<32 { try file.write(toAbsoluteOffset: Int64(piece) << 16, someBytes(1 << 16, piece)) }
        }
        // Nothing that the file does not have is there, and nothing is lost of what it has.
        model.bytes = try contents(file)
        #expect(model.bytes.count < 32 << 16)
        #expect(try kernelBytes(path) == model.bytes)
        for piece in 0..<model.bytes.count >> 16 {
          #expect(Array(model.bytes[piece << 16..<(piece + 1) << 16]) == someBytes(1 << 16, piece))
        }
      } else {
        for piece in 0..<32 {
          try file.write(toAbsoluteOffset: Int64(piece) << 16, someBytes(1 << 16, piece))
          model.write(someBytes(1 << 16, piece), at: piece << 16)
        }
        refusal = expectRefusal(.sync, "writeBackFailed") { try file.sync() }
        expectRefusal(.close, "writeBackFailed") { try file.close() }
        #expect(try contents(file) == model.bytes)
      }
      #expect(refusal?.cause.storeCause == .system(.noSpace), "\(refusal as Any)")
      try FileManager.default.removeItem(atPath: filler.string)
      // What is free is so for others once the file system has noted it.
      let root = try FileDescriptor.open(directory, .readOnly)
      fsync(root.rawValue)
      try root.close()
      if durability == .writeThrough {
        for piece in 0..<32 {
          try file.write(toAbsoluteOffset: Int64(piece) << 16, someBytes(1 << 16, piece))
          model.write(someBytes(1 << 16, piece), at: piece << 16)
        }
      }
      try file.sync()
      #expect(try cache.statistics().owedFrames == 0)
      #expect(try contents(file) == model.bytes)
      try file.close()
      #expect(try kernelBytes(path) == model.bytes)
      try expectAllFramesBack(cache, before)
    }
  }

  /// Storage that there is not leaves the file as it is, also where the file system has begun.
  @Test(.enabled(if: Volume.Kind.ext4.isAvailable), arguments: PageCache.Durability.allCases)
  func storageThatThereIsNot(_ durability: PageCache.Durability) throws {
    try Volume.mounted(.ext4, megabytes: 16) { directory in
      let cache = try DurabilityTests.cache()
      let path = directory.appending("file")
      let file = try cache.open(path, .readWrite(creation: .exclusively, durability: durability))
      try file.write(toAbsoluteOffset: 0, someBytes(50_000))
      try file.sync()
      for keepingSize in [true, false] {
        let allocate = cacheError { try file.allocate(0..<64 << 20, keepingSize: keepingSize) }
        #expect(allocate?.operation == .allocate && allocate?.cause.storeCause == .system(.noSpace))
        if !keepingSize {
          let zero = cacheError { try file.zeroRange(50_000..<64 << 20) }
          #expect(zero?.operation == .zeroRange && zero?.cause.storeCause == .system(.noSpace))
        }
        #expect(try file.size == 50_000)
        #expect(try contents(file) == someBytes(50_000))
      }
      // Nobody takes it for a change by others.
      try file.sync()
      try file.resize(to: 40_000)
      try file.append(someBytes(100, 2))
      try file.sync()
      #expect(try kernelBytes(path) == someBytes(40_000) + someBytes(100, 2))
      #expect(try contents(file) == someBytes(40_000) + someBytes(100, 2))
      try file.close()
    }
  }

  /// Takes all of a disk but for half a megabyte.
  private func fill(_ path: FilePath) throws {
    let descriptor = try FileDescriptor.open(
      path, .writeOnly, options: [.create], permissions: .ownerReadWrite)
    defer { try? descriptor.close() }
    var end: Int64 = 0
    while let count = try? descriptor.writeAll(toAbsoluteOffset: end, someBytes(1 << 16)) { end += Int64(count) }
    try descriptor.resize(to: end - 1 << 19)
  }
}
