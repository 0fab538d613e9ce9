import Folios
import PageIndex
import Primitives

// What went a short while ago is remembered in its own place in the index: a shadow, which says when that was. It takes no memory but that of the node,
// and nodes are in the pool (P6). So shadows that are too old to be of use are swept out now and then, and sooner where they take nodes.
extension Engine {
  /// Whether an entry is the shadow of something that went a short while ago.
  private func isKnown(_ entry: Entry?, _ frames: FolioQueues.Numbers) -> Bool {
    guard let entry, entry.isValue else { return false }
    return goneFrames.loadRelaxed() &- entry.value <= UInt64(policy.memory(frames: frames))
  }

  /// Puts a folio that has come into the index into a queue. Expects the index lock held.
  /// - Parameters:
  ///   - old: what was in its place.
  ///   - purpose: what it was brought for. What nobody asked for says itself where it belongs.
  func admit(_ head: UInt64, inPlaceOf old: Entry?, for purpose: FillPurpose = .demand) {
    if case .prefetch(let isProven) = purpose {
      return pool.queues.append(head) { _ in policy.queue(ofProven: isProven) }
    }
    let room = hasEvicted.loadRelaxed() == 0 ? pool.usableFrames : nil
    var comesBack = false
    // One hold of the queues' lock, for which all threads wait.
    pool.queues.append(head) { frames in
      comesBack = isKnown(old, frames)
      return policy.queue(isKnown: comesBack, frames: frames, room: room)
    }
    if comesBack { domain.record().counter(Counter.refaults).addAsOnlyWriter(1) }
  }

  /// Sweeps, if enough has gone since the last time to make it worth while.
  func sweepShadowsInTime() {
    let gone = goneFrames.loadRelaxed()
    let last = lastSweep.loadRelaxed()
    let memory = policy.memory(frames: pool.queues.frames)
    // A policy that remembers nothing leaves none.
    guard memory > 0 else { return }
    // Relaxed: whoever is first does it, and nothing else depends on it.
    // Each sweep looks at every entry. One that is old says nothing; all that it can do is to keep a node.
    let interval = pool.nodeFrames > pool.usableFrames / 32 ? memory / 2 : 4 * memory
    guard gone &- last > UInt64(max(64, interval)), lastSweep.exchangeRelaxed(gone) == last else { return }
    shedShadows(olderThan: UInt64(isCrowdedByNodes ? memory / 8 : memory))
  }

  /// Whether nodes take so much of the pool that what they remember is worth less than the frames that they have.
  var isCrowdedByNodes: Bool { pool.nodeFrames > pool.usableFrames / 8 }

  /// Forgets the shadows of all files that are older than that many frames; all of them, if that is nil.
  /// - Returns: how many.
  @discardableResult
  func shedShadows(olderThan age: UInt64?) -> Int {
    var erased = 0
    for file in openFiles {
      var page: UInt64 = 0
      var isDone = false
      // In steps, so that nobody waits long for the lock.
      while !isDone {
        file.index.withLock {
          for _ in 0..<256 {
            guard let found = file.index.next(from: page, through: file.index.geometry.maximumPage, values: true) else {
              isDone = true
              return
            }
            if found.entry.isValue, age.map({ goneFrames.loadRelaxed() &- found.entry.value > $0 }) ?? true {
              file.index.eraseSlot(of: found)
              erased += 1
            }
            if found.lastPage >= file.index.geometry.maximumPage {
              isDone = true
              return
            }
            page = found.lastPage + 1
          }
        }
      }
    }
    return erased
  }
}
