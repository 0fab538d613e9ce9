import Primitives

/// How many frames of a cache may hold what their stores do not safely have.
///
/// Set aside from the frames that calls may hold, so that both fit at all times: then whoever must clean something never waits for a frame that only
/// cleaning would free. One file may take as much as it leaves to the others: half of it at most, and half of the rest if a first one is stuck; so a dead
/// store does not stop the writers of another (P6).
final class DirtyBudget: Sendable {
  /// Frames.
  var capacity: Int { Int(limit.loadRelaxed()) }
  private let limit: InlineWord
  /// Relaxed: a count and nothing else. What it stands for is guarded by the files' locks, and an addition sees all additions before it.
  private let taken = SharedCounter()

  init(capacity: Int) { limit = InlineWord(UInt64(capacity)) }

  /// Changes how many frames may be taken. What is taken stays so; whoever wants some then has something cleaned before.
  func setCapacity(_ capacity: Int) { limit.storeRelaxed(UInt64(capacity)) }

  /// Frames taken now, by pages that are owed and by writes that are under way.
  var used: Int { taken.value }

  /// Takes frames, if the file's share allows it.
  /// - Parameter owned: what the file has taken already, more or less.
  func take(_ count: Int, owned: Int) -> Bool {
    // Taken first and looked at then, so that all together never take too much.
    let used = taken.addReturningNew(count)
    if used <= capacity, owned + count <= capacity - used + count || owned == 0 && count <= capacity / 8 { return true }
    taken.add(-count)
    return false
  }

  /// The same, and nothing at all for none.
  @inline(__always)
  func takeIfAny(_ count: Int, owned: Int) -> Bool { count == 0 || take(count, owned: owned) }

  func giveBack(_ count: Int) {
    if count != 0 { taken.add(-count) }
  }

  /// From here on, the background writes back without being asked.
  var backgroundLimit: Int { capacity / 4 }
}
