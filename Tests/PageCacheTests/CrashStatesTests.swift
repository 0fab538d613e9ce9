import PageCacheBenchmarking
import Primitives
import TestSupport
import Testing

/// Short histories against all that a crash can leave: that there is nothing wrong, and that what is wrong is found.
// What is looked for is no data race, and a sanitizer leaves too little time.
@Suite(.serialized, .enabled(if: !isSanitized)) struct CrashStatesTests {
  private func states(seconds: Double, threads: Int = 1, plant: CrashPlant = .none) -> CrashStates {
    var states = CrashStates()
    states.seconds = seconds
    states.threads = threads
    states.seed = testSeed
    states.plant = plant
    return states
  }

  private func run(_ states: CrashStates) throws -> (report: CrashStatesReport, text: String) {
    var lines: [String] = []
    let report = try states.run(progress: { _ in }, found: { lines += $0.lines })
    return (report, (report.lines + lines + ["PAGECACHE_SEED=\(testSeed)"]).joined(separator: "\n"))
  }

  private func history(_ text: String) throws -> CrashHistory { try #require(CrashHistory(text: text)) }

  @Test func aThreadLeavesNothingWrong() throws {
    let (report, text) = try run(states(seconds: 30))
    #expect(report.failures == 0, "\(text)")
    #expect(report.histories > 100 && report.images > 1000)
  }

  @Test(arguments: [2, 3]) func threadsLeaveNothingWrong(_ threads: Int) throws {
    let (report, text) = try run(states(seconds: 15, threads: threads))
    #expect(report.failures == 0, "\(text)")
    #expect(report.histories > 100 && report.images > 1000)
  }

  @Test func historiesDependOnTheSeedOnly() {
    for threads in [1, 3] {
      let one = states(seconds: 1, threads: threads)
      var other = one
      other.seed += 1
      #expect((0..<200).allSatisfy { one.history($0) == one.history($0) })
      #expect((0..<200).contains { one.history($0) != other.history($0) })
    }
  }

  @Test func aHistoryIsItsText() throws {
    for threads in [1, 2, 3] {
      for number in 0..<500 {
        let history = states(seconds: 1, threads: threads).history(UInt64(number))
        #expect(CrashHistory(text: history.description) == history)
      }
    }
    for text in [
      "", "caps=X | ", "cuts=3,2,1 | ", "open=9 | ", "| write(1,0,4)", "| write(9,0,4,40)", "| jump(1)",
      "| fail(2,0,0,0)",
    ] {
      #expect(CrashHistory(text: text) == nil, "\(text)")
    }
  }

  /// Histories in which much happens, and nothing is wrong.
  private static let sound = [
    "caps=CPZKIAHRE open=013 | write(1,0,6,40); sync(1,0); evict(1,0); read(0,0,8)",
    "caps=CPZKIAHRE open=0134 | write(1,2,7,40); point(1,0); writeAfter(4,0,4,41,0); sync(4,0); collapse(4,0,1)",
    "caps=PE open=01 | write(1,0,12,40); punch(0,3,9); fail(0,2,0,2); sync(1,0); sync(1,0)",
    "caps=CE open=014 | append(1,5,40); clone(4,0,4,1,4); borrow(4,4,8); write(4,4,8,41); giveBack(); reopen(1)",
    "open=01 | write(0,0,4,40) | write(0,4,8,41) / read(1,0,4) / sync(1,0)",
  ]

  @Test(arguments: sound) func soundHistoriesAreSound(_ text: String) throws {
    let (problem, _, _) = try states(seconds: 1).replay(history(text), times: 20)
    #expect(problem == nil, "\(problem.map { "\($0.kind): \($0.text)" } ?? "")")
  }

  @Test(arguments: [
    (CrashPlant.idleFlushes, "open=1 | write(1,0,4,40); sync(1,0)", "sync"),
    (.idleFlushes, "open=1 | write(1,0,4,40); flush(1,0,4)", "crash"),
    (.idleFlushes, "open=14 | write(1,0,4,40); point(1,0); writeAfter(4,0,4,41,0); sync(4,0)", "order"),
    (.idleFlushes, "caps=K open=0 | write(0,4,8,40); collapse(0,0,1)", "crash"),
    (.idleWrites, "open=1 | write(1,0,4,40); reopen(0)", "close"),
    (.idleWrites, "open=0 | write(0,0,4,40); sync(0,0); evict(0,0); read(0,0,4)", "sync"),
    (.misplacedWrites, "open=0 | write(0,0,4,40)", "crash"),
  ])
  func whatStoresDoWrongIsFound(_ plant: CrashPlant, _ text: String, _ kind: String) throws {
    let (problem, failures, _) = try states(seconds: 1, plant: plant).replay(history(text), times: 3)
    #expect(problem?.kind == kind, "\(problem.map { "\($0.kind): \($0.text)" } ?? "nothing")")
    #expect(failures == 3)
  }

  @Test func aFailureIsMadeShort() throws {
    var states = states(seconds: 60, plant: .idleFlushes)
    states.ignored = ["crash", "order", "close", "stops", "untold", "circle", "error", "unsynced"]
    var finding: CrashFinding?
    _ = try states.run(progress: { _ in }, found: { finding = $0 })
    let short = try #require(finding).short
    // Something that changes the file and a sync; or the end of the history, which syncs.
    #expect(short.calls.count <= 2, "\(short)")
    #expect(try states.replay(short, times: 1).problem?.kind == "sync")
  }
}
