import Folios

/// Which folios go when frames are wanted: two queues of them, and what is known of each is its access bit.
///
/// A policy has no state of its own. It is asked with the lock of the queues held, or that of an index: it answers at once.
protocol ReclaimPolicy: Sendable {
  /// The queue of a folio that comes into the index.
  /// - Parameters:
  ///   - isKnown: it went a short while ago.
  ///   - frames: of the folios in each queue.
  ///   - room: frames that folios could have, if nothing has had to go yet; nil since something has.
  func queue(isKnown: Bool, frames: FolioQueues.Numbers, room: Int?) -> Int

  /// The queue of a folio that comes back as it was.
  /// - Parameter isProven: it had been read often enough to be kept before others.
  func queue(ofProven isProven: Bool) -> Int

  /// Whether a folio in a queue has been read often enough to be kept before others.
  func isProven(in queue: Int) -> Bool

  /// The queue from whose start a folio is looked at next.
  func queueToLookAt(frames: FolioQueues.Numbers) -> Int

  /// What becomes of a folio that has been looked at.
  /// - Parameter isAccessed: it has been read since it came into the queue, or since it was last looked at.
  func verdict(_ queue: Int, hasReturned: Bool, isAccessed: Bool) -> ReclaimVerdict

  /// How long what has gone is known: until so many frames more have gone.
  func memory(frames: FolioQueues.Numbers) -> Int
}

enum ReclaimVerdict: Equatable {
  /// To the end of a queue, with a note.
  case stays(queue: Int, hasReturned: Bool)
  case goes(isRemembered: Bool)
}

/// S3-FIFO (Yang and others, SOSP 2023): a small queue for what is new, the main one for what has been read again, and a memory of what went from the small one.
///
/// The published algorithm counts to three reads, and asks for two before a folio gets into the main queue. A hit here sets one bit, once. So a folio that
/// has been read when it comes to the end of the small queue goes through it once more, and must be read again on the way: that is two reads, some time
/// apart.
struct S3FIFO: ReclaimPolicy {
  private static let small = 0
  private static let main = 1

  /// Ten in a hundred, as published.
  private func smallShare(_ frames: Int) -> Int { frames / 10 }

  func queue(isKnown: Bool, frames: FolioQueues.Numbers, room: Int?) -> Int {
    if isKnown { return S3FIFO.main }
    // As long as nothing has to go, what does not fit the small queue fills the main one.
    guard let room, frames[S3FIFO.small] >= smallShare(room) else { return S3FIFO.small }
    return S3FIFO.main
  }

  func queue(ofProven isProven: Bool) -> Int { isProven ? S3FIFO.main : S3FIFO.small }
  func isProven(in queue: Int) -> Bool { queue == S3FIFO.main }

  func queueToLookAt(frames: FolioQueues.Numbers) -> Int {
    let total = frames[S3FIFO.small] + frames[S3FIFO.main]
    return frames[S3FIFO.main] > total - smallShare(total) || frames[S3FIFO.small] == 0 ? S3FIFO.main : S3FIFO.small
  }

  func verdict(_ queue: Int, hasReturned: Bool, isAccessed: Bool) -> ReclaimVerdict {
    if !isAccessed { return .goes(isRemembered: queue == S3FIFO.small) }
    return queue == S3FIFO.small && !hasReturned
      ? .stays(queue: S3FIFO.small, hasReturned: true) : .stays(queue: S3FIFO.main, hasReturned: false)
  }

  func memory(frames: FolioQueues.Numbers) -> Int { (frames[S3FIFO.small] + frames[S3FIFO.main]) * 9 / 10 }
}

/// Second chance: one queue; a folio that has been read goes to its end again. What has gone is forgotten. To compare with.
struct SecondChance: ReclaimPolicy {
  func queue(isKnown: Bool, frames: FolioQueues.Numbers, room: Int?) -> Int { 0 }
  func queue(ofProven isProven: Bool) -> Int { 0 }
  func isProven(in queue: Int) -> Bool { false }
  func queueToLookAt(frames: FolioQueues.Numbers) -> Int { 0 }
  func verdict(_ queue: Int, hasReturned: Bool, isAccessed: Bool) -> ReclaimVerdict {
    isAccessed ? .stays(queue: 0, hasReturned: false) : .goes(isRemembered: false)
  }
  func memory(frames: FolioQueues.Numbers) -> Int { 0 }
}
