import PageCacheBenchmarking
import SystemPackage
import TestSupport
import Testing

/// That all arms of `bench memory` read the same, and that what they say is understood.
// The tools themselves are not what a sanitizer is for.
@Suite(.serialized, .enabled(if: !isSanitized)) struct MemoryBenchmarkTests {
  // Computed in Python.
  @Test func uniformStreamsAreTheStatedOnes() {
    let drawing = AccessDrawing(.uniform, pageCount: 1000, seed: 7)
    #expect(drawing.stream(thread: 0, count: 8).pages == [605, 714, 409, 683, 958, 111, 400, 980])
    #expect(drawing.stream(thread: 1, count: 8).pages == [719, 616, 77, 54, 979, 525, 684, 288])
  }

  @Test func zipfStreamsAreTheStatedOnes() {
    let drawing = AccessDrawing(.zipf, pageCount: 1000, seed: 7)
    #expect(drawing.stream(thread: 0, count: 8).pages == [275, 761, 774, 992, 190, 972, 41, 773])
    #expect(drawing.stream(thread: 1, count: 8).pages == [922, 33, 972, 972, 947, 486, 890, 502])
  }

  @Test(arguments: [AccessDistribution.uniform: 0x8F8E_859B_1194_EB33, .zipf: 0x40C1_714F_B967_6D21 as UInt64])
  func checksumsAreTheStatedOnes(distribution: AccessDistribution, sum: UInt64) {
    let drawing = AccessDrawing(distribution, pageCount: 4096, seed: 1)
    #expect(AccessStream.checksum((0..<2).map { drawing.stream(thread: $0, count: 1000) }) == sum)
  }

  @Test func zipfPrefersFewPages() {
    var counts = [Int](repeating: 0, count: 10_000)
    for page in AccessDrawing(.zipf, pageCount: 10_000, seed: testSeed).stream(thread: 0, count: 100_000).pages {
      counts[Int(page)] += 1
    }
    // Of 10,000 pages the first rank has 0.0973 of all accesses, the first hundred 0.526.
    let sorted = counts.sorted(by: >)
    #expect((9_300...10_200).contains(sorted[0]), "PAGECACHE_SEED=\(testSeed)")
    #expect((50_000...55_500).contains(sorted[..<100].reduce(0, +)), "PAGECACHE_SEED=\(testSeed)")
  }

  @Test func requestsComeThroughAsTheyWere() {
    let request = MemoryRequest(start: 5, reads: Int.max, nanoseconds: 2_000_000_000)
    #expect(MemoryRequest(line: request.line) == request)
    for line in ["", "run", "run 1 2", "run 1 2 x", "run -1 2 3", "run 1 0 3", "go 1 2 3", "run 1 2 3 4"] {
      #expect(MemoryRequest(line: line) == nil, "\(line)")
    }
  }

  @Test func listsOfArmsAndDistributions() throws {
    #expect(try MemoryArmKind.list("cache,hyperclock") == [.cache, .peer])
    #expect(try AccessDistribution.list("zipf") == [.zipf])
    #expect(throws: ListError.self) { try MemoryArmKind.list("cache,peer") }
    #expect(throws: ListError.self) { try AccessDistribution.list("zipf,zipf") }
  }

  // MARK: Control groups

  private let mounts = """
    tmpfs /sys/fs/cgroup tmpfs rw 0 0
    cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
    cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
    cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
    """

  @Test func theMemoryControllerIsFoundWhereItIs() {
    let first = ControlGroup(version: .v1, path: "/sys/fs/cgroup/memory")
    #expect(ControlGroup.hierarchy(mounts: mounts) { _ in "" } == first)
    #expect(first.limitFile == "memory.limit_in_bytes" && first.usageFile == "memory.usage_in_bytes")
    let second = ControlGroup.hierarchy(mounts: "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n") { _ in
      "cpuset cpu io memory pids\n"
    }
    #expect(second == ControlGroup(version: .v2, path: "/sys/fs/cgroup"))
    #expect(second?.limitFile == "memory.max" && second?.usageFile == "memory.current")
    #expect(ControlGroup.hierarchy(mounts: "cgroup2 /c cgroup2 rw 0 0\n") { _ in "cpu io\n" } == nil)
    #expect(ControlGroup.hierarchy(mounts: "") { _ in "memory" } == nil)
  }

  // MARK: Arms

  private func plan() -> MemoryPlan {
    var plan = MemoryPlan()
    plan.limit = 16 << 20
    plan.fileFactor = 2
    plan.threads = 2
    return plan
  }

  @Test(arguments: [MemoryArmKind.pread, .mmap])
  func anArmReadsWhatItShould(kind: MemoryArmKind) throws {
    let plan = plan()
    let path = FilePath("/tmp/pagecache-memory-test-\(kind.rawValue)")
    let file = try PatternFile(creating: path, byteCount: plan.limit * plan.fileFactor)
    defer { file.remove() }
    let child = try MemoryChild(kind, path: path, distribution: .zipf, plan: plan, group: nil)
    let sum = AccessStream.checksum(MemoryChild.streams(.zipf, plan))
    #expect(child.ready.checksum == String(sum))
    let run = try child.run(MemoryRequest(start: 0, reads: 500, nanoseconds: 60_000_000_000))
    #expect(run.reads == 1000 && run.failed == 0 && run.wrong == 0 && run.readsPerSecond > 0)
  }

  @Test func anArmThatCannotBeHadIsLeftOutWithALine() throws {
    var plan = plan()
    plan.arms = [.peer]
    plan.distributions = [.uniform]
    let report = try MemoryBenchmark(plan, directory: "/tmp") { _, _, _, _ in (nil, "nobody built it") }.run { _ in }
    #expect(report.skipped == ["without the arm hyperclock: nobody built it"])
    #expect(report.lines.contains { $0.contains("nobody built it") })
  }

  @Test func aProgramThatSaysSomethingElseEndsTheRun() {
    var plan = plan()
    plan.arms = [.peer]
    plan.distributions = [.uniform]
    let other = #"{"checksum":"1","baseline_bytes":0}"#
    for words in [["echo", "hello"], ["true"], ["echo", other], ["/nowhere/program"]] {
      #expect(throws: BenchmarkError.self, "\(words)") {
        try MemoryBenchmark(plan, directory: "/tmp") { _, _, _, _ in (words, "") }.run { _ in }
      }
    }
  }
}
