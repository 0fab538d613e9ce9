import BackingStores
import Foundation
import PageCache
import PageCacheBenchmarking
import SystemPackage
import TestSupport
import Testing

/// The file that says what was cached: written whole, and not believed.
@Suite struct ResidencyFileTests {
  private func open(_ cache: PageCache, _ number: Int) throws -> CachedFile {
    try cache.open(
      store: MemoryStore(
        bytes: patternBytes(0..<200_000), name: "store \(number)",
        identity: StoreIdentity(realm: "memory", object: "residency \(number)")))
  }

  /// The bytes of a residency file of two files.
  private func image(_ directory: FilePath) throws -> [UInt8] {
    let cache = try smallCache()
    let files = try (0..<2).map { try open(cache, $0) }
    for file in files {
      for place in [0, 30_000, 100_000, 150_000] as [Int64] {
        _ = try file.read(fromAbsoluteOffset: place, count: 9000)
      }
    }
    try cache.saveResidency(to: directory.appending("image"))
    for file in files { try file.close() }
    return try Array(Data(contentsOf: URL(fileURLWithPath: directory.appending("image").string)))
  }

  private func restore(_ bytes: [UInt8], into cache: PageCache, _ directory: FilePath) throws -> RestoredResidency {
    let path = directory.appending("tried")
    // Not emptied and written again: some file systems flush then.
    try? FileManager.default.removeItem(atPath: path.string)
    try Data(bytes).write(to: URL(fileURLWithPath: path.string))
    return try cache.restoreResidency(from: path).wait()
  }

  private func problem(_ bytes: [UInt8], _ cache: PageCache, _ directory: FilePath) throws -> ResidencyFileProblem? {
    let error = cacheError { _ = try restore(bytes, into: cache, directory) }
    #expect(error?.operation == .restoreResidency && error?.file == directory.appending("tried").string)
    guard case .residencyFile(let problem)? = error?.cause else {
      Issue.record("\(error as Any)")
      return nil
    }
    return problem
  }

  @Test func everyDamageIsFound() throws {
    try withTemporaryDirectory { directory in
      let bytes = try image(directory)
      let cache = try smallCache()
      let files = try (0..<2).map { try open(cache, $0) }
      for place in bytes.indices {
        for bit in 0..<8 {
          var damaged = bytes
          damaged[place] ^= 1 << UInt8(bit)
          let found = try problem(damaged, cache, directory)
          switch place {
          case 0..<8: #expect(found == .notResidency)
          case 8..<12: #expect(found == .version(1 ^ 1 << UInt32(8 * (place - 8) + bit), known: 1))
          case 16..<24:
            switch found {
            case .length, .impossible: break
            default: Issue.record("\(found as Any)")
            }
          default:
            if case .checksum? = found { break }
            Issue.record("\(found as Any)")
          }
        }
        for value in [0, 0xFF] as [UInt8] where bytes[place] != value {
          var damaged = bytes
          damaged[place] = value
          _ = try problem(damaged, cache, directory)
        }
      }
      for count in bytes.indices { _ = try problem(Array(bytes[..<count]), cache, directory) }
      #expect(try problem([], cache, directory) == .notResidency)
      #expect(
        try problem(bytes + [0], cache, directory) == .length(Int64(bytes.count + 1), expected: Int64(bytes.count)))
      // Nothing was done by any of them, and the cache is as good as ever.
      for file in files { #expect(try file.residency() == []) }
      let restored = try restore(bytes, into: cache, directory)
      #expect(restored.state == .complete && restored.restoredBytes > 0)
      for file in files {
        #expect(try file.read(fromAbsoluteOffset: 0, count: 200_000) == patternBytes(0..<200_000))
        try file.close()
      }
    }
  }

