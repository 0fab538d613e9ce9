import PageIndex
import Testing

@Suite struct EntryTests {
  static let flags = [Entry.upToDateBit, Entry.changingBit, Entry.accessedBit, Entry.readAheadBit]

  @Test func everyFieldOfAFolioComesBackAtItsExtremes() {
    let lastVersion: UInt64 = 1 << Entry.versionBits - 1
    for offset in [0, 256, 4096, Entry.arenaOffsetMask, UInt64(Entry.maximumArenaByteCount) - 256] {
      for order in [0, 1, 5, Entry.maximumOrder] {
        for version in [0, 1, 0xAAAAA, lastVersion] {
          for set in 0..<16 {
            let flags = (0..<4).filter { set & 1 << $0 != 0 }.reduce(0) { $0 | Self.flags[$1] }
            let entry = Entry.folio(arenaOffset: offset, order: order, version: version, flags: flags)
            #expect(entry.kind == .folio && entry.isFolio && !entry.isNode && !entry.isHole && !entry.isEmpty)
            #expect(entry.arenaOffset == offset)
            #expect(entry.order == order)
            #expect(entry.version == version)
            #expect(entry.word & Self.flags.reduce(0, |) == flags)
            #expect(entry.isAccessed == (flags & Entry.accessedBit != 0))
            #expect(entry.isStable == (flags & Entry.upToDateBit != 0 && flags & Entry.changingBit == 0))
            #expect(entry.isPlainHit == (flags == Entry.upToDateBit | Entry.accessedBit))
            #expect(entry.frame(shift: 12) == offset >> 12)
            #expect(entry.headFrame(shift: 12) == (offset >> (12 + UInt64(order))) << UInt64(order))
          }
        }
      }
    }
    #expect(Entry.arenaOffsetMask == UInt64(Entry.maximumArenaByteCount) - 256)
  }

  @Test func holesAndValuesCarrySixtyOneBits() {
    for number in [0, 1, 1 << 60, 1 << 61 - 1] as [UInt64] {
      let hole = Entry.hole(version: number)
      #expect(hole.kind == .hole && hole.isHole && !hole.isFolio && !hole.isNode && !hole.isEmpty)
      #expect(!hole.isPlainHit && !hole.isStable)
      #expect(hole.word >> 3 == number)
      let value = Entry.value(number)
      #expect(value.kind == .value && !value.isHole && !value.isFolio && !value.isNode && !value.isEmpty)
      #expect(!value.isPlainHit && !value.isStable)
      #expect(value.value == number)
      #expect(hole != value)
    }
  }

  @Test func kindsAreDistinct() {
    let entries: [(Entry, Entry.Kind)] = [
      (.empty, .empty), (.retry, .retry), (.hole(version: 0), .hole), (.value(0), .value),
      (.folio(arenaOffset: 0, order: 0, version: 0, flags: 0), .folio), (Entry(word: Entry.nodeBit | 128), .node),
    ]
    for (entry, kind) in entries { #expect(entry.kind == kind) }
    #expect(Set(entries.map(\.0.word)).count == entries.count)
    #expect(Entry.retry != .empty)
    #expect(!Entry.retry.isEmpty && !Entry.retry.isNode && !Entry.retry.isFolio && !Entry.retry.isHole)
    #expect(Entry.empty.isEmpty && !Entry.empty.isStable && !Entry.retry.isStable)
  }

  @Test func onlyTheAccessBitIsNoDifference() {
    let entry = Entry.folio(arenaOffset: 4096, order: 3, version: 7)
    for bit in 0..<64 {
      let other = Entry(word: entry.word ^ 1 << UInt64(bit))
      #expect(entry.isSame(as: other) == (1 << UInt64(bit) == Entry.accessedBit), "bit \(bit)")
    }
    #expect(entry.setting(Entry.accessedBit).isAccessed)
    #expect(entry.setting(Entry.accessedBit | Entry.changingBit).clearing(Entry.changingBit).isSame(as: entry))
  }

  @Test func aNodeWordCarriesAddressAndShift() {
    let word = Entry.nodeBit | 61 << 1 | 0x0000_7FFF_FFFF_FF80
    let entry = Entry(word: word)
    #expect(entry.nodeShift == 61)
    #expect(entry.nodeSlots == 0x0000_7FFF_FFFF_FF80)
    #expect(!entry.isPlainHit && !entry.isStable && !entry.isFolio)
  }

  @Test(arguments: [2, 5, 20])
  func twiceARoundTheNextVersionWaitsForAGracePeriod(versionBits: Int) throws {
    let harness = try IndexHarness(IndexGeometry(versionBits: versionBits))
    let last: UInt64 = 1 << UInt64(versionBits) - 1
    for version in [0, last / 2 - 1, last / 2, last / 2 + 1, last - 1, last] {
      let entry = Entry.folio(arenaOffset: 256, order: 9, version: version)
      let next = version == last ? 0 : version + 1
      let waits = version == last / 2 || version == last
      #expect(harness.index.successor(of: entry) == (waits ? nil : next))
      #expect(harness.index.successorAfterGracePeriod(of: entry) == next)
    }
  }

  @Test func holeVersionsDoNotRepeat() throws {
    let harness = try IndexHarness(IndexGeometry())
    let versions = harness.index.withLock { (0..<100).map { _ in harness.index.nextHoleVersion() } }
    #expect(Set(versions).count == 100)
  }

  @Test func marksHaveTheBitsOfTheirNumbers() {
    for mark in Mark.allCases { #expect(mark.bit == 1 << mark.rawValue) }
    #expect(Mark.allBits == Mark.allCases.reduce(0) { $0 | $1.bit })
  }
}
