import BackingStores
import PageIndex
import Primitives

/// What a file owes to its store, and the store to the medium: a state machine that knows no frames, calls no store, and keeps P7. The file's lock guards it.
///
/// ```
///   a page is      its marks                       what ends that
///   -------------  ------------------------------  ----------------------------------------------------------------
///   durable        none                            a write: dirty; a write-through: in transfer
///   dirty          dirty                           write-back takes it: in transfer
///   in transfer    written, or none yet            arrival: written; refusal, or a flush that failed meanwhile: dirty
///   written        written, in the epoch of then   a flush that began later: durable if it succeeds, dirty if it fails
/// ```
///
/// Flushes alternate between two epochs: what is given to the store while a flush is under way belongs to the next. So two marks are enough.
///
/// Two rules make it safe. What the store is about to get is dirty or in a transfer before the store gets it. And a transfer remembers how many flushes had failed
/// when it began: if one has failed since, the store may have lost what it was given, so the page is dirty when the transfer ends.
package struct Durability: Sendable {
  /// Pages with any mark.
  package var pages = 0
  /// Pages that are marked dirty.
  package var dirtyPages = 0

  /// Times are nanoseconds of the monotonic clock. When the oldest page that is dirty now became so, or earlier.
  var dirtySince: UInt64?
  /// When the oldest page that waits for a flush was given to the store, or earlier.
  var writtenSince: UInt64?
  /// When the oldest change of the store that is not durable was made, or earlier.
  var changedSince: UInt64?

  /// Changes of the file that have returned, or are about to. The first one stands for whatever was done before the file was opened here.
  package private(set) var changes: UInt64 = 1
  /// So many of them are durable.
  package private(set) var durableChanges: UInt64 = 0
  /// The last change that a durability point has named.
  private var lastPoint: UInt64 = 0

  /// Changes made to the store. The first one stands for whatever was done to it before it was opened here.
  package private(set) var storeChanges: UInt64 = 1
  /// So many of them are durable.
  package private(set) var durableStoreChanges: UInt64 = 0
  /// So many of them a flush with all metadata has covered.
  private var fullyFlushed: UInt64 = 0

  /// Epoch of what is given to the store now.
  package private(set) var epoch: UInt64 = 0
  /// Whether a flush is under way: one at a time.
  package private(set) var isFlushing = false
  private var failedFlushes: UInt64 = 0

  private var transfers: [Transfer] = []
  private var lastTransfer: UInt64 = 0

  /// Writes, flushes and extensions of the store that have failed; and how the last one did.
  package private(set) var watch = Watch()
  private var lastLoss: StoreError?
  /// What handles are told of.
  var failures = FailureLog()

  package init() {}
}

// MARK: Marks

extension Durability {
  /// Marks to add to a page, and to take off it. Bits, one for each `Mark`, and not sets: this is done for every page that is written.
  package struct MarkChange: Sendable {
    package var add = 0
    package var remove = 0
  }

  /// How a page stands once a change of it is over.
  package enum Standing: Sendable {
    /// The cache has what the store has not, or may have lost.
    case dirty
    /// The store has it, and may lose it.
    case written
  }

  package static func mark(ofEpoch epoch: UInt64) -> Mark {
    epoch & 1 == 0 ? .writtenInEvenEpoch : .writtenInOddEpoch
  }

  @inline(__always)
  private static func bit(ofEpoch epoch: UInt64) -> Int { mark(ofEpoch: epoch).bit }

  /// What a page's marks become. Whatever an earlier flush owes for a written page, the next one owes as well: one mark is enough.
  @inline(__always)
  package static func marks(for standing: Standing, epoch: UInt64) -> MarkChange {
    switch standing {
    case .dirty: MarkChange(add: Mark.dirty.bit)
    case .written: MarkChange(add: bit(ofEpoch: epoch), remove: bit(ofEpoch: epoch + 1))
    }
  }

  /// What the marks of a dirty page become when write-back takes it. The mark goes before the page is read: a change from then on makes it dirty again (R5).
  package static func marksWhenTaken(epoch: UInt64) -> MarkChange {
    MarkChange(add: bit(ofEpoch: epoch), remove: Mark.dirty.bit)
  }

  /// What the marks of a page become that was written, and that a failed flush may have lost.
  package static var marksWhenLost: MarkChange {
    MarkChange(add: Mark.dirty.bit, remove: Mark.writtenInEvenEpoch.bit | Mark.writtenInOddEpoch.bit)
  }
}

// MARK: Changes and points

extension Durability {
  /// Counts a change of the file.
  package mutating func noteChange() { changes += 1 }

  /// Counts a change of the store, which has been made.
  package mutating func noteStoreChange() { storeChanges += 1 }

  /// The store has bytes of which nobody here knows whether they are durable.
  package mutating func forgetWhatIsDurable() {
    changes += 1
    storeChanges += 1
  }

  /// Names all changes until now.
  package mutating func makePoint() -> UInt64 {
    lastPoint = changes
    return changes
  }

