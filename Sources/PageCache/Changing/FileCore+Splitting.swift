import Folios
import PageIndex
import Primitives

// Large folios come apart where only a part of them goes: what a punch or a new end of the file leaves of one is not kept with all of it.
//
// Splitting changes no contents. Each slot's word gets a smaller order and keeps frame, version and marks; it never gets the larger one back before its frame has
// been free, and so a grace period later. What must not happen is that somebody who still has an old word takes a reference to the whole folio's head, finds the
// slot unchanged, and holds what is by now another folio's count (B4). So the head's count stays frozen until every word has been replaced; the counts of the other
// pieces are there before anybody can know of them.
extension FileCore {
  /// Splits the folios that lie on both sides of some pages' beginnings, as far as it takes for these to be where folios end. Not if somebody has borrowed one.
  ///
  /// The caller has claimed the folios for changing the store.
  func split(at cuts: [UInt64]) {
    guard engine.orders.upperBound > 0 else { return }
    index.withLock {
      for cut in cuts where cut > 0 && cut <= index.geometry.maximumPage {
        guard let found = index.next(from: cut, through: cut), found.entry.isFolio else { continue }
        let pages = folio(of: found)
        if pages.lowerBound < cut { splitLocked(found) { $0 < cut && cut <= $0 + (1 << UInt64($1) - 1) } }
      }
    }
  }

  /// Splits a folio in halves, and these again, as long as they are to be. Expects the index lock held.
  /// - Parameter comesApart: whether the piece at a page, of an order of at least 1, is to be halved.
  /// - Returns: whether it has come apart: not if somebody has a reference to it, or is changing it, or if one slot has several of its pages.
  @discardableResult
  func splitLocked(_ found: PageIndex.Found, _ comesApart: (_ page: UInt64, _ order: Int) -> Bool) -> Bool {
    let order = found.entry.order
    let pages = folio(of: found)
    guard order > 0, found.pageCount == 1, comesApart(pages.lowerBound, order) else { return false }
    let head = found.entry.headFrame(shift: pool.frameShift)
    var slots: [PageIndex.Location] = []
    slots.reserveCapacity(pages.count)
    for page in pages {
      guard let location = index.locate(page), location.entry.isStable, location.entry.order == order,
        location.entry.frame(shift: pool.frameShift) == head + page - pages.lowerBound
      else { return false }
      slots.append(location)
    }
    // Only the index's own reference is left, and nobody takes another until the last word has been replaced.
    guard pool.table[head].freeze(expecting: 1) else { return false }
    var pieces: [FramePool.Piece] = []
    func halve(_ page: UInt64, _ order: Int) {
      if order > 0, comesApart(page, order) {
        halve(page, order - 1)
        halve(page + 1 << UInt64(order - 1), order - 1)
      } else {
        pieces.append(FramePool.Piece(head: head + page - pages.lowerBound, page: page, order: order))
      }
    }
    halve(pages.lowerBound, order)
    pool.split(head, into: pieces)
    if !keeps(.headFrozenWhileSplit) { pool.table[head].thaw(to: 1) }
    for piece in pieces {
      let first = Int(piece.page - pages.lowerBound)
      for location in slots[first..<first + 1 << piece.order] {
        republish(location.entry.withOrder(piece.order), in: location)
      }
    }
    if keeps(.headFrozenWhileSplit) { pool.table[head].thaw(to: 1) }
    return true
  }
}
