import Folios
import PageIndex
import Primitives

// The barrier: the one way in which what the cache says of a file changes, but for a page that arrives from the store or leaves by eviction, of which the
// contents stay the same. Every operation that changes a file ends here. Entries change like this (and the page on changing files says so too):
//
//   what                      entry before          entry after                     rule
//   ------------------------- --------------------- ------------------------------- ------------------------------------------------
//   fill                      empty, shadow         folio                           pages claimed for reading or more, or nothing in the way of
//                                                                                   such a claim when it begins; one fill a page
//   learn a hole              empty, shadow         hole                            claimed, or nobody else can have changed the store
//   evict                     folio                 empty, or a shadow              owes nothing, count frozen at 1, not changing
//   split                     folio                 the same frame, smaller order   count frozen at 1 until every word is replaced
//   move, for large blocks    folio                 another frame, version 0        owes nothing, count frozen at 1, bytes copied before
//   shed a hole, for nodes    hole                  empty                           nobody has, or waits for, a claim on its pages
//   forget what has gone      shadow                empty                           it is too old, or nodes are wanted
//   write, zero in place      folio                 same frame, next version        count frozen at 1; marked *changing* in between
//   write to nothing, a hole  empty, shadow, hole   folio                           stored as *changing*, then published
//   write what is lent        folio                 another folio                   the same; the lent one stays as it was, and is held while it is copied
//   punch, zero, truncate     folio, hole           hole, or empty past the end     marked, then swept
//   collapse, insert, clone,  folio, hole           empty                           claimed for changing the store; erased when it has done
//   exchange, invalidate                                                            its part
//   drop what no frame shows  folio                 empty                           claimed for changing the store; the dirty stay
//   close                     folio, hole           empty                           no handle is left
//
// `FileCore.carryOut` is the one driver of a change. The caller has claimed the pages, so that no other call changes or fills them. Its steps:
//   1. get in hand everything that can fail or has to be waited for: frames, index nodes, the old bytes of pages that change in part, a grace period before a version
//      wraps; and hold the folios that are changed or copied from, so that none is evicted, moved, split or lent
//   2. begin the transfer: from here on, a flush that fails is known to concern these pages
//   3. tell the store. From here on nothing fails
//   4. with the file's lock held, mark all entries; publish the length, if it changes
//   5. copy the bytes
//   6. with the file's lock held, publish every entry with its new word, and what it owes; sweep what goes; end the transfer
//   7. let go of the folios
// A change that does not concern the store leaves out 2 and 3. Nothing waits between 4 and 6 but for the file's lock, which is held for bounded steps. A reader that sees any
// part of the new state sees no part of the old one, because all of it was marked before (L10).

/// A change of a file.
struct FileChange {
  // Safe: the caller keeps the bytes for as long as its call to `carryOut` lasts.
  @safe enum Content {
    /// These bytes are written to the range.
    case bytes(UnsafeRawBufferPointer)
    /// The range reads as zero. Its whole pages become a hole, or nothing where the file ends before them.
    case zeros(becomesHole: Bool)
    /// The store has something else there: whole pages are forgotten. They owe nothing but what may be lost.
    ///
    /// They are not marked: no reader can see the new state anywhere before the claim is let go, because all of it has to be filled first.
    case unknown
    /// Only the length changes.
    case none
  }

  enum Length {
    case unchanged
    /// The file grows to it, unless it is longer.
    case atLeast(Int64)
    case exactly(Int64)

    /// Of a call that makes a file longer, or leaves its length alone: then another call may be making the file shorter, and it stays so.
    init(from before: Int64, to after: Int64) { self = after > before ? .atLeast(after) : .unchanged }

    /// What it makes of a length.
    func applied(to length: Int64) -> Int64 {
      switch self {
      case .unchanged: length
      case .atLeast(let least): max(length, least)
      case .exactly(let exact): exact
      }
    }
  }

  let operation: CacheError.Operation
  /// Bytes that change.
  var range: Range<Int64>
  let content: Content
  var length = Length.unchanged
  /// The bytes are not given to the store before this is durable.
  var heldUntil: DurabilityPoint?

  /// Pages that have a byte in the range. Of `.unknown`, given by the caller; else worked out by `carryOut`.
  var pages: ClosedRange<UInt64> = 0...0
  /// Those of them that go.
  var whole: Range<UInt64> = 0..<0

  /// Whether the cache keeps what the store is given, so that it can be given once more.
  var holdsWhatItChanges: Bool {
    switch content {
    case .bytes, .zeros: true
    case .unknown, .none: false
    }
  }
}

/// A page that needs another frame.
struct ChangeNeed {
  let page: UInt64
  let source: Entry?
  let isZero: Bool
}

