#if RaceLaboratory
  import RaceLaboratory

  extension Litmus {
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
          "R4 longer", "a change is refused while a write-back makes the store longer",
          mutants: [.growthOfOthersSpared],
          start: Start(
            sizes: [256, 256], durability: .writeBack, before: [.write(512, bytes(77))], failingChanges: 1),
          threads: [
            ("syncer", [.syncDurable(512, bytes(77))]), ("cloner", [.clone(0..<256, of: 1, to: 256, file: 0)]),
          ]),
        Litmus(
          "R5", "a page changes while it is written back", mutants: [.clearThenRead],
          start: Start(sizes: [256], durability: .writeBack, before: [.write(0, bytes(76))]),
          threads: [("syncer", [.sync()]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "R5 torn", "what is written back is a page as it was at one instant", mutants: [.marks, .versions],
          start: Start(
            sizes: [256], durability: .writeBack, before: [.write(0, bytes(76))], uniform: 0..<16),
          threads: [("syncer", [.sync()]), ("writer", [.write(0, bytes(77))])]),
        Litmus(
          "R6", "two overlapping writes reach store and cache in one order", mutants: [.claimsExclude],
          start: Start(sizes: [256]),
          threads: [("one", [.write(0, bytes(77))]), ("other", [.write(8, bytes(78))])]),
        Litmus(
          "R6 refused", "a write that extends the file and is refused",
          start: Start(sizes: [8], failingWrites: 1),
          threads: [
            ("reader", [.tryRead(0, 24)]), ("writer", [.write(0, bytes(77, 24)), .write(0, bytes(78, 16))]),
          ]),
        Litmus(
          "B6", "a flush fails, and the next one does not", mutants: [.failedFlushDirties],
          start: Start(sizes: [256], durability: .writeBack, failingFlushes: 1),
          threads: [
            ("writer", [.write(0, bytes(77)), .syncDurable(0, bytes(77)), .syncDurable(0, bytes(77))]),
            ("other", [.sync()]),
          ]),
        Litmus(
          "D2", "a flush fails while a write that is not in place is at the store",
          mutants: [.transfersBegunFirst, .transfersSeeFailures],
          start: Start(sizes: [256], failingFlushes: 1),
          threads: [("writer", [.append(bytes(77, 8))]), ("other", [.write(0, bytes(78, 8)), .sync()])]),
        Litmus(
          "D4", "a page is written, not before a point, while it is on its way to the store",
          mutants: [.holdBacksSeenAgain, .dirtyAgainHeldBack], bound: 2,
          start: Start(sizes: [256, 256], durability: .writeBack, before: [.write(16, bytes(76, 8))]),
          threads: [
            ("syncer", [.syncDurable(16, bytes(76, 8))]),
            ("writer", [.write(0, bytes(75, 8), file: 1), .point(file: 1), .heldWrite(0, bytes(77, 8))]),
          ]),
        Litmus(
          "D4 longer", "a write that makes the file longer, not before a point, beside a sync",
          mutants: [.heldBackWhenMarked], bound: 2,
          start: Start(sizes: [256, 256], durability: .writeBack, before: [.write(16, bytes(76, 8))]),
          threads: [
            ("syncer", [.syncDurable(16, bytes(76, 8))]),
            ("writer", [.write(0, bytes(75, 8), file: 1), .point(file: 1), .heldWrite(300, bytes(77, 8))]),
          ]),
        Litmus(
          "D4 beside", "the same, and another sync goes by what the first has taken",
          mutants: [.takenAwaited], bound: 2,
          start: Start(
            sizes: [256, 256], durability: .writeBack,
            before: [.write(16, bytes(76, 8)), .write(0, bytes(75, 8), file: 1), .point(file: 1)]),
          threads: [
            ("syncer", [.sync()]), ("other", [.syncDurable(16, bytes(76, 8))]),
            ("writer", [.heldWrite(0, bytes(77, 8))]),
          ]),
        Litmus(
          "X1", "a write copies from a page that is lent, and comes back", slow: [.sourcesHeld], bound: 2,
          start: Start(sizes: [256, 256], cached: [nil, []]),
          threads: [
            ("borrower", [.borrow(0, 8)]), ("writer", [.write(0, bytes(77, 8))]),
            ("evicter", [.evict(0), .reclaim, .read(0, 8, file: 1)]),
          ]),
        Litmus("P7 point", "who sees a point reached sees what came before the sync", threads: 2) {
          reaching(closes: false)
        },
        Litmus("P7 point closed", "the same where the last close reaches it", threads: 2) { reaching(closes: true) },
      ]
    }

    /// One makes durable what a point stands for, by a sync or by closing the file; the other looks whether it is reached.
    private static func reaching(closes: Bool) -> Program {
      let world = World(Start(sizes: [256], durability: .writeBack, before: [.write(0, bytes(77))]), threads: 2)
      let words = Words([0])
      let verdict = Verdict()
      guard let point = try? world.handles[0].durabilityPoint() else { giveUp("no point") }
      return Program(
        threads: [
          (
            "syncer",
            {
              words[0].storeRelaxed(1)
              do {
                if closes { try world.handles[0].close() } else { try world.handles[0].sync() }
              } catch { verdict.complain("\(error)") }
            }
          ),
          (
            "watcher",
            {
              guard point.isReached else { return }
              if words[0].loadRelaxed() != 1 {
                verdict.complain("the point is reached, and what came before is not seen")
              }
            }
          ),
        ],
        check: { verdict.text ?? (point.isReached ? nil : "the point is not reached") })
    }
  }
#endif
