import PageCache
import Primitives
import TestSupport
import Testing

/// `HoldBacks`, alone: random steps against a plain description of what waits for what.
@Suite struct HoldBacksMachineTests {
  private static let stepsOfSeed = 500

  private static func run(seed: UInt64, traced: Bool = false) -> HoldBacksMachine {
    var machine = HoldBacksMachine(seed: seed, traced: traced)
    for _ in 0..<stepsOfSeed where machine.problem == nil { machine.step() }
    return machine
  }

  @Test func randomStepsKeepWhatIsPromised() {
    var counts = HoldBacksMachine.Counts()
    for number in 0..<UInt64(DurabilityMachineTests.steps / Self.stepsOfSeed) {
      let seed = testSeed &+ number
      let machine = Self.run(seed: seed)
      counts.add(machine.counts)
      guard machine.problem != nil else { continue }
      Issue.record("\(Self.run(seed: seed, traced: true).findings.account(seed: seed))")
      return
    }
    // What is never done is not tested.
    for (name, count) in counts.all {
      #expect(count > DurabilityMachineTests.steps / 1000, "\(name): \(counts.all)")
    }
  }
}

/// Pages that wait for points, with everything written down and nothing summed up: for each page every point that it
/// was held back for.
private struct HoldBacksMachine {
  struct Counts {
    var given = 0
    var held = 0
    var waits = 0
    var goesOn = 0
    var shortLengths = 0

    var all: [(name: String, count: Int)] {
      [
        ("pages given", given), ("ranges held", held), ("writers that wait", waits), ("writers that do not", goesOn),
        ("lengths that are held back", shortLengths),
      ]
    }

    mutating func add(_ other: Self) {
      given += other.given
      held += other.held
      waits += other.waits
      goesOn += other.goesOn
      shortLengths += other.shortLengths
    }
  }

  private struct Held {
    let point: FakePoint
    let since: UInt64
    let wasOwed: Bool
    let lengthBefore: Int64?
  }

  private struct Round {
    let number: UInt64
    let pages: ClosedRange<UInt64>
    let end: UInt64
    let isExclusive: Bool
    var isLate = false
  }

  private static let pageCount: UInt64 = 12

  private var holdBacks = HoldBacks<FakePoint>()
  private var random: RandomWords
  private let others = (1...3).map { OtherFile(number: $0) }
  /// Of each page, in the order in which they were added, until the page is given or forgotten.
  private var held = [[Held]](repeating: [], count: Int(pageCount))
  private var rounds: [Round] = []
  private var change: UInt64 = 0
  var counts = Counts()
  let findings: Findings

  init(seed: UInt64, traced: Bool = false) {
    random = RandomWords(seed: seed)
    findings = Findings(traced: traced)
  }

  var problem: String? { findings.problem }
  private func note(_ text: @autoclosure () -> String) { findings.note(text()) }
  private func fail(_ text: @autoclosure () -> String) { findings.fail(text()) }

  private mutating func drawPages() -> ClosedRange<UInt64> {
    let first = random.next(below: Self.pageCount)
    return first...min(Self.pageCount - 1, first + random.next(below: random.next(below: 3) == 0 ? Self.pageCount : 2))
  }

  mutating func step() {
    switch random.next(below: 12) {
    case 0...4: hold()
    case 5, 6: give()
    case 7:
      let file = others[Int(random.next(below: 3))]
      let open = file.changes.value - file.durable.value
      file.durable.set(file.durable.value + (random.next(below: 2) == 0 ? open : random.next(below: open + 1)))
      note("file \(file.number) is durable up to \(file.durable.value)")
    case 8 where random.next(below: 3) == 0:
      let pages = drawPages()
      let since = change - random.next(below: min(8, change + 1))
      let isAnyLost = random.next(below: 4) == 0
      note("\(pages) wait since \(since), if not longer\(isAnyLost ? "; what was durable is lost" : "")")
      holdBacks.lowerSince(pages, to: since, isAnyLost: isAnyLost)
      for page in pages {
        guard let first = held[Int(page)].first, first.since > since, first.wasOwed || isAnyLost else { continue }
        held[Int(page)][0] = Held(
          point: first.point, since: since, wasOwed: first.wasOwed, lengthBefore: first.lengthBefore)
      }
    case 8:
      let page = random.next(below: Self.pageCount)
      note("page \(page) is forgotten")
      holdBacks.remove(page)
      held[Int(page)] = []
      if random.next(below: 50) == 0 {
        note("all pages are forgotten")
        holdBacks.removeAll()
        for page in held.indices { held[page] = [] }
      }
    case 9: if rounds.count < 3 { beginRound() }
    case 10:
      if rounds.isEmpty { break }
      let number = Int(random.next(below: UInt64(rounds.count)))
      note("round \(rounds[number].number) ends")
      holdBacks.endRound(rounds[number].number)
      rounds.remove(at: number)
    default:
      if rounds.isEmpty { break }
      let number = Int(random.next(below: UInt64(rounds.count)))
      note("round \(rounds[number].number) goes on")
      holdBacks.renewRound(rounds[number].number)
      rounds[number].isLate = false
    }
    check()
  }

