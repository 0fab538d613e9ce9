import BackingStores
import Folios
import PageIndex
import Primitives

// What entries say, and how their words change. Those that change one expect the index lock held.
extension FileCore {
  /// Bytes of the pool that a slot names.
  func address(of entry: Entry) -> UnsafeMutableRawPointer {
    // Safe: an entry of this index names bytes of its arena.
    unsafe pool.arena.base + Int(entry.arenaOffset)
  }

  func entry(frame: UInt64, order: Int, flags: UInt64) -> Entry {
    // Version 0: the frame has had a grace period since it last had any.
    .folio(arenaOffset: frame << frameShift, order: order, version: 0, flags: flags)
  }

  /// The word that takes the place of an entry when its bytes have changed in place; nil if its version would wrap and may not.
  @inline(__always)
  func successor(of entry: Entry, mayWrap: Bool) -> Entry? {
    let version: UInt64
    if !keeps(.versions) {
      version = entry.version
    } else if let next = index.successor(of: entry) {
      version = next
    } else if mayWrap {
      version = index.successorAfterGracePeriod(of: entry)
    } else {
      return nil
    }
    // Accessed: so that the next read of it is a plain hit.
    return .folio(
      arenaOffset: entry.arenaOffset, order: entry.order, version: version,
      flags: Entry.upToDateBit | Entry.accessedBit | entry.word & Entry.readAheadBit)
  }

  /// Pages of the folio that an entry belongs to.
  func folio(of found: PageIndex.Found) -> ClosedRange<UInt64> { folio(of: found.location, page: found.page) }

  /// The same, for the entry that was located for a page.
  func folio(of location: PageIndex.Location, page: UInt64) -> ClosedRange<UInt64> {
    let shift = pool.frameShift
    let entry = location.entry
    let first = page & ~(1 << location.shift - 1) - (entry.frame(shift: shift) - entry.headFrame(shift: shift))
    return first...first + (1 << UInt64(entry.order) - 1)
  }

  /// Whether a folio is held besides by the index. Before it is marked, a guess; after that and a fence, the truth: see `CachedFile.borrow`.
  func isBorrowed(_ entry: Entry) -> Bool {
    keeps(.loansRespected)
      && pool.table[entry.headFrame(shift: pool.frameShift)].references.loadRelaxed() != 1
  }

  /// Marks an entry. Relaxed: a fence orders it before the bytes.
  @inline(__always)
  func mark(_ location: PageIndex.Location) {
    // A store will do: the lock is held, and a reader's compare-and-exchange of the access bit names the whole word.
    if keeps(.marks) { location.slot.storeRelaxed(location.entry.word | Entry.changingBit) }
  }

  /// Publishes one slot.
  /// - Returns: by how many the pages with any mark have become more.
  @inline(__always)
  func publish(
    _ entry: Entry, in location: PageIndex.Location, page: UInt64, as standing: Durability.Standing
  ) -> Int {
    republish(entry, in: location)
    return mark(location, page: page, as: standing)
  }

  /// Puts a word in the place of one that says the same of its page, or of one that is marked.
  ///
  /// Release pairs with the acquire of `PageIndex.locate`: the bytes come first, and the count of the folio. An access bit set meanwhile is lost.
  @inline(__always)
  func republish(_ entry: Entry, in location: PageIndex.Location) { location.slot.storeRelease(entry.word) }

  /// Takes a folio's reference of the index back, once none of its slots is in the index.
  func release(heads: [UInt64]) {
    noteResident(heads, -1)
    if keeps(.replacedReleased) { for head in heads { pool.giveBackReference(head) } }
  }

  /// Counts folios that have come into the index or left it, while their count still has the index's reference.
  func noteResident(_ heads: [UInt64], _ sign: Int) {
    guard let tenant else { return }
    tenant.residentFrames.add(sign * heads.reduce(0) { $0 + 1 << pool.table[$1].order })
  }

  /// Some claimed pages may not be in the store what they are here: the store has refused a change, and may have made a part of it. Folios that owe nothing are read again when
  /// they are wanted; what owes something is given to the store once more.
  /// - Parameter refusal: told to syncs that are under way: they may have gone by what is dirty again.
  func forgetUnlessOwed(_ pages: ClosedRange<UInt64>, because refusal: StoreError) {
    var heads: [UInt64] = []
    var isDirtyAgain = false
    index.withLock {
      var page = pages.lowerBound
      while page <= pages.upperBound, let found = index.next(from: page, through: pages.upperBound) {
        page = found.lastPage + 1
        guard found.entry.isFolio else { continue }
        let folio = folio(of: found)
        page = folio.upperBound + 1
        let goes =
          folio.lowerBound >= pages.lowerBound && folio.upperBound <= pages.upperBound && !isAnyOwed(folio)
        if goes { heads.append(found.entry.headFrame(shift: pool.frameShift)) }
        var slot = folio.lowerBound
        while slot <= folio.upperBound, let found = index.next(from: slot, through: folio.upperBound) {
          slot = found.lastPage + 1
          if goes {
            index.eraseSlot(of: found)
          } else {
            engine.dirtyBudget.giveBack(-mark(found.location, page: found.page, as: .dirty))
            waitForMore(found.page...found.lastPage, isAnyLost: refusal.mayHaveChangedTheStore)
            isDirtyAgain = true
          }
        }
      }
      if isDirtyAgain { unsafe durability.noteLoss(refusal) }
    }
    release(heads: heads)
  }
}

extension StoreError {
  /// Whether what was refused may have been done in part.
  fileprivate var mayHaveChangedTheStore: Bool {
    switch cause {
    case .unsupported, .system(.invalidArgument): false
    default: true
    }
  }
}
