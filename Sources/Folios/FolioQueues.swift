import Primitives

/// Folios in the index, in the order in which they came to each of a few queues. Which queue means what is the policy of reclaim.
///
/// The lists run through the metadata of the folios' first frames: they need no memory of their own. A folio is taken out before its frames go anywhere
/// else (`FramePool.retire`, `free`), so a number that is in a queue is that of a folio.
///
/// A folio that may not go for now is *set aside*: it is in no queue, and remembers which one it came from. So reclaim does not look at it again and again.
///
/// All functions take the queues' lock, briefly; anywhere.
package final class FolioQueues: Sendable {
  package static let count = 2
  /// A number for each queue.
  package typealias Numbers = InlineArray<2, Int>

  /// A folio that was taken out of its queue.
  package struct Candidate: Sendable {
    package let head: UInt64
    package let queue: Int
    /// What was noted when it came there.
    package let hasReturned: Bool

    package init(head: UInt64, queue: Int, hasReturned: Bool) {
      self.head = head
      self.queue = queue
      self.hasReturned = hasReturned
    }
  }

  private let table: FolioTable
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var oldest = InlineArray<2, UInt64?>(repeating: nil)
  nonisolated(unsafe) private var newest = InlineArray<2, UInt64?>(repeating: nil)
  nonisolated(unsafe) private var frameCounts = Numbers(repeating: 0)
  nonisolated(unsafe) private var folioCounts = Numbers(repeating: 0)

  init(table: FolioTable) { self.table = table }

  private static var returnedBit: UInt64 { 1 << 8 }
  private static var asideBit: UInt64 { 1 << 9 }

  /// Frames of the folios in each queue.
  package var frames: Numbers { monitor.withLock { unsafe frameCounts } }
  /// Folios in each queue.
  package var folios: Numbers { monitor.withLock { unsafe folioCounts } }

  /// Puts a folio at the end of a queue; not if it is in one.
  /// - Parameter choosing: the queue, by the frames in all of them.
  package func append(_ head: UInt64, hasReturned: Bool = false, choosing queue: (_ frames: Numbers) -> Int) {
    monitor.withLock {
      guard table[head].spare.loadRelaxed() == 0 else { return }
      link(head, queue(unsafe frameCounts), hasReturned: hasReturned)
    }
  }

  /// Puts a folio nowhere for now; not if it is in a queue.
  package func setAside(_ candidate: Candidate) {
    monitor.withLock {
      let word = table[candidate.head].spare
      guard word.loadRelaxed() == 0 else { return }
      word.storeRelaxed(
        UInt64(candidate.queue + 1) | (candidate.hasReturned ? FolioQueues.returnedBit : 0) | FolioQueues.asideBit)
    }
  }

  /// Puts a folio that was set aside at the end of the queue that it came from. Expects that nobody sets it aside meanwhile.
  package func bringBack(_ head: UInt64) {
    guard table[head].spare.loadRelaxed() & FolioQueues.asideBit != 0 else { return }
    monitor.withLock {
      let word = table[head].spare.loadRelaxed()
      guard word & FolioQueues.asideBit != 0 else { return }
      link(head, Int(word & 0xFF) - 1, hasReturned: word & FolioQueues.returnedBit != 0)
    }
  }

  /// The queue that a folio is in, or was set aside from; nil if it is in none at the moment. A guess, unless the caller knows that the folio stays what it is.
  /// - Cost: a load; no lock.
  package func queue(of head: UInt64) -> Int? {
    // Relaxed: nothing is read by way of it.
    let number = Int(table[head].spare.loadRelaxed() & 0xFF) - 1
    return (0..<FolioQueues.count).contains(number) ? number : nil
  }

  /// Puts a folio into the queue of another, which it takes the place of.
  package func replace(_ head: UInt64, with other: UInt64) {
    monitor.withLock {
      let word = takeOut(head)
      // In none: somebody has just taken it out to look at it, and will not find it.
      link(other, max(0, Int(word & 0xFF) - 1), hasReturned: word & FolioQueues.returnedBit != 0)
    }
  }

  /// Puts the pieces of a folio where it was; all into the queue, if it was set aside.
  /// - Parameter describing: says in the metadata how large the pieces are.
  func split(_ head: UInt64, into pieces: [UInt64], describing: () -> Void) {
    monitor.withLock {
      let word = takeOut(head)
      describing()
      // Somebody is looking at it, and will put it back: then the others are put where it will probably go.
      for piece in pieces where word != 0 || piece != head {
        link(piece, max(0, Int(word & 0xFF) - 1), hasReturned: word & FolioQueues.returnedBit != 0)
      }
    }
  }

  private func link(_ head: UInt64, _ number: Int, hasReturned: Bool) {
    let folio = table[head]
    folio.spare.storeRelaxed(UInt64(number + 1) | (hasReturned ? FolioQueues.returnedBit : 0))
    folio.next = nil
    folio.previous = unsafe newest[number]
    if let last = unsafe newest[number] { table[last].next = head } else { unsafe oldest[number] = head }
    unsafe newest[number] = head
    unsafe frameCounts[number] += 1 << folio.order
    unsafe folioCounts[number] += 1
  }

  /// Takes the oldest folios out of a queue.
  /// - Parameter choosing: the queue, by the frames in all of them.
  package func take(most count: Int, choosing queue: (_ frames: Numbers) -> Int) -> [Candidate] {
    monitor.withLock {
      let number = queue(unsafe frameCounts)
      var candidates: [Candidate] = []
      while candidates.count < count, let head = unsafe oldest[number] {
        let hasReturned = table[head].spare.loadRelaxed() & FolioQueues.returnedBit != 0
        unlink(head, number)
        candidates.append(Candidate(head: head, queue: number, hasReturned: hasReturned))
      }
      return candidates
    }
  }

  /// Takes a folio out, if it is in a queue or set aside. Whoever calls knows that nobody puts it in.
  func remove(_ head: UInt64) {
    // Relaxed: it was put in by whoever had the folio in the index, before the last reference was given back.
    guard table[head].spare.loadRelaxed() != 0 else { return }
    monitor.withLock { _ = takeOut(head) }
  }

  /// Takes a folio out of wherever it is.
  /// - Returns: what its metadata said of that; 0 if it was nowhere.
  private func takeOut(_ head: UInt64) -> UInt64 {
    let word = table[head].spare.loadRelaxed()
    if word & FolioQueues.asideBit != 0 {
      table[head].spare.storeRelaxed(0)
    } else if word != 0 {
      unlink(head, Int(word & 0xFF) - 1)
    }
    return word
  }

  private func unlink(_ head: UInt64, _ number: Int) {
    let folio = table[head]
    let (previous, next) = (folio.previous, folio.next)
    if let previous { table[previous].next = next } else { unsafe oldest[number] = next }
    if let next { table[next].previous = previous } else { unsafe newest[number] = previous }
    folio.spare.storeRelaxed(0)
    unsafe frameCounts[number] -= 1 << folio.order
    unsafe folioCounts[number] -= 1
  }
}
