#if RaceLaboratory
  extension Litmus {
    /// Everything that reshapes a file, against readers that may take the slow way.
    static var reshaping: [Litmus] {
      [
        Litmus(
          "L7", "a range is collapsed under a reader of both sides",
          start: Start(sizes: [768]),
          threads: [("reader", [.tryRead(248, 16)]), ("collapser", [.collapse(256..<512)])]),
        Litmus(
          "L7 refused", "a collapse is refused while the file becomes so long that the tree grows",
          bound: 1, start: Start(sizes: [768], failingChanges: 1),
          threads: [
            ("reader", [.tryRead(1280, 16)]), ("collapser", [.collapse(256..<512)]),
            ("writer", [.write(1280, bytes(77))]),
          ]),
        Litmus(
          "L7 fill", "... and filled", slow: [.claimsExclude], start: Start(sizes: [768], cached: [[0]]),
          threads: [("reader", [.read(256, 8)]), ("collapser", [.collapse(256..<512)])]),
        Litmus(
          "L8 insert", "a hole is inserted", mutants: [.claimsExclude], start: Start(cached: [[0]]),
          threads: [("reader", [.read(256, 8)]), ("inserter", [.insert(256..<512)])]),
        Litmus(
          "L8 zero", "a range is zeroed, whole pages and parts", mutants: [.marks],
          threads: [("reader", [.read(248, 16)]), ("zeroer", [.zero(128..<512)])]),
        Litmus(
          "L8 cut", "a range is zeroed while the file is cut elsewhere, and stays cut",
          threads: [("zeroer", [.zero(8..<24)]), ("cutter", [.resize(256)])]),
        Litmus(
          "L8 clone", "a range of another file takes the place of one", slow: [.claimsExclude],
          start: Start(sizes: [512, 512], cached: [[0], nil]),
          threads: [("reader", [.read(256, 8)]), ("cloner", [.clone(0..<512, of: 1, to: 0, file: 0)])]),
        Litmus(
          "L8 exchange", "ranges of two files are exchanged", slow: [.claimsExclude],
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
          "B1", "a page is filled while it is punched", slow: [.claimsExclude], start: Start(cached: [[]]),
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
          "B3 store", "the store does not get what was cut off", mutants: [.cutTailZeroed],
          start: Start(sizes: [24], durability: .writeBack),
          threads: [("writer", [.write(0, bytes(77, 24)), .sync()]), ("cutter", [.resize(8), .resize(24)])]),
      ]
    }
  }
#endif
