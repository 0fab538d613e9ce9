#if RaceLaboratory
  import PageCache
  import Primitives
  import RaceLaboratory

  extension Litmus {
    /// Folios that go, come apart and move, and what is read ahead.
    static var reclaiming: [Litmus] {
      [
        Litmus(
          "L11 split", "a large folio comes apart under a reader of both halves", mutants: [.entriesCheckedAgain],
          bound: 2,
          start: Start(sizes: [512], orders: 1...1),
          threads: [("reader", [.tryRead(248, 16)]), ("puncher", [.punch(0..<256), .write(248, bytes(77, 16))])]),
        Litmus(
          "B4", "who borrows the second half of a folio that comes apart gets that half",
          slow: [.headFrozenWhileSplit], bound: 2,
          start: Start(sizes: [512, 256], cached: [nil, []], orders: 1...1),
          threads: [
            ("borrower", [.borrow(256, 8)]),
            ("puncher", [.punch(0..<256), .evict(1), .reclaim, .read(0, 8, file: 1)]),
          ]),
        Litmus(
          "L13", "a folio moves under a reader", mutants: [.copiedBeforeMoved], start: Start(sizes: [256]),
          threads: [("reader", [.tryRead(0, 16), .tryRead(0, 16)]), ("mover", [.move(0)])]),
        Litmus(
          "L13 reuse", "... and its old frame is handed on", mutants: [.deferredReuse],
          start: Start(sizes: [256, 256], cached: [nil, []]),
          threads: [("reader", [.tryRead(0, 16)]), ("mover", [.move(0), .reclaim, .read(0, 8, file: 1)])]),
        Litmus(
          "L13 borrow", "what is lent does not move", mutants: [.moveFreezes],
          start: Start(sizes: [256, 256], cached: [nil, []]),
          threads: [("borrower", [.borrow(0, 8)]), ("mover", [.move(0), .reclaim, .read(0, 8, file: 1)])]),
        Litmus(
          "L13 write", "a folio moves while somebody writes to it", start: Start(sizes: [256]),
          threads: [
            ("reader", [.tryRead(0, 16)]), ("writer", [.write(0, bytes(77))]), ("mover", [.move(0)]),
          ]),
        Litmus(
          "L15", "an evicted frame is handed on", mutants: [.deferredReuse],
          start: Start(sizes: [256, 256], cached: [nil, []]),
          threads: [("reader", [.tryRead(0, 16)]), ("evicter", [.evict(0), .reclaim, .read(0, 8, file: 1)])]),
        Litmus(
          "L16 mark", "of two readers who reach a mark exactly one has more brought", mutants: [.accessBitByComparison],
          bound: nil, threads: 2
        ) { reachingAMark() },
        Litmus(
          "B7", "a hole is learnt while it is written to, written back and evicted", slow: [.claimsExclude],
          start: Start(sizes: [512], cached: [[0]], holes: [[1]]),
          threads: [
            ("reader", [.read(256, 8)]),
            ("writer", [.write(256, bytes(77, 8)), .sync(), .evict(1), .read(256, 8)]),
          ]),
      ]
    }

    private static func reachingAMark() -> Program {
      let world = World(Start(sizes: [256]), threads: 2)
      let verdict = Verdict()
      let notes = Words([0])
      world.handles[0].markForReadAhead(page: 0)
      func reader() {
        var buffer = [UInt8](repeating: 0, count: 16)
        do {
          let count = try unsafe buffer.withUnsafeMutableBytes {
            try unsafe world.handles[0].tryRead(fromAbsoluteOffset: 0, into: $0)
          }
          if let count, count != 16 { verdict.complain("read \(count) bytes") }
        } catch { verdict.complain("\(error)") }
        if world.handles[0].takeNoteOfMark() { _ = notes[0].fetchAddRelaxed(1) }
      }
      return Program(threads: [("reader", reader), ("other", reader)]) {
        verdict.text
          ?? (notes[0].loadRelaxed() == 1 ? nil : "\(notes[0].loadRelaxed()) readers were told to read ahead")
      }
    }
  }
#endif
