import PageCacheBenchmarking
import TestSupport
import Testing

/// That the check after a crash finds what is missing, and allows what is allowed.
// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct CrashTests {
  /// A file of 8 pages, and changes after it: a write over two pages, a new size, a write at the end.
  private let base: StampedState
  private let changes: [StampedChange] = [
    .write(file: 0, cells: 100..<200), .resize(file: 0, cells: 300), .write(file: 0, cells: 290..<400),
  ]

  init() {
    var state = StampedState(group: 1, files: 2, phase: 0)
    state.apply(.write(file: 0, cells: 0..<512))
    state.apply(.write(file: 1, cells: 0..<64))
    base = state
  }

  private func state(after count: Int) -> StampedState {
    var state = base
    for change in changes.prefix(count) { state.apply(change) }
    return state
  }

  private func violation(_ bytes: [UInt8], safe: Int, begun: Int) -> String? {
    CrashCheck.violation(
      bytes, file: 0, after: state(after: safe), changes: Array(changes[safe..<begun]))
  }

  @Test func everyStateBetweenIsAllowed() {
    for safe in 0...3 {
      for begun in safe...3 {
        for left in 0...3 {
          let isAllowed = (safe...begun).contains(left)
          let what = violation(state(after: left).contents(0), safe: safe, begun: begun)
          #expect((what == nil) == isAllowed, "\(safe)...\(begun), left \(left): \(what ?? "nothing")")
        }
      }
    }
  }

  @Test func aChangeUnderWayMayBeThereInPart() {
    var bytes = base.contents(0)
    let new = state(after: 1).contents(0)
    // The second of its two pages.
    bytes.replaceSubrange(8192..<12288, with: new[8192..<12288])
    #expect(violation(bytes, safe: 0, begun: 1) == nil)
    #expect(violation(bytes, safe: 1, begun: 1) != nil)
    // Half a page.
    bytes.replaceSubrange(8192..<10240, with: base.contents(0)[8192..<10240])
    #expect(violation(bytes, safe: 0, begun: 1) != nil)
  }

  @Test func theLayoutGoesInItsOrder() {
    // The write behind the new size without the size; the size without the write before it.
    #expect(violation(base.contents(0), safe: 2, begun: 3) != nil)
    var early = base
    early.apply(changes[1])
    #expect(violation(early.contents(0), safe: 0, begun: 3) == nil)
    #expect(violation(early.contents(0), safe: 1, begun: 3) != nil)
  }

  @Test func aLayoutThatWasReachedHadItsSize() {
    // Collapsing needs the pages that an append has made, whether or not their bytes are there.
    let tail: [StampedChange] = [.write(file: 0, cells: 512..<1024), .collapse(file: 0, cells: 576..<640)]
    var without = base
    without.apply(.resize(file: 0, cells: 1024))
    without.apply(tail[1])
    #expect(CrashCheck.violation(without.contents(0), file: 0, after: base, changes: tail) == nil)
    #expect(CrashCheck.violation(base.contents(0), file: 0, after: base, changes: tail) == nil)
    without.apply(.resize(file: 0, cells: 1000))
    #expect(CrashCheck.violation(without.contents(0), file: 0, after: base, changes: tail) != nil)
  }

  @Test func aHoleWithoutTheWriteBeforeItIsFoundAndNamed() {
    let changes: [StampedChange] = [
      .write(file: 0, cells: 64..<128), .zero(file: 0, cells: 100..<128, isGrowing: false),
    ]
    var left = base
    left.apply(changes[1])
    func violation(_ holesOvertake: Bool) -> String? {
      CrashCheck.violation(left.contents(0), file: 0, after: base, changes: changes, holesOvertake: holesOvertake)
    }
    #expect(violation(false) != nil)
    #expect(violation(true) == nil)
    // The same where the write had made the file longer.
    let longer: [StampedChange] = [
      .write(file: 0, cells: 500..<1024), .zero(file: 0, cells: 100..<128, isGrowing: false),
    ]
    for isHoleThere in [false, true] {
      var left = base
      if isHoleThere { left.apply(longer[1]) }
      #expect(
        CrashCheck.violation(left.contents(0), file: 0, after: base, changes: longer, holesOvertake: true) == nil)
    }
    // A write that is lost for good is not explained by it.
    #expect(
      CrashCheck.violation(left.contents(0), file: 0, after: left, changes: [changes[0]], holesOvertake: true) == nil)
    var synced = base
    for change in changes { synced.apply(change) }
    #expect(CrashCheck.violation(left.contents(0), file: 0, after: synced, changes: [], holesOvertake: true) != nil)
  }

  @Test func aCollapseUnderWayMayHaveTheOldSize() {
    let change = [StampedChange.collapse(file: 0, cells: 64..<128)]
    var moved = base
    moved.apply(change[0])
    moved.apply(.resize(file: 0, cells: 512))
    func violation(_ isUnderWay: Bool) -> String? {
      CrashCheck.violation(moved.contents(0), file: 0, after: base, changes: change, isUnderWay: isUnderWay)
    }
    #expect(violation(true) == nil)
    #expect(violation(false) != nil)
  }

  @Test func aFileGrowsByWholePages() {
    let end = state(after: 3).contents(0)
    #expect(violation(Array(end.prefix(20480)), safe: 2, begun: 3) == nil)
    #expect(violation(Array(end.prefix(20480 + 64)), safe: 2, begun: 3) != nil)
    #expect(violation(end + [UInt8](repeating: 0, count: 4096), safe: 2, begun: 3) != nil)
  }

  @Test func foreignAndTornCellsAreFound() {
    var bytes = state(after: 3).contents(0)
    bytes[1000] ^= 1
    #expect(violation(bytes, safe: 3, begun: 3)?.contains("two writes") == true)
    bytes = state(after: 3).contents(0)
    bytes.replaceSubrange(0..<64, with: base.contents(1)[0..<64])
    #expect(violation(bytes, safe: 0, begun: 3) != nil)
  }

  @Test func logsSayWhatWasDone() {
    func entry(_ kind: UInt8, _ file: UInt8, _ version: UInt8) -> [UInt8] {
      [kind, file, 0, 0, 0, 0, 0, 0, version, 0, 0, 0, 0, 0, 0, 0]
    }
    // Begin 1, end 1, sync of file 1 begins, begin 2, sync returns, end 2, sync begins and does not return, begin 3.
    let log =
      entry(1, 0, 1) + entry(2, 0, 1) + entry(3, 1, 1) + entry(1, 0, 2) + entry(4, 1, 1) + entry(2, 0, 2)
      + entry(3, 0, 2)
      + entry(1, 0, 3)
    let account = CrashAccount(log, files: 2)
    #expect(account.begun == 3 && account.ended == 2 && account.synced == [0, 1] && account.syncs == 1)
    #expect(!account.isRefused)
    #expect(CrashAccount(log + entry(9, 0, 0) + entry(2, 0, 3).prefix(7), files: 2) == account)
  }

  /// What starts a process to be killed. The program lies beside the tests.
  static func command(_ load: CrashLoad, _ durability: CrashDurability, target: String) -> [String] {
    let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
    let directory = bundle.split(separator: "/", omittingEmptySubsequences: false).prefix { !$0.hasSuffix(".xctest") }
    return [
      directory.joined(separator: "/") + "/pagecache", "crash-child", "--seed", "\(load.seed)", "--path", load.path,
      "--durability", durability.rawValue, "--target", target,
    ]
  }

  /// The kernel keeps what it was given, whoever dies.
  @Test(arguments: CrashDurability.allCases) func whatTheKernelHasOutlivesTheProcess(durability: CrashDurability) throws
  {
    try withTemporaryDirectory { directory in
      var crash = CrashRounds(
        path: directory.appending("file").string, durability: durability,
        command: { CrashTests.command($0, durability, target: "pread") },
        target: { _ in try KernelTarget(probing: directory.appending("file")) })
      crash.rounds = 5
      crash.milliseconds = 50
      let report = try crash.run()
      #expect(
        report.rounds == 5 && report.violations == 0 && report.changes > 0, "\(report.lines.joined(separator: "\n"))")
    }
  }
}