  /// Whether others may be waiting for changes of this file that are not durable.
  package var hasOpenPoints: Bool { lastPoint > durableChanges }

  /// Notes that changes are durable.
  /// - Returns: whether that is news.
  package mutating func reach(_ change: UInt64) -> Bool {
    guard change > durableChanges else { return false }
    durableChanges = change
    return true
  }

  /// Whether nothing is owed, and the store has been flushed since it last changed.
  package var isSettled: Bool { pages == 0 && storeChanges == durableStoreChanges }
}

// MARK: Transfers

extension Durability {
  /// Pages that the store is being given.
  package struct Transfer: Sendable {
    package let number: UInt64
    package let pages: ClosedRange<UInt64>
    /// Flushes that had failed when it began.
    fileprivate let failedFlushes: UInt64
    fileprivate let isWriteBack: Bool
  }

  /// Begins a transfer: before the store gets the first byte.
  /// - Parameter isWriteBack: of pages that were dirty, and may be so again when it ends.
  package mutating func beginTransfer(_ pages: ClosedRange<UInt64>, isWriteBack: Bool = false) -> Transfer {
    lastTransfer += 1
    let transfer = Transfer(
      number: lastTransfer, pages: pages, failedFlushes: failedFlushes, isWriteBack: isWriteBack)
    transfers.append(transfer)
    return transfer
  }

  /// Ends a transfer.
  /// - Returns: how pages stand that the store has accepted.
  package mutating func endTransfer(_ transfer: Transfer) -> Standing {
    transfers.removeAll { $0.number == transfer.number }
    return transfer.failedFlushes == failedFlushes || !keeps(.transfersSeeFailures) ? .written : .dirty
  }

  /// The newest transfer that has begun.
  package var newestTransfer: UInt64 { lastTransfer }

  /// Whether any transfer that had begun by then is still under way.
  package func isTransferLeft(upTo number: UInt64) -> Bool {
    !transfers.isEmpty && transfers.contains { $0.number <= number }
  }

  /// The first of some pages that a write-back is giving to the store.
  package func firstInWriteBack(_ pages: ClosedRange<UInt64>) -> UInt64? {
    guard !transfers.isEmpty else { return nil }
    var first: UInt64?
    for transfer in transfers where transfer.isWriteBack && transfer.pages.overlaps(pages) {
      first = min(first ?? .max, max(transfer.pages.lowerBound, pages.lowerBound))
    }
    return first
  }

  /// Whether the store is being given any of some pages: a flush says nothing of them.
  package func isInTransfer(_ pages: ClosedRange<UInt64>) -> Bool {
    // As a rule there is none; this is asked for every page that a flush has covered.
    !transfers.isEmpty && transfers.contains { $0.pages.overlaps(pages) }
  }
}

// MARK: Flushes

extension Durability {
  /// A flush that is under way.
  package struct Flush: Sendable {
    /// Changes of the store that it covers.
    package let covered: UInt64
    /// What it covers bears this mark, or is in a transfer.
    package let mark: Mark
  }

  package enum FlushNeed: Sendable { case none, wait, begin }

  /// What it takes for some changes of the store to be durable.
  package func flushNeed(upTo target: UInt64, dataOnly: Bool) -> FlushNeed {
    if durableStoreChanges >= target, dataOnly || fullyFlushed >= target { return .none }
    return isFlushing ? .wait : .begin
  }

  /// From here on, what is given to the store belongs to the next flush.
  package mutating func beginFlush() -> Flush {
    let flush = Flush(covered: storeChanges, mark: Durability.mark(ofEpoch: epoch))
    isFlushing = true
    epoch += 1
    writtenSince = nil
    return flush
  }

  /// A flush has succeeded, and the marks of what it covered have been taken off.
  package mutating func endFlush(_ flush: Flush, dataOnly: Bool) {
    isFlushing = false
    durableStoreChanges = max(durableStoreChanges, flush.covered)
    if !dataOnly { fullyFlushed = max(fullyFlushed, flush.covered) }
  }

  /// A flush has failed. Nobody knows what the store still has of all that it was given since the last flush that succeeded (B6): the caller makes every written
  /// page dirty, and transfers that are under way end so.
  package mutating func failFlush(_ flush: Flush, _ failure: StoreError) {
    isFlushing = false
    failedFlushes += 1
    noteLoss(failure)
    failures.add(failure)
  }
}

// MARK: Failures

extension Durability {
  /// Where to look from for failures: taken before the store gets the first byte.
  package struct Watch: Sendable {
    fileprivate var losses: UInt64 = 0
  }

  /// What has failed since then: by whichever call. It may have lost what that call has waited for.
  package func loss(since watch: Watch) -> StoreError? { self.watch.losses > watch.losses ? lastLoss : nil }

  /// Counts something that the store did not take.
  package mutating func noteLoss(_ error: StoreError) {
    watch.losses += 1
    lastLoss = error
  }
}
