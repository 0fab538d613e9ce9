#if RaceLaboratory
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
          "R5", "a page changes while it is written back", mutants: [.clearThenRead],
          start: Start(sizes: [256], durability: .writeBack, before: [.write(0, bytes(76))]),
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
      ]
    }
  }
#endif
