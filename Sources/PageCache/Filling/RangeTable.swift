import Primitives

/// Who works on which pages of one file: the file's range lock. Expects its owner's lock held.
///
/// First come, first served: a claim is granted when it agrees with every claim that came before it and is still there. So a wide claim is not
/// starved by many small ones. A few claims at a time: a list, searched from its start.
struct RangeTable {
  enum Mode: UInt8, Sendable {
    /// Reads slowly, or keeps what is read from changing.
    case reading
    /// Takes what is dirty to the store. Does not mind changes in the cache meanwhile: they make it dirty again.
    case writingBack
    /// Changes the cache, and leaves the store alone.
    case changingCache
    /// Changes the store and the cache: a write-through, a structural operation.
    case changingStore

    ///                    reading  writingBack  changingCache  changingStore
    /// reading               +          +             -              -
    /// writingBack           +          -             +              -
    /// changingCache         -          +             -              -
    /// changingStore         -          -             -              -
    @inline(__always)
    func agrees(with other: Mode) -> Bool {
      guard keeps(.claimsExclude) else { return true }
      switch (self, other) {
      case (.reading, .reading), (.reading, .writingBack), (.writingBack, .reading): return true
      case (.writingBack, .changingCache), (.changingCache, .writingBack): return true
      default: return false
      }
    }

    /// Whether fills of the same pages must be over, and none may begin.
    @inline(__always)
    var excludesFills: Bool { keeps(.claimsExclude) && (self == .changingCache || self == .changingStore) }
  }

  struct Claim {
    let number: UInt64
    let first: UInt64
    let last: UInt64
    let mode: Mode
    var isGranted: Bool
    /// For a task that waits: called without the lock once it is granted. A thread waits on the lock's condition instead.
    var granted: (@Sendable () -> Void)?

    @inline(__always)
    func isInTheWay(first: UInt64, last: UInt64, mode: Mode) -> Bool {
      self.first <= last && first <= self.last && !self.mode.agrees(with: mode)
    }
  }

  private(set) var claims: [Claim] = []
  private var lastNumber: UInt64 = 0

  init() { claims.reserveCapacity(16) }

  var isEmpty: Bool { claims.isEmpty }
  /// The number that the next claim gets.
  var nextNumber: UInt64 { lastNumber + 1 }
  /// Claims that are not granted yet.
  private(set) var waitingCount = 0

  /// Whether something that is there, granted or waiting, is in the way.
  @inline(__always)
  func isBlocked(first: UInt64, last: UInt64, mode: Mode) -> Bool {
    for claim in claims where claim.isInTheWay(first: first, last: last, mode: mode) { return true }
    return false
  }

  /// Whether something that has been granted is in the way.
  func isHeldAgainst(first: UInt64, last: UInt64, mode: Mode) -> Bool {
    claims.contains { $0.isGranted && $0.isInTheWay(first: first, last: last, mode: mode) }
  }

  /// Adds a claim at the end of the line, or, `isUrgent`, at its head: for someone who already holds a claim that those in line may be waiting for.
  mutating func add(
    first: UInt64, last: UInt64, mode: Mode, isGranted: Bool, isUrgent: Bool = false,
    granted: (@Sendable () -> Void)? = nil
  ) -> UInt64 {
    lastNumber += 1
    let claim = Claim(
      number: lastNumber, first: first, last: last, mode: mode, isGranted: isGranted, granted: granted)
    if !isGranted { waitingCount += 1 }
    if isUrgent {
      // Behind what has been granted, before whoever waits.
      let place = claims.firstIndex { !$0.isGranted } ?? claims.endIndex
      claims.insert(claim, at: place)
    } else {
      claims.append(claim)
    }
    return lastNumber
  }

  func isGranted(_ number: UInt64) -> Bool { claims.first { $0.number == number }?.isGranted ?? false }

  mutating func remove(_ number: UInt64) {
    guard let place = claims.firstIndex(where: { $0.number == number }) else {
      preconditionFailure("a range is let go twice")
    }
    if !claims[place].isGranted { waitingCount -= 1 }
    claims.remove(at: place)
  }

  /// Grants what nothing is in the way of any more.
  /// - Parameter hasFills: whether a fill of some page of a range is under way.
  /// - Returns: whom to call, without the lock; and whether a thread may be waiting for the condition.
  mutating func grant(
    hasFills: (_ first: UInt64, _ last: UInt64) -> Bool
  ) -> (calls: [@Sendable () -> Void], threads: Bool) {
    guard waitingCount > 0 else { return ([], false) }
    var calls: [@Sendable () -> Void] = []
    var threads = false
    for place in claims.indices where !claims[place].isGranted {
      let claim = claims[place]
      if claim.mode.excludesFills, hasFills(claim.first, claim.last) { continue }
      if claims[..<place].contains(where: {
        $0.isInTheWay(first: claim.first, last: claim.last, mode: claim.mode)
      }) {
        continue
      }
      claims[place].isGranted = true
      waitingCount -= 1
      if let call = claim.granted { calls.append(call) } else { threads = true }
    }
    return (calls, threads)
  }
}
