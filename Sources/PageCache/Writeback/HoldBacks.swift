/// Something that may be durable by now.
package protocol Reachable: Sendable {
  var isReached: Bool { get }
  /// What it is a point of.
  var sourceNumber: UInt64 { get }
  /// How far.
  var change: UInt64 { get }
}

/// Pages of a file that may not be given to its store yet, because points of other files have to be durable before. The file's lock guards it.
package struct HoldBacks<Point: Reachable>: Sendable {
  package struct HoldBack: Sendable {
    /// Of each other file, the furthest point.
    package fileprivate(set) var points: [Point]
    /// Changes of the file that do not wait for this page: none later than this.
    package fileprivate(set) var since: UInt64
    /// Whether the page was dirty, or written and not flushed, when it was first held back.
    let wasOwed: Bool
    /// How long the file was before it grew by bytes that are held back; nil if it has not.
    package fileprivate(set) var lengthBefore: Int64?

    package var isOver: Bool { points.allSatisfy(\.isReached) }
  }

  /// What a write-back has passed over.
  package struct PassedOver: Sendable {
    /// Changes up to this one are to be given to the store.
    package let target: UInt64
    /// Later changes are not given.
    package private(set) var since: UInt64 = .max
    /// The same, of pages that are not due.
    package private(set) var laterSince: UInt64 = .max
    /// Pages that hold back what is to be given. In no order, and some perhaps twice.
    package private(set) var due: [UInt64] = []
    /// What they wait for: of each other file, the furthest point.
    package private(set) var points: [UInt64: Point] = [:]

    package init(upTo target: UInt64 = .max) { self.target = target }

    package var isEmpty: Bool { since == .max }

    package mutating func add(_ page: UInt64, _ holdBack: HoldBack) {
      since = min(since, holdBack.since)
      guard holdBack.since < target else {
        laterSince = min(laterSince, holdBack.since)
        return
      }
      due.append(page)
      for point in holdBack.points where !point.isReached {
        if points[point.sourceNumber].map({ $0.change < point.change }) ?? true {
          points[point.sourceNumber] = point
        }
      }
    }
  }

  private var pages: [UInt64: HoldBack] = [:]
  private var rounds: [Round] = []
  private var lastRound: UInt64 = 0
  /// Writers that wait for a round.
  package var waitingWriters = 0

  package init() {}

  package var isEmpty: Bool { pages.isEmpty }

  /// Holds a page back.
  /// - Parameters:
  ///   - since: changes that do not wait for it: none later than this.
  ///   - wasOwed: the page is dirty, or written and not flushed, before this change.
  ///   - lengthBefore: how long the file was, if its new length is held back as well.
  package mutating func add(
    _ page: UInt64, until point: Point, since: UInt64, wasOwed: Bool, lengthBefore: Int64?
  ) {
    guard var known = pages[page] else {
      pages[page] = HoldBack(points: [point], since: since, wasOwed: wasOwed, lengthBefore: lengthBefore)
      return
    }
    if let place = known.points.firstIndex(where: { $0.sourceNumber == point.sourceNumber }) {
      if known.points[place].change < point.change { known.points[place] = point }
    } else {
      known.points.append(point)
    }
    if known.lengthBefore == nil { known.lengthBefore = lengthBefore }
    pages[page] = known
  }

  /// Pages are dirty again with what was written before they were held back: that waits as well from now on.
  ///
  /// Of a page that owed nothing when it was held back, all that came before is durable, and stays so. If it waited as
  /// well, two files could come to wait for each other: others may be waiting for those changes (`waitsForItself`).
  /// - Parameters:
  ///   - since: changes that do not wait for them.
  ///   - isAnyLost: also what was durable may be lost.
  package mutating func lowerSince(_ range: ClosedRange<UInt64>, to since: UInt64, isAnyLost: Bool = false) {
    guard !pages.isEmpty else { return }
    for page in range {
      if let known = pages[page], known.since > since, known.wasOwed || isAnyLost { pages[page]?.since = since }
    }
  }

  /// Forgets a page: its bytes are gone, or are being given to the store.
  package mutating func remove(_ page: UInt64) { if !pages.isEmpty { pages[page] = nil } }

  package mutating func removeAll() { pages = [:] }

  /// Whether any of some pages has to wait; what it waits for is added.
  package func isHeld(_ range: ClosedRange<UInt64>, into passedOver: inout PassedOver) -> Bool {
    var isHeld = false
    forEachHeld(in: range) {
      passedOver.add($0, $1)
      isHeld = true
    }
    return isHeld
  }

  /// Whether any of some pages has to wait.
  package func isHeld(_ range: ClosedRange<UInt64>) -> Bool {
    var isHeld = false
    forEachHeld(in: range) { _, _ in isHeld = true }
    return isHeld
  }

  private func forEachHeld(in range: ClosedRange<UInt64>, _ body: (UInt64, HoldBack) -> Void) {
    guard !pages.isEmpty else { return }
    if range.count <= pages.count {
      for page in range { if let holdBack = pages[page], !holdBack.isOver { body(page, holdBack) } }
    } else {
      for (page, holdBack) in pages where range.contains(page) && !holdBack.isOver { body(page, holdBack) }
    }
  }

  /// How long the store may be made: what lies behind that is held back.
  package func allowedLength(_ length: Int64) -> Int64 {
    pages.values.reduce(length) { $1.lengthBefore != nil && !$1.isOver ? min($0, $1.lengthBefore ?? $0) : $0 }
  }
}