  /// With a checksum that is right, as somebody could write it who means no good.
  private func forged(pageShift: UInt32 = 12, files: UInt32 = 1, _ body: [UInt8]) -> [UInt8] {
    func word(_ value: UInt64, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
    let header =
      Array("PGCRESID".utf8) + word(1, 4) + word(UInt64(pageShift), 4) + word(UInt64(body.count), 8)
      + word(UInt64(files), 4)
    return header + word(UInt64(Checksum.continued(over: header + body)), 4) + body
  }

  @Test func absurdNumbersAreRefused() throws {
    try withTemporaryDirectory { directory in
      let cache = try smallCache()
      let file = try open(cache, 0)
      let name = [7] + Array("store 0".utf8) + [6] + Array("memory".utf8) + [11] + Array("residency 0".utf8)
      let most = Array(repeating: 0xFF as UInt8, count: 9) + [1]
      let size: [UInt8] = [0xC0, 0x9A, 0x0C]
      // First that it is right.
      let right = forged(name + size + [0] + [1, 2, 5 << 2])
      #expect(try restore(right, into: cache, directory).restoredBytes == 5 * 4096)
      let wrong: [[UInt8]] = [
        forged(files: .max, name + size + [0] + [1, 2, 5 << 2]),
        forged(files: 0, name + size + [0] + [1, 2, 5 << 2]),
        forged(pageShift: 0, name + size + [0] + [1, 2, 5 << 2]),
        forged(pageShift: .max, name + size + [0] + [1, 2, 5 << 2]),
        forged(most + name),
        forged([200] + name),
        forged(name + most + [0] + [1, 2, 5 << 2]),
        forged(name + size + [2] + [1, 2, 5 << 2]),
        forged(name + size + [1] + most + most + [1, 2, 5 << 2]),
        forged(name + size + [0] + most),
        forged(name + size + [0] + [1] + most + [5 << 2]),
        forged(name + size + [0] + [1, 2] + most),
        forged(name + size + [0] + [1, 2, 0]),
        forged(name + size + [0] + [2] + [2, 5 << 2] + most + most),
        forged(name + size + [0] + [1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 4]),
        forged(name + size + [0] + [1, 2, 0x94]),
        forged(name + size + [0] + [1, 2, 5 << 2, 0]),
      ]
      for bytes in wrong {
        let found = try problem(bytes, cache, directory)
        if case .impossible? = found { continue }
        Issue.record("\(found as Any)")
      }
      // A file of a terabyte is not read to find out that it is none.
      let large = try FileDescriptor.open(
        directory.appending("large"), .writeOnly, options: .create, permissions: .ownerReadWrite)
      try large.writeAll(right)
      try large.resize(to: 1 << 40)
      try large.close()
      let error = cacheError { try cache.restoreResidency(from: directory.appending("large")) }
      guard case .residencyFile(.length(1 << 40, _))? = error?.cause else {
        Issue.record("\(error as Any)")
        return
      }
      try file.close()
    }
  }

  @Test func savingReplacesOrLeavesAlone() throws {
    try withTemporaryDirectory { directory in
      let path = directory.appending("image")
      let old = Array("what was there".utf8)
      try WholeFile.replace(path, with: old)
      func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory.string) }
      for call in 0..<3 {
        var system = FileSystemCalls.linux
        switch call {
        case 0: system.flush = { _, _ in .ioError }
        case 1: unsafe system.write = { _, _, _, _ in Int(-Errno.noSpace.rawValue) }
        default: system.create = { _, _ in .failure(.permissionDenied) }
        }
        do throws(StoreError) {
          try WholeFile.replace(path, with: [1, 2, 3], system: system)
          Issue.record("nothing was thrown")
        } catch {
          #expect(error.operation == [.flush, .write, .open][call] && error.store == path.string)
        }
        #expect(try names() == ["image"])
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path.string))) == old)
      }
      let cache = try smallCache()
      let file = try open(cache, 0)
      _ = try file.read(fromAbsoluteOffset: 0, count: 10)
      #expect(try cache.saveResidency(to: path).files == 1)
      #expect(try names() == ["image"])
      let nowhere = cacheError { try cache.saveResidency(to: directory.appending("nowhere/image")) }
      guard case .store(let refusal)? = nowhere?.cause, refusal.cause == .system(.noSuchFileOrDirectory) else {
        Issue.record("\(nowhere as Any)")
        return
      }
      #expect(nowhere?.operation == .saveResidency)
      // The first start: there is none yet. A directory is none.
      for (name, cause) in [
        ("nothing", StoreError.Cause.system(.noSuchFileOrDirectory)), ("", .notRegularFile(.directory)),
      ] {
        let error = cacheError { try cache.restoreResidency(from: directory.appending(name)) }
        guard case .store(let refusal)? = error?.cause, refusal.cause == cause else {
          Issue.record("\(error as Any)")
          continue
        }
      }
      try file.close()
    }
  }
}
