import BackingStores
import PageCache
import Primitives
import TestSupport

/// A file and its store as P7 describes them, around the state machine that is tested: `Durability`, with `HoldBacks`
/// beside it.
///
/// The file has a few pages of two cells. A cell holds the number of the write that was there last. The model knows of
/// each cell what the cache has, what the store has, and what is durable. A flush that fails loses any subset of the
/// pages that were given to the store and not flushed. Marks are kept here, as the file keeps them in its index: what
/// they become is asked of the state machine. Steps of several threads come in any order; each step is what a thread
/// does under one hold of the file's lock, or without it.
struct DurabilityMachine {
  static let pageCount = 5
  static let all: ClosedRange<Int> = 0...pageCount - 1
  /// Pages that write-back takes in one batch, at most.
  static let batchPages = 3
  static let dirty = Durability.marksWhenLost.add

  var durability = Durability()
  var holdBacks = HoldBacks<FakePoint>()
  var random: RandomWords
  /// Of eight write-back writes, so many are not made: in a calm run there are pages that owe nothing.
  private let calm: UInt64
  /// Whether stores refuse, and flushes fail.
  var mayFail = true

  // Of each cell, the write that is there. Write 1 was made by a process that has died: no flush tells whether it
  // is durable.
  var cached = [Int](repeating: 1, count: 2 * pageCount)
  var given = [Int](repeating: 1, count: 2 * pageCount)
  var durable = [Int](repeating: 0, count: 2 * pageCount)
  /// The last write.
  var version = 1
  /// Of each write, what it must not reach the store before.
  var pointOfVersion: [FakePoint?] = [nil, nil]

  /// Of each page.
  var marks = [Int](repeating: 0, count: pageCount)
  /// Pages that another process has written and not flushed: they have no mark here, and are not durable.
  var isForeign = [Bool](repeating: true, count: pageCount)

  /// Changes of the store, of any kind; and how many of them a flush has covered, and a flush with all metadata.
  var storeVersion = 1
  var flushedVersion = 0
  var fullyFlushedVersion = 0

  var transfers: [Transferring] = []
  var flushing: Flushing?
  var syncs: [Syncing] = []
  var lastSync = 0
  /// Failures that a sync beside them must tell of.
  var lossCount = 0
  /// Points of this file that are not reached.
  var points: [OwnPoint] = []
  /// Files that pages wait for.
  let others = [OtherFile(number: 1), OtherFile(number: 2)]

  let findings: Findings
  /// How often something of each kind was done.
  var counts = Counts()

  struct Counts {
    var syncs = 0
    var failedSyncs = 0
    var flushes = 0
    var failedFlushes = 0
    var dirtyAfterTransfer = 0
    var passedOver = 0
    var reached = 0
  }

  init(seed: UInt64, traced: Bool = false) {
    random = RandomWords(seed: seed)
    calm = [0, 4, 7, 8][Int(random.next(below: 4))]
    findings = Findings(traced: traced)
  }

  var problem: String? { findings.problem }
  func note(_ text: @autoclosure () -> String) { findings.note(text()) }
  func fail(_ text: @autoclosure () -> String) { findings.fail(text()) }

  mutating func chance(_ one: UInt64, of all: UInt64) -> Bool { random.next(below: all) < one }
  mutating func draw(below bound: Int) -> Int { Int(random.next(below: UInt64(bound))) }

  static let refusal = StoreError(operation: .write, store: "model", cause: .other("drawn"))
}

/// What a machine has done, and what was wrong.
final class Findings {
  /// The first thing that was wrong.
  private(set) var problem: String?
  /// What was done, if that is wanted.
  private(set) var trace: [String]?

  init(traced: Bool) { trace = traced ? [] : nil }

  func note(_ text: @autoclosure () -> String) {
    if trace != nil { trace?.append(text()) }
  }

  func fail(_ text: @autoclosure () -> String) {
    if problem == nil { problem = text() }
  }

  /// The last steps that were done, and what was wrong then.
  func account(seed: UInt64) -> String {
    "\(problem ?? "nothing was wrong") (PAGECACHE_SEED=\(seed))\n\((trace ?? []).suffix(40).joined(separator: "\n"))"
  }
}

/// A file of which only is known how far it is durable.
final class OtherFile: Sendable {
  let number: UInt64
  /// Changes that were made, and that are durable.
  let changes = Word(0)
  let durable = Word(0)
  init(number: UInt64) { self.number = number }
}

struct FakePoint: Reachable {
  let file: OtherFile
  let change: UInt64
  var sourceNumber: UInt64 { file.number }
  var isReached: Bool { file.durable.value >= change }

  func reach() { if !isReached { file.durable.set(change) } }
}

extension DurabilityMachine {
  /// A point of the file: reached when all that it names is durable.
  struct OwnPoint {
    let change: UInt64
    let cells: [Int]
  }

