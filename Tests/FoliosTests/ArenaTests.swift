import Folios
import Glibc
import Primitives
import ReadCopyUpdate
import Testing

@Suite struct ArenaTests {
  @Test(arguments: ArenaKind.allCases)
  func anArenaIsAlignedZeroAndWritable(kind: ArenaKind) throws {
    for byteCount in [1, 4096, 2 << 20, 5 << 20 + 4096] {
      let arena = try Arena(byteCount: byteCount, kind: kind)
      unsafe #expect(UInt(bitPattern: arena.base) & (2 << 20 - 1) == 0)
      #expect(arena.byteCount == byteCount)
      #expect((arena.descriptor >= 0) == (kind == .sharedMemory))
      for offset in Set([0, byteCount / 2, byteCount - 1]) {
        let address = unsafe arena.base + offset
        let before = unsafe address.loadUnaligned(as: UInt8.self)
        #expect(before == 0)
        unsafe address.storeBytes(of: 0xA5, as: UInt8.self)
        let after = unsafe address.loadUnaligned(as: UInt8.self)
        #expect(after == 0xA5)
      }
    }
  }

  @Test(arguments: ArenaKind.allCases)
  func aPopulatedArenaIsResident(kind: ArenaKind) throws {
    let arena = try Arena(byteCount: 4 << 20, kind: kind, populate: true)
    var resident = [UInt8](repeating: 0, count: 1024)
    unsafe #expect(mincore(arena.base, 4 << 20, &resident) == 0)
    #expect(resident.allSatisfy { $0 & 1 == 1 })
  }

  @Test(arguments: ArenaKind.allCases)
  func theKernelIsAskedAboutHugePages(kind: ArenaKind) throws {
    let empty = try Arena(byteCount: 8 << 20, kind: kind)
    #expect(empty.hugePageStatus() == .unknown)
    let arena = try Arena(byteCount: 8 << 20, kind: kind, populate: true)
    switch arena.hugePageStatus() {
    case .unknown: Issue.record("a resident arena of which nothing is known")
    case .refused(let setting): #expect(setting.contains("["))
    case .granted(let bytes, let resident):
      #expect(bytes > 0 && bytes <= resident)
      #expect(resident == 8 << 20)
    }
    #expect(!arena.hugePageStatus().description.isEmpty)
  }

  @Test func whatTheSystemRefusesIsSaid() {
    #expect(throws: ArenaError.self) { try Arena(byteCount: 1 << 60, kind: .privateAnonymous) }
  }

  @Test func anArenaThatGoesGivesItsAddressesBack() throws {
    // 300 TiB one after the other: more than there are addresses.
    for _ in 0..<300 {
      let arena = try Arena(byteCount: 1 << 40, kind: .privateAnonymous)
      unsafe arena.base.storeBytes(of: 1, as: UInt8.self)
    }
  }
}
