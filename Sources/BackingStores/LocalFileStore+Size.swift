import Glibc
import Primitives

extension LocalFileStore {
  /// Largest size that a file can have on this file system: 16 TiB less a block on ext4 with blocks of 4096 bytes.
  ///
  /// The kernel does not say. It accepts an offset of lseek(2) up to there, so it is looked for between 0 and
  /// `Int64.max`, once. Where the descriptor is the caller's own, whose offset must not move, there is no limit:
  /// nothing is written by it.
  /// - Cost: a load. The first time one system call where any size will do, else 64, and a lock.
  public var maximumSize: Int64 {
    // Relaxed: two threads that do not see it find the same.
    let known = learntMaximumSize.loadRelaxed()
    return known > 0 ? Int64(known) : learnMaximumSize()
  }

  private func learnMaximumSize() -> Int64 {
    // The lock keeps the descriptor from being closed, and its number from becoming another file's.
    changingDescriptors.withLock {
      let descriptor = primary.value
      guard descriptor >= 0, !isShared else { return Int64.max }
      let most = Self.largest { system.reaches(descriptor, $0) }
      learntMaximumSize.storeRelaxed(UInt64(most))
      return most
    }
  }

  /// The largest offset that is accepted, if all up to some are.
  static func largest(_ isAccepted: (Int64) -> Bool) -> Int64 {
    // Not even the start: that says nothing about sizes.
    if isAccepted(.max) || !isAccepted(0) { return .max }
    var (accepted, refused) = (Int64(0), Int64.max)
    while refused - accepted > 1 {
      let middle = accepted + (refused - accepted) / 2
      if isAccepted(middle) { accepted = middle } else { refused = middle }
    }
    return max(1, accepted)
  }
}
