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
//   write, zero in place      folio                 same frame, next version        marked *changing* in between
//   write to nothing, a hole  empty, shadow, hole   folio                           stored as *changing*, then published
//   write what is lent        folio                 another folio                   the same; the lent one stays as it was
//   punch, zero, truncate     folio, hole           hole, or empty past the end     marked, then swept
//   collapse, insert, clone,  folio, hole           empty                           claimed for changing the store; erased when it has done
//   exchange, invalidate                                                            its part
//   drop what no frame shows  folio                 empty                           claimed for changing the store; the dirty stay
//   close                     folio, hole           empty                           no handle is left
//
// Order of a change, with the pages claimed so that nobody else changes or fills them:
//   1. get everything that has to be waited for: frames, index nodes, missing parts of pages, a grace period before a version wraps
//   2. with the file's lock held, mark all entries; see that nobody has borrowed what is to be changed in place
//   3. publish the length, if it changes
//   4. copy the bytes
//   5. with the file's lock held, sweep: publish every entry with its new word
// Nothing waits between 2 and 5 but for the file's lock, which is held for bounded steps. A reader that sees any part of the new state sees no part of the
// old one, because all of it was marked before (L10).

/// What a change leaves to be done.
enum ChangeDebt {
  /// The store has it not.
  case dirty
  /// The store has it, and may lose it.
  case written
}

/// A page that needs another frame.
struct ChangeNeed {
  let page: UInt64
  let source: Entry?
  let isZero: Bool
}

/// What a change finds missing.
struct ChangeSurvey {
  var needs: [ChangeNeed] = []
  var nodes = 0
  /// A version would wrap.
  var mustWait = false
  var isReady = false
}

/// Frames that will take the place of what some pages have now, filled with all that these hold then.
struct PreparedFolio {
  let page: UInt64
  let order: Int
  let frame: UInt64

  var lastPage: UInt64 { page + (1 << UInt64(order) - 1) }
}

/// What a change has in hand before it marks anything.
struct PreparedChange: ~Copyable {
  let pool: FramePool
  var nodes: NodeReserve
  /// In order of pages.
  private(set) var folios: [PreparedFolio] = []
  /// A grace period has gone by since the pages were claimed: a version may go on past its end.
  var mayWrap = false

  init(_ file: FileCore) {
    pool = file.pool
    nodes = NodeReserve(for: file.index)
  }

  /// Nobody has seen the frames that were not used.
  deinit { for folio in folios { pool.free(folio.frame) } }

  func frame(for page: UInt64) -> UInt64? {
    var low = 0
    var high = folios.count
    while low < high {
      let middle = (low + high) / 2
      if folios[middle].lastPage < page { low = middle + 1 } else { high = middle }
    }
    guard low < folios.count, folios[low].page <= page else { return nil }
    return folios[low].frame + (page - folios[low].page)
  }

  /// Takes frames over, for pages that have none yet.
  mutating func add(_ page: UInt64, order: Int = 0, frame: UInt64) {
    let folio = PreparedFolio(page: page, order: order, frame: frame)
    if let last = folios.last, last.page >= page {
      folios.insert(folio, at: folios.firstIndex { $0.page > page } ?? folios.endIndex)
    } else {
      folios.append(folio)
    }
  }

  /// The frames are in the index now.
  mutating func handOver() { folios.removeAll() }
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