  /// Pages that the store is being given, by one thread that has claimed them.
  struct Transferring {
    enum Kind {
      /// A write-through write of some cells of each page. In place, the pages are marked before.
      case through(cells: Int, version: Int, isInPlace: Bool)
      /// A write-back, by a sync.
      case back(sync: Int)
    }
    enum Stage { case copying(Int), looking, giving, noting, ending, publishing(Durability.Standing) }

    let kind: Kind
    let pages: ClosedRange<Int>
    let transfer: Durability.Transfer
    var stage: Stage
    /// What the store gets, cell by cell, of pages that were copied.
    var copy: [Int] = []
    /// Pages that the store is to get, and has got.
    var kept: Int
    var done = 0
    var isRefused = false
    /// Where write-back goes on.
    var next: Int

    var isThrough: Bool { if case .through = kind { true } else { false } }
  }
}

// MARK: Steps

extension DurabilityMachine {
  mutating func step() {
    switch random.next(below: 16) {
    case 0, 1, 2: if !chance(calm, of: 8) { write() }
    case 3: beginThrough()
    case 4...8: if !transfers.isEmpty { advanceTransfer(draw(below: transfers.count)) }
    case 9: beginSync()
    case 10, 11, 12: if !syncs.isEmpty { advanceSync(draw(below: syncs.count)) }
    case 13, 14: advanceFlush()
    default:
      switch random.next(below: 4) {
      case 0: makePoint()
      case 1: writeByOthers()
      case 2:
        note("the store is made longer")
        noteStoreChange()
      default:
        let file = others[draw(below: others.count)]
        if file.durable.value < file.changes.value { file.durable.set(file.durable.value + 1) }
      }
    }
    check()
  }

  /// Ends all that is under way, with a store that refuses nothing; then nothing is owed.
  mutating func drain() {
    mayFail = false
    func isOver(_ machine: DurabilityMachine) -> Bool {
      machine.transfers.isEmpty && machine.syncs.isEmpty && machine.flushing == nil
    }
    for last in [false, true] {
      if last {
        note("the last sync")
        beginSync(Syncing(dataOnly: chance(1, of: 2)))
      }
      var steps = 0
      while !isOver(self), problem == nil {
        if !transfers.isEmpty { advanceTransfer(draw(below: transfers.count)) }
        if !syncs.isEmpty { advanceSync(draw(below: syncs.count)) }
        advanceFlush()
        check()
        steps += 1
        if steps > 10_000 { fail("what is under way does not end") }
      }
    }
    mayFail = true
    if problem != nil { return }
    if durability.pages != 0 || durability.dirtyPages != 0 || marks.contains(where: { $0 != 0 }) {
      fail("something is owed after a sync that nothing was beside: \(marks)")
    }
    if durable != cached { fail("\(cached) is cached after the last sync, \(durable) is durable") }
    if !durability.isSettled { fail("it is not settled after the last sync") }
    if durability.hasOpenPoints || !points.isEmpty { fail("points are open after the last sync") }
    if !durability.isInTransferNever { fail("something is in transfer after all has ended") }
  }

  /// What must be so at any time.
  mutating func check() {
    let isLossKnown = flushing.map { if case .failed = $0.stage { false } else { true } } ?? true
    var isAllDurable = true
    for page in 0..<Self.pageCount {
      let (first, second) = (2 * page, 2 * page + 1)
      let isDurable = durable[first] == cached[first] && durable[second] == cached[second]
      // What a write-through write has given to the store may be durable before the cache has it.
      if durable[first] < cached[first] || durable[second] < cached[second] { isAllDurable = false }
      if transfers.contains(where: { $0.pages.contains(page) }) { continue }
      if marks[page] & Self.dirty == 0, isLossKnown, given[first] != cached[first] || given[second] != cached[second] {
        fail("page \(page) is not dirty, and the store does not have it")
      }
      if marks[page] == 0, !isForeign[page], !isDurable { fail("page \(page) has no mark, and is not durable") }
    }
    if durability.isSettled, !isAllDurable { fail("it is settled, and not durable") }
    if durability.hasOpenPoints == points.isEmpty {
      fail("\(points.count) points are open, the machine says \(durability.hasOpenPoints)")
    }
  }
}

extension Durability {
  /// Nothing is in transfer.
  fileprivate var isInTransferNever: Bool { !isInTransfer(0...UInt64.max) && !isTransferLeft(upTo: .max) }
}

// MARK: Marks

extension DurabilityMachine {
  /// As `FileCore.changeMarks`.
  mutating func changeMarks(_ page: Int, _ change: Durability.MarkChange) {
    let before = marks[page]
    let after = before & ~change.remove | change.add
    guard before != after else { return }
    marks[page] = after
    if after != 0 { isForeign[page] = false }
    durability.dirtyPages += (after & Self.dirty != 0 ? 1 : 0) - (before & Self.dirty != 0 ? 1 : 0)
    durability.pages += (after != 0 ? 1 : 0) - (before != 0 ? 1 : 0)
  }

