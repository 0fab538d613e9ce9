import Primitives

/// A claim on pages of a file, to be let go once.
struct RangeClaim: Sendable {
  let number: UInt64
  let pages: ClosedRange<UInt64>
}

extension FileCore {
  /// Claims pages, waiting for whoever works on them. Holds nothing but claims on files with lower numbers, a gate, and frames that are reserved.
  /// - Parameter isUrgent: the caller holds a claim on the same pages that agrees with this one.
  func claim(_ pages: ClosedRange<UInt64>, _ mode: RangeTable.Mode, isUrgent: Bool = false) -> RangeClaim {
    index.lock()
    let claim = claimLocked(pages, mode, isUrgent: isUrgent)
    index.unlock()
    return claim
  }

  /// The same with the index lock held, which is given away while this waits.
  func claimLocked(_ pages: ClosedRange<UInt64>, _ mode: RangeTable.Mode, isUrgent: Bool = false) -> RangeClaim {
    let isFree = isFree(pages, mode, isUrgent: isUrgent)
    let number = unsafe ranges.add(
      first: pages.lowerBound, last: pages.upperBound, mode: mode, isGranted: isFree, isUrgent: isUrgent)
    if !isFree {
      while unsafe !ranges.isGranted(number) { index.wait() }
    }
    noteBegin(of: mode)
    return RangeClaim(number: number, pages: pages)
  }

  /// Claims pages if nobody has, or waits for, a claim that stands against it.
  func tryClaim(_ pages: ClosedRange<UInt64>, _ mode: RangeTable.Mode) -> RangeClaim? {
    index.withLock {
      guard unsafe !isClosing, isFree(pages, mode, isUrgent: false) else { return nil }
      return claimLocked(pages, mode)
    }
  }

  /// Claims pages for a task: calls back when they are granted, maybe before this returns.
  func claim(
    _ pages: ClosedRange<UInt64>, _ mode: RangeTable.Mode, granted: @escaping @Sendable (RangeClaim) -> Void
  ) {
    let claim = index.withLock { () -> RangeClaim? in
      let isFree = isFree(pages, mode, isUrgent: false)
      let number: UInt64 = unsafe ranges.nextNumber
      var call: (@Sendable () -> Void)?
      if !isFree { call = { granted(RangeClaim(number: number, pages: pages)) } }
      _ = unsafe ranges.add(
        first: pages.lowerBound, last: pages.upperBound, mode: mode, isGranted: isFree, granted: call)
      noteBegin(of: mode)
      return isFree ? RangeClaim(number: number, pages: pages) : nil
    }
    if let claim { granted(claim) }
  }

  /// Lets go of a claim.
  func letGo(_ claim: RangeClaim) {
    index.lock()
    let calls = letGoLocked(claim)
    index.unlock()
    for call in calls { call() }
  }

  /// The same with the index lock held.
  /// - Returns: whom to call once the lock is free.
  func letGoLocked(_ claim: RangeClaim) -> [@Sendable () -> Void] {
    unsafe ranges.remove(claim.number)
    if unsafe isClosing { index.broadcast() }
    return grantLocked()
  }

  /// Grants what can be granted. Expects the index lock held; what it returns is called without it.
  func grantLocked() -> [@Sendable () -> Void] {
    guard unsafe ranges.waitingCount > 0 else { return [] }
    let (calls, threads) = unsafe ranges.grant { first, last in unsafe fills.first(from: first, through: last) != nil }
    if threads { index.broadcast() }
    return calls
  }

  /// Whether a claim would be granted at once. Expects the index lock held.
  func isFree(_ pages: ClosedRange<UInt64>, _ mode: RangeTable.Mode, isUrgent: Bool) -> Bool {
    let (first, last) = (pages.lowerBound, pages.upperBound)
    if mode.excludesFills, unsafe fills.first(from: first, through: last) != nil { return false }
    if isUrgent { return unsafe !ranges.isHeldAgainst(first: first, last: last, mode: mode) }
    return unsafe !ranges.isBlocked(first: first, last: last, mode: mode)
  }

  /// Whoever learns from the store where its holes are finds out by this number whether that can have changed meanwhile.
  private func noteBegin(of mode: RangeTable.Mode) {
    if mode != .reading { unsafe changesBegun += 1 }
  }

  /// Whether anybody but readers has a claim on the file. Expects the index lock held.
  var isBeingChanged: Bool { unsafe ranges.claims.contains { $0.mode != .reading } }

  /// Pages of a range, extended to whole folios of the largest order that the configuration makes: whoever holds them may change any folio in it.
  func foliosAround(_ pages: ClosedRange<UInt64>) -> ClosedRange<UInt64> {
    let mask = 1 << largestOrder.loadRelaxed() - 1 as UInt64
    return pages.lowerBound & ~mask...pages.upperBound | mask
  }

  /// Pages of a range, extended to the whole slots that folios of the largest order can have.
  func slotsAround(_ pages: ClosedRange<UInt64>) -> ClosedRange<UInt64> {
    let mask = UInt64(pagesOfLargestSlot - 1)
    return pages.lowerBound & ~mask...pages.upperBound | mask
  }

  /// Pages that one slot of a folio has at most: what is dirty, is so for a whole slot.
  var pagesOfLargestSlot: Int {
    let fanOutShift = index.geometry.fanOutShift
    return 1 << (Int(largestOrder.loadRelaxed()) / fanOutShift * fanOutShift)
  }
}
