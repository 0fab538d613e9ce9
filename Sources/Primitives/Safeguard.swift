#if RaceLaboratory
  import RaceLaboratory
#endif

/// What keeps a protocol right, piece by piece. In the race laboratory each can be taken away, to see that its litmus test notices: a mutant. Anywhere else all
/// of them are there, and asking costs nothing.
@frozen
public enum Safeguard: String, Sendable, CaseIterable {
  // Reading.

  /// A frame that left the index waits for a grace period before somebody else gets it (P5).
  case deferredReuse
  /// Whoever ends a grace period has a fence executed by every thread that reads without one.
  case fenceOfAllReaders
  /// A reader looks at the entries again when it has copied.
  case entriesCheckedAgain
  /// ... and at the size.
  case sizeCheckedAgain
  /// A reference that was taken on the strength of an entry counts only if the entry still says the same.
  case confirmation
  /// The access bit is set by compare-and-exchange with the whole word.
  case accessBitByComparison
  /// A read that cannot get what it has begun with throws; it does not return less.
  case errorsThrown
  /// A fill that claims nothing does not begin where somebody has a claim, or waits for one, that stands against it.
  case loneFillsYield

  // The index.

  /// Every slot of a node says `retry` before the node leaves the tree.
  case retryEntries
  /// A hole's version comes once.
  case holeVersions
  /// Half way through the versions, and at their end, the next one waits for a grace period.
  case gracePeriodBeforeWrap

  // Changing.

  /// What is changed in place is marked before the first byte.
  case marks
  /// ... all of it.
  case marksOnAll
  /// What only goes is marked as well.
  case marksOnWhatGoes
  /// A full fence between the marks and what comes after them.
  case markFence
  /// What was changed in place has another version afterwards.
  case versions
  /// A page that takes the place of nothing, or of a hole, is stored as changing.
  case newPagesAsChanging
  /// The new length is published while the new entries are marked.
  case lengthWithinMarks
  /// Nobody has a reference to a folio that moves, and nobody gets one.
  case moveFreezes
  /// A folio's bytes are in their new place before its entry says so.
  case copiedBeforeMoved
  /// The count of a folio that comes apart stays frozen until all words say so.
  case headFrozenWhileSplit
  /// Who goes by the length tells nobody of a new one before hits go by it too.
  case lengthBehindSize
  /// What is lent is not changed in place.
  case loansRespected
  /// What a change copies from is held until it has been copied.
  case sourcesHeld
  /// The bytes behind a new end are zeroed in the page where the file ends.
  case cutTailZeroed

  // The gate.

  /// Who makes a file shorter keeps new hits out first.
  case gateCloses
  /// ... waits for those that are inside.
  case gateWaitsForReaders
  /// ... and for those that must try again.
  case gateWaitsForPasses
  /// ... before he claims anything.
  case gateBeforeClaims

  // Claims and frames.

  /// Claims that do not agree wait for each other.
  case claimsExclude
  /// Frames are reserved before pages are claimed.
  case framesBeforeClaims
  /// All frames that a call can need are reserved in one step.
  case oneStepReservation
  /// What was found out of a hole is kept beyond the claim only if nobody could have changed the store meanwhile.
  case quietHoles
  /// A store that a refused change has made longer is made shorter again only with a claim to the end of the file.
  case growthOfOthersSpared
  /// What a fill brings is zero behind the end of the file.
  case tailZeroed

  // References.

  /// Giving a reference back happens in a read section.
  case putInSection
  /// The index's own reference to a folio that was replaced is given back.
  case replacedReleased

  // Durability.

  /// What the store does not safely have is not evicted.
  case owedStays
  /// A dirty mark is taken off before the page is read, not after it was written.
  case clearThenRead
  /// What a failed flush may have lost is dirty again.
  case failedFlushDirties
  /// A transfer begins before the store gets the first byte.
  case transfersBegunFirst
  /// ... and ends as dirty if a flush has failed meanwhile.
  case transfersSeeFailures
  /// What is held back is looked at again when a page has been copied for the store.
  case holdBacksSeenAgain
  /// What is dirty again waits for the points until which its pages are held back.
  case dirtyAgainHeldBack
  /// Pages are held back as soon as they are marked.
  case heldBackWhenMarked
  /// A write-back waits for what another has taken.
  case takenAwaited
}