  /// As `FileCore.mark`.
  mutating func mark(_ page: Int, as standing: Durability.Standing) {
    if standing == .written { noteStoreChange() }
    changeMarks(page, Durability.marks(for: standing, epoch: durability.epoch))
  }

  mutating func noteStoreChange() {
    storeVersion += 1
    durability.noteStoreChange()
  }

  func isAnyOwed(_ pages: ClosedRange<Int>) -> Bool { pages.contains { marks[$0] != 0 } }

  func range(_ pages: ClosedRange<Int>) -> ClosedRange<UInt64> { UInt64(pages.lowerBound)...UInt64(pages.upperBound) }

  /// Whether a claim on some pages has to wait.
  func isClaimed(_ pages: ClosedRange<Int>, forCacheOnly: Bool = false) -> Bool {
    transfers.contains { (!forCacheOnly || $0.isThrough) && $0.pages.overlaps(pages) }
  }

  mutating func drawPages(most: Int) -> ClosedRange<Int> {
    let first = draw(below: Self.pageCount)
    return first...min(Self.pageCount - 1, first + draw(below: most))
  }
}

// MARK: Writes

extension DurabilityMachine {
  /// A write-back write, which may have to wait for a point of another file.
  mutating func write() {
    let pages = drawPages(most: 2)
    guard !isClaimed(pages, forCacheOnly: true) else { return }
    var point: FakePoint?
    if chance(1, of: 3) {
      let file = others[draw(below: others.count)]
      if chance(2, of: 3) || file.changes.value == 0 { file.changes.set(file.changes.value + 1) }
      point = FakePoint(file: file, change: file.changes.value)
    }
    if let point, !point.isReached {
      if holdBacks.patience(for: range(pages)) > 0 {
        guard chance(1, of: 8) else { return }
        holdBacks.giveUpWaiting(for: range(pages))
      }
      // Others wait for the page as it is.
      if durability.hasOpenPoints, isAnyOwed(pages) { point.reach() }
    }
    let isHeld = point.map { !$0.isReached } ?? false
    // What is dirty waits as well from now on; not what the store has.
    let isAnyDirty = pages.contains { marks[$0] & Self.dirty != 0 }
    let since = isHeld && isAnyDirty ? durability.durableChanges : durability.changes
    let wasOwed = isAnyOwed(pages)
    version += 1
    pointOfVersion.append(isHeld ? point : nil)
    let cells = 1 + draw(below: 3)
    note("write \(version): cells \(cells) of \(pages)\(isHeld ? ", held back" : "")")
    for page in pages {
      change(page, cells: cells, to: version)
      mark(page, as: .dirty)
    }
    durability.noteChange()
    if isHeld, let point {
      for page in pages { holdBacks.add(UInt64(page), until: point, since: since, wasOwed: wasOwed, lengthBefore: nil) }
    }
  }

  mutating func change(_ page: Int, cells: Int, to version: Int) {
    for cell in 0..<2 where cells & 1 << cell != 0 { cached[2 * page + cell] = version }
  }

  mutating func beginThrough() {
    let pages = drawPages(most: 3)
    guard !isClaimed(pages) else { return }
    version += 1
    pointOfVersion.append(nil)
    let isInPlace = chance(1, of: 2)
    let cells = 1 + draw(below: 3)
    note("write \(version), through\(isInPlace ? " and in place" : ""): cells \(cells) of \(pages) begins")
    if isInPlace { for page in pages { mark(page, as: .written) } }
    transfers.append(
      Transferring(
        kind: .through(cells: cells, version: version, isInPlace: isInPlace), pages: pages,
        transfer: durability.beginTransfer(range(pages)), stage: .giving, kept: pages.count, next: 0))
  }

  /// Others have written a page, with nothing of it owed or under way, and the cache reads it anew.
  mutating func writeByOthers() {
    let page = draw(below: Self.pageCount)
    guard marks[page] == 0, !isClaimed(page...page), !isForeign[page] else { return }
    version += 1
    pointOfVersion.append(nil)
    note("write \(version), by others: page \(page)")
    for cell in 2 * page...2 * page + 1 {
      cached[cell] = version
      given[cell] = version
    }
    isForeign[page] = true
    storeVersion += 1
    durability.forgetWhatIsDurable()
  }

  mutating func makePoint() {
    let change = durability.makePoint()
    note("point \(change)")
    points.append(OwnPoint(change: change, cells: cached))
    reached()
  }

  /// What is said to be reached must be durable.
  mutating func reached() {
    for point in points where point.change <= durability.durableChanges {
      counts.reached += 1
      if let cell = durable.indices.first(where: { durable[$0] < point.cells[$0] }) {
        fail("point \(point.change) is reached, and write \(point.cells[cell]) in cell \(cell) is not durable")
      }
    }
    points.removeAll { $0.change <= durability.durableChanges }
  }
}
