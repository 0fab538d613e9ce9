#if RaceLaboratory
  private func bytes(_ byte: UInt8, _ count: Int = 16) -> [UInt8] { Array(repeating: byte, count: count) }

  extension Litmus {
    /// Readers against changes of what they read. Pages are 256 bytes: 248..<264 lies in two.
    static var reading: [Litmus] {
      [
        Litmus(
          "L4", "a frame leaves under a reader and comes back with bytes of another page",
          mutants: [.deferredReuse], bound: nil, start: Start(cached: [[0]]),
          threads: [("reader", [.tryRead(0, 8)]), ("evicter", [.evict(0), .reclaim, .read(256, 8)])]),
        Litmus(
          "L4 slow", "the same, with a reader that may wait",
          start: Start(cached: [[0]]),
          threads: [("reader", [.read(0, 8)]), ("evicter", [.evict(0), .read(256, 8)])]),
        Litmus(
          "L5", "a part of a folio is zeroed in place under a reader",
          mutants: [.entriesCheckedAgain, .marks, .versions], bound: nil,
          threads: [("reader", [.tryRead(8, 16)]), ("puncher", [.punch(8..<248)])]),
        Litmus(
          "L6", "the file is cut inside its last folio", mutants: [.marks, .versions], start: Start(sizes: [24]),
          threads: [("reader", [.read(0, 24)]), ("cutter", [.resize(8)])]),
        Litmus(
          "L10", "all of a range is marked before any of it goes", mutants: [.marksOnWhatGoes], bound: nil,
          start: Start(sizes: [768]),
          threads: [("reader", [.tryRead(504, 16)]), ("puncher", [.punch(256..<520)])]),
        Litmus(
          "L11", "a large folio goes and small ones come in its place", mutants: [.entriesCheckedAgain],
          start: Start(orders: 0...1),
          threads: [("reader", [.tryRead(248, 16)]), ("writer", [.evict(0), .write(248, bytes(77))])]),
        Litmus(
          "L14", "a reference is taken to what has the frame by then", mutants: [.confirmation], bound: nil,
          start: Start(cached: [[0]]),
          threads: [("borrower", [.borrow(0, 8)]), ("evicter", [.evict(0), .reclaim, .read(256, 8)])]),
        Litmus(
          "L16", "first access meets a change", mutants: [.accessBitByComparison], bound: nil,
          start: Start(isAccessed: false),
          threads: [("reader", [.tryRead(0, 16), .tryRead(0, 16)]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "L22", "a write into a hole of two pages", mutants: [.newPagesAsChanging], bound: nil,
          start: Start(holes: [[0, 1]], before: [.read(0, 512)]),
          threads: [("reader", [.tryRead(248, 16)]), ("writer", [.write(248, bytes(77))])]),
        Litmus(
          "L36", "a write that extends the file, against a reader of the old size",
          mutants: [.sizeCheckedAgain, .lengthWithinMarks], bound: nil, start: Start(sizes: [8]),
          threads: [("reader", [.tryRead(0, 24)]), ("writer", [.write(0, bytes(77, 24))])]),
        Litmus(
          "P1", "a write to two pages against a read of both",
          mutants: [.entriesCheckedAgain, .marks, .marksOnAll, .versions, .markFence], bound: nil,
          threads: [("reader", [.tryRead(248, 16)]), ("writer", [.write(248, bytes(77))])]),
        Litmus(
          "P1 two readers", "two reads in a row do not see a write half done", mutants: [.marksOnAll],
          threads: [
            ("reader", [.tryRead(248, 8), .tryRead(256, 8), .tryRead(248, 8)]), ("writer", [.write(248, bytes(77))]),
          ]),
        Litmus(
          "P1 wrap", "versions of two bits come back while somebody reads", mutants: [.gracePeriodBeforeWrap],
          start: Start(versionBits: 2),
          threads: [
            ("reader", [.tryRead(0, 16)]), ("writer", (0..<4).map { .write(0, bytes(UInt8(77 + $0))) }),
          ]),
        Litmus(
          "R11", "a loan against a write in place", mutants: [.loansRespected, .markFence], bound: nil,
          start: Start(sizes: [256]),
          threads: [("borrower", [.borrow(0, 16)]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "R13", "the marks come before the bytes", mutants: [.markFence, .marks], bound: nil,
          start: Start(sizes: [256], durability: .writeBack),
          threads: [("reader", [.tryRead(0, 16)]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "R9", "the second try of a read meets an error", mutants: [.errorsThrown],
          start: Start(sizes: [256], failingReads: 1),
          threads: [("reader", [.read(0, 16)]), ("evicter", [.evict(0)])]),
      ]
    }

    /// Everything that reshapes a file, against readers that may take the slow way.
    static var reshaping: [Litmus] {
      [
        Litmus(
          "L7", "a range is collapsed under a reader of both sides", mutants: [.claimsExclude],
          start: Start(sizes: [768]),
          threads: [("reader", [.read(248, 16)]), ("collapser", [.collapse(256..<512)])]),
        Litmus(
          "L8 insert", "a hole is inserted", mutants: [.claimsExclude],
          threads: [("reader", [.read(248, 16)]), ("inserter", [.insert(256..<512)])]),
        Litmus(
          "L8 zero", "a range is zeroed, whole pages and parts", mutants: [.marks],
          threads: [("reader", [.read(248, 16)]), ("zeroer", [.zero(128..<512)])]),
        Litmus(
          "L8 clone", "a range of another file takes the place of one", mutants: [.claimsExclude],
          start: Start(sizes: [512, 512], cached: [nil, nil]),
          threads: [("reader", [.read(248, 16)]), ("cloner", [.clone(0..<512, of: 1, to: 0, file: 0)])]),
        Litmus(
          "L8 exchange", "ranges of two files are exchanged", mutants: [.claimsExclude],
          start: Start(sizes: [256, 256], cached: [nil, nil]),
          threads: [
            ("reader", [.read(0, 8), .read(0, 8, file: 1)]),
            ("exchanger", [.exchange(0..<256, with: 1, at: 0, file: 0)]),
          ]),
        Litmus(
          "L20", "a hole is learnt while somebody writes next to it", mutants: [.quietHoles],
          start: Start(sizes: [768], cached: [[0]], holes: [[1, 2]]),
          threads: [
            ("reader", [.read(256, 8)]), ("writer", [.write(512, bytes(77, 8)), .sync(), .evict(2), .read(512, 8)]),
          ]),
        Litmus(
          "L42", "whatever goes gives its frames back", mutants: [.replacedReleased],
          threads: [("reader", [.borrow(0, 8)]), ("puncher", [.punch(0..<256), .write(248, bytes(77))])]),
        Litmus(
          "B1", "a page is filled while it is punched", mutants: [.claimsExclude], start: Start(cached: [[]]),
          threads: [("reader", [.read(256, 8)]), ("puncher", [.punch(256..<512), .read(256, 8)])]),
        Litmus(
          "B2", "what was cut off does not come back", mutants: [.cutTailZeroed], start: Start(sizes: [24]),
          threads: [("reader", [.tryRead(0, 24)]), ("cutter", [.resize(8), .resize(24)])]),
        Litmus(
          "B3", "what lies behind the end is zero, whatever the frame held", mutants: [.tailZeroed],
          start: Start(
            sizes: [24, 256], cached: [[], [0]], before: [.evict(0, file: 1), .reclaim]),
          threads: [("reader", [.read(0, 24)]), ("extender", [.resize(40), .read(0, 40)])]),
        Litmus(
          "B3 store", "the store does not get what was cut off", start: Start(sizes: [24], durability: .writeBack),
          threads: [("writer", [.write(0, bytes(77, 24)), .sync()]), ("cutter", [.resize(8)])]),
      ]
    }

    /// The gate, and who waits for whom.
    static var waiting: [Litmus] {
      [
        Litmus(
          "L3", "the file becomes shorter under a read that has begun to copy",
          mutants: [.gateCloses, .gateWaitsForReaders], bound: nil,
          threads: [("reader", [.tryRead(248, 16)]), ("cutter", [.resize(252)])]),
        Litmus(
          "L3 passes", "a read that was overtaken tries again, and the file becomes shorter meanwhile",
          mutants: [.gateWaitsForPasses],
          threads: [
            ("reader", [.tryRead(248, 16)]), ("writer", [.write(248, bytes(77, 8))]), ("cutter", [.resize(252)]),
          ]),
        Litmus(
          "L3 unfenced", "the same where readers take a fence", mutants: [.gateWaitsForReaders], bound: nil,
          start: Start(usesMembarrier: false),
          threads: [("reader", [.tryRead(248, 16)]), ("cutter", [.resize(252)])]),
        Litmus(
          "R1", "a reader that must try again meets a gate and a claim", mutants: [.gateBeforeClaims],
          start: Start(cached: [[0]]),
          threads: [("reader", [.read(0, 16)]), ("evicter", [.evict(0)]), ("cutter", [.resize(252)])]),
        Litmus(
          "R2", "a slow read and a punch want frames and the same pages", mutants: [.framesBeforeClaims],
          start: Start(cached: [[]]),
          threads: [("reader", [.read(0, 8)]), ("puncher", [.punch(0..<256)])]),
        Litmus(
          "R12", "two calls that each need all frames", mutants: [.oneStepReservation],
          start: Start(sizes: [256, 256], cached: [[0], [0]]),
          threads: [("one", [.punch(0..<256)]), ("other", [.punch(0..<256, file: 1)])]),
        Litmus(
          "L38", "a clone while its source is on its way to the store", mutants: [.transfersAwaited],
          start: Start(
            sizes: [256, 256], cached: [nil, nil], durability: .writeBack, before: [.write(0, bytes(77))]),
          threads: [
            ("syncer", [.sync()]), ("cloner", [.clone(0..<256, of: 0, to: 0, file: 1), .read(0, 16, file: 1)]),
          ]),
      ]
    }

    /// What is owed to the store.
    static var durability: [Litmus] {
      [
        Litmus(
          "R4", "what was given to the store is not evicted before it is safe",
          mutants: [.owedStays, .failedFlushDirties],
          start: Start(sizes: [256], durability: .writeBack, failingFlushes: 1),
          threads: [
            ("writer", [.write(0, bytes(77)), .sync(), .syncDurable(0, bytes(77))]), ("evicter", [.evict(0)]),
          ]),
        Litmus(
          "R5", "a page changes while it is written back", mutants: [.clearThenRead],
          start: Start(sizes: [256], durability: .writeBack, before: [.write(0, bytes(76))]),
          threads: [("syncer", [.sync()]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "R6", "two overlapping writes reach store and cache in one order", mutants: [.claimsExclude],
          start: Start(sizes: [256]),
          threads: [("one", [.write(0, bytes(77))]), ("other", [.write(8, bytes(78))])]),
        Litmus(
          "R6 refused", "a write that extends the file and is refused", start: Start(sizes: [8], failingWrites: 1),
          threads: [("reader", [.tryRead(0, 24)]), ("writer", [.write(0, bytes(77, 24))])]),
        Litmus(
          "B6", "a flush fails, and the next one does not", mutants: [.failedFlushDirties],
          start: Start(sizes: [256], failingFlushes: 1),
          threads: [
            ("writer", [.write(0, bytes(77)), .syncDurable(0, bytes(77)), .syncDurable(0, bytes(77))]),
            ("other", [.sync()]),
          ]),
      ]
    }
  }
#endif
