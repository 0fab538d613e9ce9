#if RaceLaboratory
  extension Litmus {
    /// Readers against changes of what they read. Pages are 256 bytes: 248..<264 lies in two.
    static var reading: [Litmus] {
      [
        Litmus(
          "L4", "a frame leaves under a reader and comes back with bytes of another page",
          mutants: [.deferredReuse], bound: nil, start: Start(sizes: [768], cached: [[0, 1]]),
          threads: [("reader", [.tryRead(0, 8)]), ("evicter", [.evict(0), .reclaim, .read(512, 8)])]),
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
          "L14", "a reference is taken on the strength of an entry that changes", mutants: [.confirmation], bound: nil,
          start: Start(sizes: [256], durability: .writeBack),
          threads: [("borrower", [.borrow(0, 16)]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "L14 reuse", "a reference is taken where somebody else may have the frame by then",
          start: Start(sizes: [768], cached: [[0, 1]]),
          threads: [("borrower", [.borrow(0, 8)]), ("evicter", [.evict(0), .reclaim, .read(512, 8)])]),
        Litmus(
          "L16", "first access meets a change", mutants: [.accessBitByComparison], bound: nil,
          start: Start(before: [.age(0)]),
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
          "L36 resize", "the file becomes longer inside a page, against a reader who looks twice",
          mutants: [.lengthBehindSize],
          start: Start(sizes: [8]),
          threads: [("reader", [.tryRead(8, 16), .tryRead(0, 24)]), ("grower", [.resize(24)])]),
        Litmus(
          "L36 pass", "the same for a reader with a pass, who goes by the length", mutants: [.lengthBehindSize],
          start: Start(sizes: [8]),
          threads: [
            ("reader", [.tryRead(0, 24), .tryRead(0, 24)]), ("changer", [.write(0, bytes(77, 8)), .resize(24)]),
          ]),
        Litmus(
          "L36 gate", "a read beside a closed gate, of a file that becomes shorter and long again", bound: 1,
          start: Start(sizes: [24]),
          threads: [("reader", [.read(0, 24), .tryRead(0, 24)]), ("resizer", [.resize(8), .resize(24)])]),
        Litmus(
          "L36 size", "what a reader was told of the size, and what he reads then, of a file that becomes longer",
          start: Start(sizes: [8]),
          threads: [("reader", [.size(), .tryRead(0, 24), .size()]), ("writer", [.write(0, bytes(77, 24))])]),
        Litmus(
          "L36 size resize", "the same for a file that is resized", mutants: [.lengthBehindSize],
          start: Start(sizes: [8]),
          threads: [("reader", [.size(), .tryRead(0, 24), .size()]), ("grower", [.resize(24)])]),
        Litmus(
          "L6 size", "the same for a file that is cut", start: Start(sizes: [24]),
          threads: [("reader", [.size(), .tryRead(0, 24)]), ("cutter", [.resize(8)])]),
        Litmus(
          "P1 many grow", "a batch of reads of a file that becomes so long that the tree grows",
          threads: [
            ("reader", [.readMany(1280, 16, 1300, 8), .readMany(1280, 16, 1300, 8)]),
            ("writer", [.write(1280, bytes(77, 28))]),
          ]),
        Litmus(
          "P1 many taller", "a batch of reads of what was there before, while the tree grows",
          threads: [("reader", [.readMany(0, 8, 256, 8)]), ("writer", [.write(1280, bytes(77))])]),
        Litmus(
          "P1 run", "bytes in two folios that came one after the other", start: Start(cached: [[0]]),
          threads: [("reader", [.tryRead(248, 16)]), ("filler", [.read(256, 8)])]),
        Litmus(
          "L32 hit", "a hit by reference, of a file that becomes so long that the tree grows",
          threads: [
            ("reader", [.referencedRead(1280, 16)]), ("writer", [.write(1280, bytes(77))]), ("evicter", [.evict(5)]),
          ]),
        Litmus(
          "L14 grow", "bytes are lent of a file that becomes so long that the tree grows",
          threads: [("borrower", [.borrow(1280, 16)]), ("writer", [.write(1280, bytes(77))])]),
        Litmus(
          "P1", "a write to two pages against a read of both",
          mutants: [.entriesCheckedAgain, .marks, .versions, .markFence], bound: nil,
          threads: [("reader", [.tryRead(248, 16)]), ("writer", [.write(248, bytes(77))])]),
        Litmus(
          "P1 tail", "a write to two pages against a read of the second", mutants: [.marksOnAll], bound: nil,
          threads: [("reader", [.tryRead(256, 16)]), ("writer", [.write(248, bytes(77, 24))])]),
        Litmus(
          "P1 two readers", "reads in a row do not see a write come and go", mutants: [.marks], bound: nil,
          threads: [
            ("reader", [.tryRead(248, 8), .tryRead(256, 8), .tryRead(248, 8)]), ("writer", [.write(248, bytes(77))]),
          ]),
        Litmus(
          "P1 slow", "the same for a reader and a writer that both take turns", slow: [.claimsExclude],
          start: Start(cached: [[]]),
          threads: [("reader", [.read(248, 16)]), ("writer", [.write(248, bytes(77))])]),
        Litmus(
          "P1 grow", "the file becomes so long that the tree grows", bound: nil,
          threads: [("reader", [.tryRead(1280, 16), .tryRead(1280, 16)]), ("writer", [.write(1280, bytes(77))])]),
        Litmus(
          "P1 many", "a batch of reads against a write", mutants: [.entriesCheckedAgain],
          threads: [
            ("reader", [.readMany(0, 16, 256, 16)]), ("writer", [.write(0, bytes(77)), .write(256, bytes(78))]),
          ]),
        Litmus(
          "P1 wrap", "versions of two bits come back while somebody reads", mutants: [.gracePeriodBeforeWrap],
          start: Start(versionBits: 2),
          threads: [
            ("reader", [.tryRead(0, 16)]), ("writer", (0..<4).map { .write(0, bytes(UInt8(77 + $0))) }),
          ]),
        Litmus(
          "R11", "a loan against a write in place", mutants: [.loansRespected, .markFence], bound: nil,
          start: Start(sizes: [256], durability: .writeBack),
          threads: [("borrower", [.borrow(0, 16)]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "R11 through", "a loan against a write in place that goes through to the store", mutants: [.loansRespected],
          bound: nil, start: Start(sizes: [256]),
          threads: [("borrower", [.borrow(0, 16)]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "R11 unmark", "a mark is taken off again because of a loan, beside a reader",
          start: Start(sizes: [256], durability: .writeBack),
          threads: [
            ("borrower", [.borrow(0, 16)]), ("writer", [.write(0, bytes(77))]), ("reader", [.tryRead(0, 16)]),
          ]),
        Litmus(
          "R11 punch", "the same for a part that is zeroed", start: Start(sizes: [256]),
          threads: [
            ("borrower", [.borrow(0, 16)]), ("puncher", [.punch(8..<248)]), ("reader", [.tryRead(0, 16)]),
          ]),
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
  }
#endif
