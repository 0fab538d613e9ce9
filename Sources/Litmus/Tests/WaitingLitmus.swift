#if RaceLaboratory
  extension Litmus {
    /// The gate, and who waits for whom.
    static var waiting: [Litmus] {
      [
        Litmus(
          "L3", "the file becomes shorter under a read that has begun to copy",
          mutants: [.gateCloses, .gateWaitsForReaders],
          threads: [("reader", [.tryRead(248, 16)]), ("cutter", [.resize(252)])]),
        Litmus(
          "L3 passes", "a read that was overtaken tries again, and the file becomes shorter meanwhile",
          mutants: [.gateWaitsForPasses],
          threads: [("reader", [.tryRead(248, 16)]), ("cutter", [.write(248, bytes(77, 8)), .resize(252)])]),
        Litmus(
          "L3 passes unfenced", "the same where readers take a fence", mutants: [.gateWaitsForPasses],
          start: Start(usesMembarrier: false),
          threads: [("reader", [.tryRead(248, 16)]), ("cutter", [.write(248, bytes(77, 8)), .resize(252)])]),
        Litmus(
          "L3 unfenced", "the same where readers take a fence", mutants: [.gateWaitsForReaders], bound: nil,
          start: Start(usesMembarrier: false),
          threads: [("reader", [.tryRead(248, 16)]), ("cutter", [.resize(252)])]),
        // Two preemptions are half a million executions; three would be thirty million.
        Litmus(
          "R1", "a reader that must try again meets a gate and a claim", mutants: [.gateBeforeClaims], bound: 2,
          start: Start(cached: [[0]]),
          threads: [("reader", [.read(0, 16)]), ("cutter", [.evict(0), .resize(252)])]),
        Litmus(
          "R2", "a slow read and a punch want frames and the same pages", mutants: [.framesBeforeClaims],
          start: Start(cached: [[]], callsAtOnce: 1),
          threads: [("reader", [.read(0, 8)]), ("puncher", [.punch(0..<256)])]),
        Litmus(
          "R12", "two calls that each need all frames", mutants: [.oneStepReservation],
          start: Start(sizes: [256, 256], cached: [[0], [0]], callsAtOnce: 1),
          threads: [("one", [.punch(0..<256)]), ("other", [.punch(0..<256, file: 1)])]),
        Litmus(
          "L35", "a read that may not wait beside one that does", start: Start(sizes: [256], cached: [[]]),
          threads: [("reader", [.tryRead(0, 16)]), ("filler", [.read(0, 16)])]),
        Litmus(
          "L38", "a clone while its source is on its way to the store",
          start: Start(
            sizes: [256, 256], cached: [nil, nil], durability: .writeBack, before: [.write(0, bytes(77))]),
          threads: [
            ("syncer", [.sync()]), ("cloner", [.clone(0..<256, of: 0, to: 0, file: 1), .read(0, 16, file: 1)]),
          ]),
      ]
    }
  }
#endif