/// Whether a safeguard is there: true, but for mutants in the race laboratory.
@inlinable @inline(__always)
package func keeps(_ safeguard: Safeguard) -> Bool {
  #if RaceLaboratory
    return !isTakenAway(safeguard)
  #else
    return true
  #endif
}

/// How often something is tried before another way is taken. Twice in the race laboratory, which explores each try, or as often as is said.
@inlinable @inline(__always)
package func patience(_ attempts: Int, inLaboratory fewer: Int = 2) -> Int {
  #if RaceLaboratory
    return fewer
  #else
    return attempts
  #endif
}

/// Tells the race laboratory that threads share some memory without saying so at each access. It is new: nobody expects anything in it, and the laboratory
/// fills it with what nobody could, because of two words of the same value a reader could not tell the new one from the old one.
@inlinable @inline(__always)
package func noteSharedMemory(_ start: UnsafeMutableRawPointer, count: Int) {
  #if RaceLaboratory
    unsafe shareMemory(start, count: count)
  #endif
}

/// Tells the race laboratory that some shared memory has a new owner.
@inlinable @inline(__always)
package func noteNewOwner(_ start: UnsafeMutableRawPointer, count: Int) {
  #if RaceLaboratory
    unsafe handOverMemory(start, count: count)
  #endif
}

/// The race laboratory makes a cache for each execution, and keeps what the last one had mapped: it would spend half of its time in the kernel.
@inlinable @inline(__always)
package func mappingKeptForReuse(_ byteCount: Int, zeroing: Int) -> UnsafeMutableRawPointer? {
  #if RaceLaboratory
    return unsafe KeptMappings.take(byteCount, zeroing: zeroing)
  #else
    return nil
  #endif
}

/// - Returns: whether it is kept, and must not be unmapped.
@inlinable @inline(__always)
package func keepsMappingForReuse(_ start: UnsafeMutableRawPointer, _ byteCount: Int) -> Bool {
  #if RaceLaboratory
    return unsafe KeptMappings.put(start, byteCount)
  #else
    return false
  #endif
}

#if RaceLaboratory
  /// Mappings of arenas that are gone, by size.
  @usableFromInline
  package enum KeptMappings {
    nonisolated(unsafe) private static var kept: [Int: [UnsafeMutableRawPointer]] = unsafe [:]

    @usableFromInline
    package static func take(_ byteCount: Int, zeroing: Int) -> UnsafeMutableRawPointer? {
      guard let start = unsafe kept[byteCount]?.popLast() else { return nil }
      unsafe start.initializeMemory(as: UInt8.self, repeating: 0, count: zeroing)
      return unsafe start
    }

    @usableFromInline
    package static func put(_ start: UnsafeMutableRawPointer, _ byteCount: Int) -> Bool {
      unsafe kept[byteCount, default: []].append(start)
      return true
    }
  }

  /// The safeguard that is taken away.
  nonisolated(unsafe) package var takenAway: Safeguard?
  /// Whether anybody has missed it.
  nonisolated(unsafe) package private(set) var isMissed = false

  @usableFromInline
  package func isTakenAway(_ safeguard: Safeguard) -> Bool {
    guard unsafe takenAway == safeguard else { return false }
    unsafe isMissed = true
    return true
  }

  @usableFromInline
  package func shareMemory(_ start: UnsafeMutableRawPointer, count: Int) {
    // As a word, no node, which would be followed, and no entry that a reader accepts.
    if !Explorer.shared.isExploring { unsafe start.initializeMemory(as: UInt8.self, repeating: 0xA6, count: count) }
    unsafe Explorer.shared.share(start, count: count)
  }

  @usableFromInline
  package func handOverMemory(_ start: UnsafeMutableRawPointer, count: Int) {
    unsafe Explorer.shared.handOver(start, count: count)
  }
#endif
