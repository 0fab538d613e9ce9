import Folios
import PageIndex
import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

@Suite struct ReferenceTests {
  @Test func theLastToGiveBackByCompareExchangeFreezes() throws {
    let pool = try makePool(frames: 1)
    let folio = pool.table[try #require(pool.allocate(order: 0))]
    folio.thaw(to: 2)
    #expect(!folio.giveBackReferenceByCompareExchange())
    #expect(folio.references.loadRelaxed() == 1)
    #expect(folio.giveBackReferenceByCompareExchange())
    #expect(!folio.tryTakeReference())
  }

  @Test func aFrozenCountRefusesAndThawingForgetsTheAttempts() throws {
    let pool = try makePool(frames: 1)
    let folio = pool.table[try #require(pool.allocate(order: 0))]
    for _ in 0..<100 {
      #expect(!folio.tryTakeReference())
      #expect(!folio.tryTakeReferenceByCompareExchange())
    }
    folio.thaw(to: 2)
    #expect(folio.references.loadRelaxed() == 2)
    #expect(folio.tryTakeReference())
    #expect(folio.tryTakeReferenceByCompareExchange())
    #expect(folio.references.loadRelaxed() == 4)
    #expect(!folio.freeze(expecting: 3))
    #expect(!folio.freeze(expecting: 5))
    #expect(folio.references.loadRelaxed() == 4)
    #expect(folio.freeze(expecting: 4))
    #expect(!folio.tryTakeReference())
    folio.thaw(to: 2)
    #expect(!folio.giveBackReference())
    #expect(folio.giveBackReference())
    #expect(!folio.tryTakeReference(), "the last one freezes")
  }

  @Test func theLastOfManyWinsExactlyOnce() throws {
    let count: UInt64 = 4000
    let pool = try makePool(frames: Int(count), frameShift: 7)
    for frame in 0..<count { pool.table[frame].thaw(to: 4) }
    let winners = Word()
    let failures = Failures()
    onThreads(4) { index in
      var random = RandomWords(seed: testSeed &+ UInt64(index))
      for frame in 0..<count {
        let folio = pool.table[frame]
        // Some take another meanwhile, if they still can: then it is theirs to give back too.
        if random.next(below: 2) == 0, folio.tryTakeReference(), folio.giveBackReference() {
          failures.add("the last, with one of its own left")
        }
        if folio.giveBackReference() { winners.add(1) }
      }
    }
    #expect(failures.all == [])
    #expect(winners.value == count)
    for frame in 0..<count { #expect(pool.table[frame].references.loadRelaxed() & FolioMetadata.frozenBit != 0) }
  }

  /// One slot of an index that does not exist.
  private final class SlotWord: Sendable {
    let word: SharedWord
    init() {
      word = unsafe SharedWord(at: .allocate(byteCount: 8, alignment: 8))
      word.storeRelaxed(0)
    }
    deinit { unsafe word.address.deallocate() }

    var location: PageIndex.Location {
      PageIndex.Location(slot: word, entry: Entry(word: word.loadAcquire()), shift: 0)
    }
  }

  private func cache(_ pool: FramePool, _ slot: SlotWord, references: UInt64) throws -> UInt64 {
    let head = try #require(pool.allocate(order: 1))
    pool.table[head].thaw(to: references)
    slot.word.storeRelease(Entry.folio(arenaOffset: head << 12, order: 1, version: 0).word)
    return head
  }

  @Test func aConfirmedReferenceIsHeldUntilItGoes() throws {
    let pool = try makePool(frames: 8)
    let slot = SlotWord()
    let head = try cache(pool, slot, references: 1)
    do {
      let location = slot.location
      guard let reference = pool.domain.read({ SpeculativeReference(pool, head: head)?.confirm(location) }) else {
        Issue.record("nothing has changed")
        return
      }
      #expect(pool.table[head].references.loadRelaxed() == 2)
      let held = reference.head
      #expect(held == head)
    }
    #expect(pool.table[head].references.loadRelaxed() == 1)
    pool.giveBackReference(head)
    #expect(pool.retiredFrames == 2)
    #expect(pool.reclaimRetired(waiting: true) == 2)
  }

  @Test func theAccessBitDoesNotStandInTheWay() throws {
    let pool = try makePool(frames: 8)
    let slot = SlotWord()
    let head = try cache(pool, slot, references: 1)
    let location = slot.location
    _ = location.noteAccess()
    let confirmed = pool.domain.read { SpeculativeReference(pool, head: head)?.confirm(location) } != nil
    #expect(confirmed)
  }

  @Test func anUnconfirmedReferenceIsGivenBack() throws {
    let pool = try makePool(frames: 8)
    let slot = SlotWord()
    let head = try cache(pool, slot, references: 1)
    let location = slot.location
    slot.word.storeRelease(Entry.hole(version: 1).word)
    let confirmed = pool.domain.read { SpeculativeReference(pool, head: head)?.confirm(location) } != nil
    #expect(!confirmed)
    #expect(pool.table[head].references.loadRelaxed() == 1)
  }

  @Test func aSpeculativeReferenceThatIsDroppedIsGivenBack() throws {
    let pool = try makePool(frames: 8)
    let slot = SlotWord()
    let head = try cache(pool, slot, references: 1)
    pool.domain.read { _ = SpeculativeReference(pool, head: head) }
    #expect(pool.table[head].references.loadRelaxed() == 1)
  }

  @Test func noReferenceToAFrozenFolio() throws {
    let pool = try makePool(frames: 8)
    let slot = SlotWord()
    let head = try cache(pool, slot, references: 1)
    #expect(pool.table[head].freeze(expecting: 1))
    let taken = pool.domain.read { SpeculativeReference(pool, head: head)?.confirm(slot.location) } != nil
    #expect(!taken)
  }

  @Test func headsAreLetGoWithoutGivingBack() throws {
    let pool = try makePool(frames: 8)
    let slot = SlotWord()
    let head = try cache(pool, slot, references: 1)
    let location = slot.location
    let kept = pool.domain.read { SpeculativeReference(pool, head: head)?.confirm(location)?.intoHead() }
    #expect(kept == head)
    #expect(pool.table[head].references.loadRelaxed() == 2)
    pool.giveBackReference(head)
    #expect(pool.table[head].references.loadRelaxed() == 1)
  }

  @Test func aHeldFrameKeepsItsBytes() throws {
    // A writer moves a slot from frame to frame of a small pool; who holds a frame sees its bytes stay.
    let pool = try makePool(frames: 16)
    let slot = SlotWord()
    let failures = Failures()
    let held = Word()
    let replaced = Word()
    let end = monotonicNanoseconds() + 1_000_000_000
    let fill: @Sendable (UInt64) -> Void = { serial in
      var head = pool.allocate(order: 0)
      while head == nil {
        pool.reclaimRetired(waiting: true)
        head = pool.allocate(order: 0)
      }
      for word in 0..<32 { unsafe SharedWord(at: pool.address(of: head!) + word * 8).storeRelaxed(serial) }
      pool.table[head!].thaw(to: 1)
      slot.word.storeRelease(Entry.folio(arenaOffset: head! << 12, order: 0, version: 0).word)
    }
    fill(0)
    onThreads(3) { index in
      var random = RandomWords(seed: testSeed &+ UInt64(index))
      var serial: UInt64 = 0
      while monotonicNanoseconds() < end {
        if index == 2 {
          let head = Entry(word: slot.word.loadRelaxed()).frame(shift: 12)
          serial += 1
          // The index gives its own reference back; borrowers keep the frame, and the last of them retires it.
          if random.next(below: 2) == 0 {
            fill(serial)
            pool.giveBackReference(head)
          } else if pool.table[head].freeze(expecting: 1) {
            fill(serial)
            pool.retire(head)
          }
          replaced.add(1)
          continue
        }
        let reference = pool.domain.read { () -> FolioReference? in
          let location = slot.location
          return SpeculativeReference(pool, head: location.entry.headFrame(shift: 12))?.confirm(location)
        }
        guard let reference else { continue }
        held.add(1)
        let address = unsafe pool.address(of: reference.head)
        let first = unsafe SharedWord(at: address).loadRelaxed()
        for _ in 0..<random.next(below: 500) { spinHint() }
        for word in 0..<32 {
          let again = unsafe SharedWord(at: address + word * 8).loadRelaxed()
          failures.check(again == first, "\(first) became \(again) while it was held")
        }
      }
    }
    #expect(failures.all == [])
    #expect(held.value > 100 && replaced.value > 100)
    pool.giveBackReference(Entry(word: slot.word.loadRelaxed()).frame(shift: 12))
    pool.reclaimRetired(waiting: true)
    #expect(pool.freeFrames == 16, "a frame was lost")
  }
}
