import Primitives

/// Makes a history that fails short, for as long as it still fails in the same manner.
struct CrashShrinker {
  /// Tries no more after this long.
  var seconds = 20.0
  /// Runs that must all go well before a history counts as one that does not fail: where threads meet, failing is a
  /// matter of chance.
  var repetitions = 1

  /// - Parameter fails: what is wrong with a history, if anything is.
  /// - Returns: the shortest that was found, and what is wrong with it.
  func shrink(
    _ history: CrashHistory, _ problem: CrashProblem, fails: (CrashHistory) -> CrashProblem?
  ) -> (CrashHistory, CrashProblem) {
    let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
    var best = history
    var found = problem
    func attempt(_ candidate: CrashHistory) -> Bool {
      guard candidate != best else { return false }
      for _ in 0..<repetitions where monotonicNanoseconds() < end {
        if let problem = fails(candidate), problem.kind == found.kind {
          best = candidate
          found = problem
          return true
        }
      }
      return false
    }
    var isShorter = true
    while isShorter, monotonicNanoseconds() < end {
      isShorter = false
      for candidate in Self.shorter(best) where attempt(candidate) {
        isShorter = true
        break
      }
    }
    return (best, found)
  }

  /// Histories with a little less in them, those with much less first.
  private static func shorter(_ history: CrashHistory) -> [CrashHistory] {
    var all: [CrashHistory] = []
    func add(_ change: (inout CrashHistory) -> Void) {
      var other = history
      change(&other)
      if other != history { all.append(other) }
    }
    for thread in history.threads.indices { add { $0.threads.remove(at: thread) } }
    for call in history.calls.indices.reversed() { add { $0.calls.remove(at: call) } }
    for thread in history.threads.indices {
      for call in history.threads[thread].indices.reversed() { add { $0.threads[thread].remove(at: call) } }
    }
    // One after the other instead of at the same time.
    for thread in history.threads.indices where !history.threads[thread].isEmpty {
      add { $0.calls.append($0.threads[thread].removeFirst()) }
    }
    for place in history.open.indices where history.open.count > 1 { add { $0.open.remove(at: place) } }
    for (_, ability) in CrashHistory.Abilities.letters { add { $0.abilities.remove(ability) } }
    add { $0.cuts = [64, 128, 192] }
    add { $0.isShared = false }
    add { $0.room = nil }
    for file in history.sizes.indices {
      for size in [0, 4, 8] where size < history.sizes[file] { add { $0.sizes[file] = size } }
    }
    for call in history.calls.indices {
      for simpler in Self.simpler(history.calls[call]) { add { $0.calls[call] = simpler } }
    }
    for thread in history.threads.indices {
      for call in history.threads[thread].indices {
        for simpler in Self.simpler(history.threads[thread][call]) { add { $0.threads[thread][call] = simpler } }
      }
    }
    return all
  }

  private static func simpler(_ call: CrashCall) -> [CrashCall] {
    var all: [CrashCall] = []
    func set(_ values: [Int: Int]) {
      var other = call
      for (place, value) in values where place < other.arguments.count { other.arguments[place] = value }
      if other != call { all.append(other) }
    }
    switch call.kind {
    case .write, .writeAfter, .outside, .read, .punch, .zero, .allocate, .flush, .borrow:
      let (start, end) = (call[1], call[2])
      // To whole pages, then towards the start.
      if start % 4 != 0 { set([1: start / 4 * 4]) }
      if end % 4 != 0 { set([2: (end + 3) / 4 * 4]) }
      if end - start > 4 { set([2: start + 4]) }
      if start >= 4 { set([1: start - 4, 2: end - 4]) }
    case .resize, .refuse, .evict:
      if call[1] > 0 { set([1: 0]) }
      if call[1] % 4 != 0 { set([1: call[1] / 4 * 4]) }
    case .append: if call[1] > 1 { set([1: call[1] > 4 ? 4 : 1]) }
    case .collapse, .insert:
      if call[1] > 0 { set([1: call[1] - 1]) }
      if call[2] > 1 { set([2: 1]) }
    case .clone, .copy, .exchange, .dedupe:
      if call[2] - call[1] > 4 { set([2: call[1] + 4]) }
      if call[4] >= 4 { set([4: call[4] - 4]) }
      if call[1] >= 4 { set([1: call[1] - 4, 2: call[2] - 4]) }
      if call[1] % 4 != 0 { set([1: call[1] / 4 * 4, 4: call[4] / 4 * 4]) }
    case .fail:
      if call[2] > 0 { set([2: call[2] - 1]) }
      if call[3] == 3 { set([3: 2]) }
    default: break
    }
    return all
  }
}
