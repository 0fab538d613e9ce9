import BackingStores
import PageCache
import Primitives
import TestSupport
import Testing

/// P1 with versions of two bits, so that they come round all the time.
@Suite struct VersionWrapTests {
  /// A version that comes round is never taken for the one that was there before.
  @Test(arguments: PageCache.Durability.allCases) func versionsWrap(_ durability: PageCache.Durability) throws {
    var configuration = PageCache.Configuration(memoryLimit: 8 << 20, maximumAtomicLength: 1 << 16)
    configuration.versionBits = 2
    let cache = try PageCache(configuration)
    let file = try cache.open(
      store: MemoryStore(bytes: [UInt8](repeating: 0, count: 16_384)), .readWrite(durability: durability))
    _ = try contents(file)
    let rounds: UInt64 = isSanitized ? 1000 : 8000
    let isOver = Word()
    let failures = Failures()
    onThreads(2) { thread in
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 16)
      defer { unsafe memory.deallocate() }
      do {
        if thread == 0 {
          defer { isOver.set(1) }
          for number in 1...rounds {
            for place in 0..<128 { unsafe memory.storeBytes(of: number, toByteOffset: place * 8, as: UInt64.self) }
            try unsafe file.write(toAbsoluteOffset: 3584, UnsafeRawBufferPointer(memory))
          }
          return
        }
        var last: UInt64 = 0
        while isOver.value == 0 {
          let count = try unsafe file.read(fromAbsoluteOffset: 3584, into: memory)
          let first = unsafe memory.load(as: UInt64.self)
          let isWhole = (0..<128).allSatisfy {
            unsafe memory.load(fromByteOffset: $0 * 8, as: UInt64.self) == first
          }
          failures.check(count == 1024 && isWhole, "words of two writes")
          failures.check(first >= last, "\(first) after \(last)")
          last = first
        }
      } catch { failures.add("\(error)") }
    }
    #expect(failures.all == [])
    let writes = try cache.statistics().writes
    #expect(writes > 0, "some had to go the long way, because a version was used up")
    #expect(writes < rounds, "and some did not")
    try file.close()
  }
}