/// What a change finds missing.
struct ChangeSurvey {
  /// In order of pages.
  var needs: [ChangeNeed] = []
  var nodes = 0
  /// A version would wrap.
  var mustWait = false
}

/// Frames that will take the place of what some pages have now, filled with all that these hold then.
struct PreparedFolio {
  let page: UInt64
  let order: Int
  let frame: UInt64

  var lastPage: UInt64 { page + (1 << UInt64(order) - 1) }
}

/// A folio that a change holds.
struct HeldFolio {
  let head: UInt64
  let pages: ClosedRange<UInt64>
  /// It is lent, so that it is copied from and replaced; else its count is frozen, so that it can be changed in place.
  let isLent: Bool
}

/// What a change has in hand before it tells the store.
struct PreparedChange: ~Copyable {
  let pool: FramePool
  var nodes: NodeReserve
  /// In order of pages.
  private(set) var folios: [PreparedFolio] = []
  /// In order of pages.
  private var held: [HeldFolio] = []
  /// A grace period has gone by since the pages were claimed: a version may go on past its end.
  var mayWrap = false
  /// How long the file was when it was marked.
  var lengthBefore: Int64 = 0

  init(_ file: FileCore) {
    pool = file.pool
    nodes = NodeReserve(for: file.index)
  }

  deinit {
    // No other thread has seen the frames that were not used.
    for folio in folios { pool.free(folio.frame) }
    for folio in held { letGo(folio) }
  }

  private func letGo(_ folio: HeldFolio) {
    if folio.isLent { pool.giveBackReference(folio.head) } else { pool.table[folio.head].thaw(to: 1) }
  }

  func frame(for page: UInt64) -> UInt64? {
    guard let place = place(in: folios.count, { folios[$0].lastPage < page }), folios[place].page <= page else {
      return nil
    }
    return folios[place].frame + (page - folios[place].page)
  }

  /// The first of so many places in order that does not come before.
  private func place(in count: Int, _ comesBefore: (Int) -> Bool) -> Int? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if comesBefore(middle) { low = middle + 1 } else { high = middle }
    }
    return low < count ? low : nil
  }

  /// The last page of the lent folio that a page belongs to; nil if it belongs to none.
  func endOfLent(at page: UInt64) -> UInt64? {
    guard let place = place(in: held.count, { held[$0].pages.upperBound < page }), held[place].isLent,
      held[place].pages.contains(page)
    else { return nil }
    return held[place].pages.upperBound
  }

  /// Takes frames over, for pages that have none yet.
  mutating func add(_ folio: PreparedFolio) {
    let place = place(in: folios.count) { folios[$0].page < folio.page }
    folios.insert(folio, at: place ?? folios.endIndex)
  }

  /// The frames are in the index now.
  mutating func handOver() { folios.removeAll() }

  /// Gives back the frames of all pages from one on.
  mutating func drop(from page: UInt64) {
    while let last = folios.last, last.lastPage >= page {
      folios.removeLast()
      guard last.order > 0, last.page < page else {
        pool.free(last.frame)
        continue
      }
      // Those before it stay.
      pool.breakUp(last.frame)
      for number in 0..<(1 << UInt64(last.order) as UInt64) {
        if last.page + number < page {
          folios.append(PreparedFolio(page: last.page + number, order: 0, frame: last.frame + number))
        } else {
          pool.free(last.frame + number)
        }
      }
    }
  }

  /// Holds a folio that is in the index. Expects the index lock held.
  ///
  /// A count that is frozen at the index's own reference refuses every other: so the folio is not lent, evicted, moved or split before it is thawed. A folio that is lent does
  /// not change, and another reference keeps it from being evicted once the loan comes back.
  mutating func hold(head: UInt64, pages: ClosedRange<UInt64>) -> HeldFolio {
    if let place = place(in: held.count, { held[$0].pages.upperBound < pages.lowerBound }), held[place].head == head {
      return held[place]
    }
    guard keeps(.loansRespected) else { return HeldFolio(head: head, pages: pages, isLent: false) }
    let folio = HeldFolio(head: head, pages: pages, isLent: !pool.table[head].freeze(expecting: 1))
    if folio.isLent {
      guard keeps(.sourcesHeld) else { return folio }
      let isTaken = pool.table[head].tryTakeReference()
      precondition(isTaken, "the index has a reference, and no other call has frozen the count of what is claimed")
    }
    held.insert(
      folio, at: place(in: held.count) { held[$0].pages.upperBound < pages.lowerBound } ?? held.endIndex)
    return folio
  }
}

/// A slot that is marked, and what it becomes.
struct MarkedSlot {
  let location: PageIndex.Location
  let page: UInt64
  /// The word that is published.
  let published: Entry
  /// Whether its bytes are changed in place. Else they were made before.
  let isInPlace: Bool
}
