#if RaceLaboratory
  import PageCache
  import Primitives
  import RaceLaboratory

  extension Litmus {
    /// Misses of one page that claim nothing: what keeps others away is the fill, and afterwards nothing does.
    static var loneMisses: [Litmus] {
      [
        // Where the bound is two, three are some hundred thousand executions, or more.
        Litmus(
          "B1 lone", "a page is punched beside its lone miss", mutants: [.loneFillsYield, .claimsExclude],
          start: lone(),
          threads: [("reader", [.read(256, 8)]), ("puncher", [.punch(256..<512)])]),
        Litmus(
          "B1 lone write", "a page is written to beside its lone miss", mutants: [.loneFillsYield, .claimsExclude],
          start: lone(),
          threads: [("reader", [.read(256, 8)]), ("writer", [.write(256, bytes(77, 8))])]),
        Litmus(
          "B1 lone large", "a large folio is brought by a lone miss of one half beside a write to the other",
          mutants: [.loneFillsYield, .claimsExclude], start: lone(cached: [[]], orders: 1...1),
          threads: [("reader", [.read(0, 8)]), ("writer", [.write(256, bytes(77, 8))])]),
        Litmus(
          "B1 lone sync", "a page is written to, written back and evicted beside its lone miss",
          mutants: [.loneFillsYield, .claimsExclude], bound: 2, start: lone(durability: .writeBack),
          threads: [("reader", [.read(256, 8)]), ("writer", [.write(256, bytes(77, 8)), .sync(), .evict(1)])]),
        Litmus(
          "B2 lone", "the file is cut and made longer beside a lone miss of its last page",
          mutants: [.loneFillsYield, .claimsExclude], bound: 2, start: lone(),
          threads: [("reader", [.read(256, 16)]), ("cutter", [.resize(264), .resize(272)])]),
        Litmus(
          "L3 lone", "the file becomes shorter under the copy of what a lone miss has brought",
          mutants: [.gateCloses, .gateWaitsForReaders], bound: 2, start: lone(),
          threads: [("reader", [.read(256, 16)]), ("cutter", [.resize(260)])]),
        Litmus(
          "L15 lone", "what a lone miss has brought is evicted, and its frame handed on", mutants: [.deferredReuse],
          start: lone(sizes: [512, 256], cached: [[0], []]),
          threads: [("reader", [.read(256, 8)]), ("evicter", [.evict(1), .reclaim, .read(0, 8, file: 1)])]),
        Litmus(
          "R9 lone", "a lone miss fails beside another of the same page",
          start: lone(sizes: [256], cached: [[]], failingReads: 1),
          threads: [("one", [.read(0, 8)]), ("other", [.read(0, 8)])]),
        Litmus(
          "R12 lone", "two lone misses that each may need all frames",
          start: lone(sizes: [512, 512], cached: [[0], [0]], callsAtOnce: 1),
          threads: [("one", [.read(256, 8)]), ("other", [.read(256, 8, file: 1)])]),
        Litmus("Fill lone", "two lone misses of one page are one read of the store", threads: 2) { sharingAFill() },
        Litmus("L42 lone", "a file is closed beside a lone miss", bound: 2, threads: 2) { closingBesideAMiss() },
      ]
    }

    /// A file of which the second page is missing, in a store that reads on the calling thread.
    private static func lone(
      sizes: [Int] = [512], cached: [[Int]?] = [[0]], durability: PageCache.Durability = .writeThrough,
      orders: ClosedRange<Int> = 0...0, callsAtOnce: Int = 2, failingReads: Int = 0
    ) -> Start {
      Start(
        sizes: sizes, cached: cached, durability: durability, orders: orders, callsAtOnce: callsAtOnce,
        readsOnCaller: true,
        failingReads: failingReads)
    }

    private static func sharingAFill() -> Program {
      let world = World(lone(sizes: [256], cached: [[]]), threads: 2)
      let history = History(threads: 2)
      let before = world.stores[0].reads
      func reader() { history.perform(.read(0, 8), on: world) }
      return Program(threads: [("one", reader), ("other", reader)]) {
        let reads = world.stores[0].reads - before
        return reads == 1 ? world.finish(history) : "the store was asked \(reads) times"
      }
    }

    /// The reader gets his bytes, or is told that the file is closed.
    private static func closingBesideAMiss() -> Program {
      let start = lone(sizes: [256], cached: [[]])
      let world = World(start, threads: 2)
      let verdict = Verdict()
      func close() { do { try world.handles[0].close() } catch { verdict.complain("closing: \(error)") } }
      func read() {
        switch world.perform(.read(0, 8)) {
        case .bytes(bytes(start.byte(0, 0), 8)): break
        case .closed: break
        case let outcome: verdict.complain("the reader: \(outcome)")
        }
      }
      return Program(threads: [("reader", read), ("closer", close)]) { verdict.text ?? world.leftBehind() }
    }
  }
#endif