// A sync makes durable what was written before it began, and no more. It learns what the held pages wait for, makes that durable, and then gives the pages to the store. A
// writer that goes on holding the same page back, each time until a newer point, would keep it from that for ever. So while such a *round* is under way, a writer does not
// put off a page once more that the round is to write: it waits until the round has taken the page.
extension HoldBacks {
  private struct Round {
    let number: UInt64
    let pages: ClosedRange<UInt64>
    /// Held back since before this change: the round is to write it.
    let end: UInt64
    /// No page may be held back anew either.
    let isExclusive: Bool
    /// How long a writer waits for it: nanoseconds; none, once one has waited in vain.
    var patience = HoldBacks.firstPatience
    /// The same for its next pass.
    var nextPatience = HoldBacks.firstPatience * 4

    init(number: UInt64, pages: ClosedRange<UInt64>, end: UInt64, isExclusive: Bool) {
      self.number = number
      self.pages = pages
      self.end = end
      self.isExclusive = isExclusive
    }
  }

  private static var firstPatience: UInt64 { 100_000_000 }

  /// Begins a round.
  /// - Parameters:
  ///   - end: it is for what was held back before this change.
  ///   - isExclusive: until it ends, no other page among them is to be held back.
  /// - Returns: its number.
  package mutating func beginRound(_ pages: ClosedRange<UInt64>, upTo end: UInt64, isExclusive: Bool = false) -> UInt64
  {
    lastRound += 1
    rounds.append(Round(number: lastRound, pages: pages, end: end, isExclusive: isExclusive))
    return lastRound
  }

  /// A round goes over its pages once more. Writers wait for it again, and longer.
  package mutating func renewRound(_ number: UInt64) {
    guard let place = rounds.firstIndex(where: { $0.number == number }) else { return }
    rounds[place].patience = rounds[place].nextPatience
    rounds[place].nextPatience = min(rounds[place].nextPatience * 4, 1 << 40)
  }

  package mutating func endRound(_ number: UInt64) { rounds.removeAll { $0.number == number } }

  private func standsAgainst(_ round: Round, _ range: ClosedRange<UInt64>) -> Bool {
    guard round.patience > 0, round.pages.overlaps(range) else { return false }
    if round.isExclusive { return true }
    return !pages.isEmpty
      && range.clamped(to: round.pages).contains { page in pages[page].map { $0.since < round.end } ?? false }
  }

  /// How long a writer waits for rounds that stand against holding some pages back: nanoseconds; 0 if none does.
  package func patience(for range: ClosedRange<UInt64>) -> UInt64 {
    rounds.reduce(0) { standsAgainst($1, range) ? max($0, $1.patience) : $0 }
  }

  /// A writer has waited for these rounds in vain: no other waits for them before they are renewed.
  package mutating func giveUpWaiting(for range: ClosedRange<UInt64>) {
    for place in rounds.indices where standsAgainst(rounds[place], range) { rounds[place].patience = 0 }
  }
}
