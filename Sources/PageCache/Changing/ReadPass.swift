import PageIndex
import Primitives
import ReadCopyUpdate

// The shrink gate (P3). A read copies straight to the caller. If it then finds that it was overtaken, and the file has become shorter by the time it
// tries again, it would have to return fewer bytes than it has changed. So nobody makes a file shorter before two things are true:
//
// - Nobody is in the middle of a copy made under the old length. Whoever wants to shorten the file first *closes the gate*: hits see a file without
//   bytes and leave the hit path before they copy anything. Then he waits for a grace period.
// - Nobody who has copied has yet to try again. Such a reader takes a *pass* before it leaves its read section: a count in the file's words. It can
//   always do so, and waits for nobody (R1). Whoever has closed the gate waits, after the grace period, until there are no passes.
//
// Only then he claims the pages that he takes away. While the gate is closed, the slow path goes on reading: by way of memory of its own, from which it
// copies to the caller when it knows that it was not overtaken; or in its turn, with a claim.

/// What a read on its way through the slow path knows: whether the file may become shorter under it.
struct ReadPass: ~Copyable {
  private let file: FileCore
  private(set) var isTaken: Bool

  /// - Parameter isTaken: a hit has taken it.
  init(_ file: FileCore, isTaken: Bool) {
    self.file = file
    self.isTaken = isTaken
  }

  deinit { if isTaken { file.leavePass() } }

  /// Takes it, once. In a read section in which the length was seen that was copied under, before it is left.
  mutating func take() {
    if !isTaken { file.takePass() }
    isTaken = true
  }
}

extension FileCore {
  /// Counts a reader that must try again. In its read section: the store that ends the section is a release, and pairs with the acquire of the
  /// grace period that `closeGate` waits for; so the count is seen after it.
  @inline(never)
  func takePass() { _ = words.passes.fetchAddRelaxed(1) }

  /// The reader has what it wanted, or an error.
  func leavePass() {
    // Release pairs with the acquire in `closeGate`: the file becomes shorter after what was read under its old length. The fence stands between
    // the count and the size as the one of the grace period stands between the size and the count in `closeGate`: either this sees that the
    // gate is closed, or whoever closed it sees the count.
    _ = words.passes.fetchSubtractRelease(1)
    sequentialFence()
    guard words.size.loadRelaxed() == 0 else { return }
    index.lock()
    index.broadcast()
    index.unlock()
  }

  /// Whether hits are kept out. A moment's truth.
  var isGateClosed: Bool { words.size.loadRelaxed() != words.length.loadRelaxed() }

  /// Keeps hits out, and returns when no reader depends on the length that the file has now. Holds nothing but gates of files with lower numbers.
  /// Several may have closed it; each opens it. Grace periods are shared.
  func closeGate() {
    index.withLock {
      unsafe gateClosers += 1
      if keeps(.gateCloses) { words.size.storeRelaxed(0) }
    }
    if keeps(.gateWaitsForReaders) { domain.synchronize() }
    index.lock()
    // Acquire pairs with the release in `leavePass`.
    while keeps(.gateWaitsForPasses), words.passes.loadAcquire() != 0 { index.wait() }
    index.unlock()
  }

  /// Lets hits in again, to the length that the file has now. Expects the index lock held.
  func openGateLocked() {
    unsafe gateClosers -= 1
    if unsafe gateClosers == 0 { words.size.storeRelease(words.length.loadRelaxed()) }
  }
}