  private mutating func hold() {
    let page = random.next(below: Self.pageCount)
    // A writer that has to wait goes on only when no writer waits any longer.
    if isAwaited(page...page), random.next(below: 4) > 0 {
      note("writers wait no longer")
      holdBacks.giveUpWaiting(for: page...page)
      for number in rounds.indices where standsAgainst(rounds[number], page...page) { rounds[number].isLate = true }
    }
    let file = others[Int(random.next(below: 3))]
    if random.next(below: 2) == 0 { file.changes.set(file.changes.value + 1) }
    // Also an earlier point than one that is known.
    let point = FakePoint(file: file, change: file.changes.value - random.next(below: min(3, file.changes.value + 1)))
    let since = change - random.next(below: min(4, change + 1))
    let lengthBefore = random.next(below: 3) == 0 ? Int64(random.next(below: 100)) : nil
    change += 1
    note("page \(page) waits for \(point.change) of file \(file.number), since \(since), length \(lengthBefore ?? -1)")
    let wasOwed = random.next(below: 2) == 0
    holdBacks.add(page, until: point, since: since, wasOwed: wasOwed, lengthBefore: lengthBefore)
    held[Int(page)].append(Held(point: point, since: since, wasOwed: wasOwed, lengthBefore: lengthBefore))
  }

  /// What write-back does.
  private mutating func give() {
    var passedOver = HoldBacks<FakePoint>.PassedOver()
    for page in drawPages() where !holdBacks.isHeld(page...page, into: &passedOver) {
      note("page \(page) is given")
      counts.given += 1
      if waits(page) { fail("page \(page) is given, and waits for a point") }
      holdBacks.remove(page)
      held[Int(page)] = []
    }
  }

  private mutating func beginRound() {
    let pages = drawPages()
    let end = change - random.next(below: min(8, change + 1))
    let isExclusive = random.next(below: 6) == 0
    let number = holdBacks.beginRound(pages, upTo: end, isExclusive: isExclusive)
    note("round \(number) of \(pages) up to \(end)\(isExclusive ? ", exclusive" : "")")
    if rounds.contains(where: { $0.number == number }) { fail("two rounds have number \(number)") }
    rounds.append(Round(number: number, pages: pages, end: end, isExclusive: isExclusive))
  }

  // MARK: The plain description

  private func waits(_ page: UInt64) -> Bool { held[Int(page)].contains { !$0.point.isReached } }

  /// Held back, whether or not that is over.
  private func firstSince(_ page: UInt64) -> UInt64? { held[Int(page)].first?.since }

  private func isAwaited(_ pages: ClosedRange<UInt64>) -> Bool { rounds.contains { standsAgainst($0, pages) } }

  private func standsAgainst(_ round: Round, _ pages: ClosedRange<UInt64>) -> Bool {
    !round.isLate && round.pages.overlaps(pages)
      && (round.isExclusive
        || pages.contains { page in round.pages.contains(page) && (firstSince(page).map { $0 < round.end } ?? false) })
  }

  private mutating func check() {
    let pages = drawPages()
    let waiting = pages.filter { waits($0) }
    let target = change - random.next(below: min(8, change + 1))
    var passedOver = HoldBacks<FakePoint>.PassedOver(upTo: target)
    let isHeld = holdBacks.isHeld(pages, into: &passedOver)
    if isHeld { counts.held += 1 }
    if isHeld == waiting.isEmpty || holdBacks.isHeld(pages) != isHeld || passedOver.isEmpty == isHeld {
      fail("\(waiting) of \(pages) wait, the machine says \(isHeld)")
    }
    let since = waiting.compactMap { firstSince($0) }.min() ?? .max
    if passedOver.since != since { fail("\(pages): since \(since), the machine says \(passedOver.since)") }
    let due = waiting.filter { firstSince($0).map { $0 < target } ?? false }
    if Set(passedOver.due) != Set(due) { fail("\(due) of \(pages) are due, the machine says \(passedOver.due)") }
    let laterSince = waiting.compactMap { firstSince($0) }.filter { $0 >= target }.min() ?? .max
    if passedOver.laterSince != laterSince {
      fail("\(pages): later ones since \(laterSince), the machine says \(passedOver.laterSince)")
    }
    var points: [UInt64: UInt64] = [:]
    for one in due.flatMap({ held[Int($0)] }) where !one.point.isReached {
      points[one.point.sourceNumber] = max(points[one.point.sourceNumber] ?? 0, one.point.change)
    }
    if passedOver.points.mapValues(\.change) != points {
      fail("\(pages) wait for \(points), the machine says \(passedOver.points.mapValues(\.change))")
    }
    if holdBacks.isEmpty != held.allSatisfy(\.isEmpty) { fail("that no page is held is \(holdBacks.isEmpty)") }
    let length = Int64(random.next(below: 120))
    var allowed = length
    for page in 0..<Self.pageCount where waits(page) {
      // The first one counts: the file had that length before bytes of the page made it longer.
      if let before = held[Int(page)].compactMap(\.lengthBefore).first { allowed = min(allowed, before) }
    }
    if allowed < length { counts.shortLengths += 1 }
    if holdBacks.allowedLength(length) != allowed {
      fail("of \(length), \(allowed) is allowed, the machine says \(holdBacks.allowedLength(length))")
    }
    let isAwaited = isAwaited(pages)
    if isAwaited { counts.waits += 1 } else if !rounds.isEmpty { counts.goesOn += 1 }
    if (holdBacks.patience(for: pages) > 0) != isAwaited {
      fail("writers of \(pages) wait: \(isAwaited), the machine disagrees")
    }
  }
}
