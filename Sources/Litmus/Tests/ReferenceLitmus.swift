#if RaceLaboratory
  import Folios
  import Primitives
  import RaceLaboratory
  import ReadCopyUpdate

  extension Litmus {
    /// References to folios by themselves.
    static var references: [Litmus] {
      [
        Litmus(
          "L33", "a put is interrupted before it freezes the count; the frame is handed on", mutants: [.putInSection],
          bound: nil, threads: 2
        ) {
          interruptedPut(isNaive: false)
        },
        Litmus(
          "S3 naive put", "the same without a read section: it destroys a stranger", bound: nil, isBroken: true,
          threads: 2
        ) { interruptedPut(isNaive: true) },
        Litmus("L32", "the last of several references retires the folio, once", bound: nil, threads: 3) { lastPut() },
        Litmus(
          "L32 last exchanged", "the same by compare-and-exchange, which benchmarks compare with", bound: nil,
          threads: 3
        ) { lastPut(byCompareExchange: true) },
        Litmus("L32 thaw", "who gets a reference sees what the count was set after", bound: nil, threads: 2) { thaw() },
        Litmus("L32 thaw exchanged", "the same by compare-and-exchange", bound: nil, threads: 2) {
          thaw(byCompareExchange: true)
        },
        Litmus("L32 freeze", "who freezes a count sees what its holders have done", bound: nil, threads: 2) {
          freeze()
        },
      ]
    }

    private static func pool(threads: Int) -> FramePool {
      guard let domain = try? ReadDomain(),
        let pool = try? FramePool(
          limit: 256 + FolioMetadata.byteCount, frameShift: 8, nodeFanOutShifts: [2], domain: domain)
      else { giveUp("no memory for a frame") }
      for number in 0..<threads { Explorer.shared.asThread(number) { _ = domain.record() } }
      return pool
    }

    /// Hands out the pool's one frame as a folio of a kind, with so many references; nil if somebody has it.
    private static func handOut(_ pool: FramePool, kind: UInt64, references: UInt64) -> FolioMetadata? {
      guard let frame = pool.allocate(order: 0) else { return nil }
      let folio = pool.table[frame]
      folio.setState(.cached, order: 0)
      folio.page.storeRelaxed(kind)
      folio.thaw(to: references)
      return folio
    }

    /// One holder gives back, and destroys what he takes for his folio. The other takes a reference meanwhile, gives it back too, and hands the frame on.
    private static func interruptedPut(isNaive: Bool) -> Program {
      let pool = pool(threads: 2)
      guard let folio = handOut(pool, kind: 1, references: 1) else { giveUp("no frame") }
      let verdict = Verdict()
      /// A put by who goes by what he knew of the folio before, as the kernel's does.
      func put(kind: UInt64) {
        let isLast =
          isNaive || !keeps(.putInSection) ? folio.giveBackReference() : pool.domain.read { folio.giveBackReference() }
        guard isLast else { return }
        let there = folio.page.loadRelaxed()
        if there != kind { verdict.complain("a put of a folio of kind \(kind) destroys one of kind \(there)") }
        pool.retire(0)
      }
      return Program(
        threads: [
          ("holder", { put(kind: 1) }),
          (
            "other",
            {
              guard pool.domain.read({ folio.tryTakeReference() }) else { return }
              put(kind: 1)
              pool.reclaimRetired(waiting: false)
              if handOut(pool, kind: 2, references: 1) != nil { put(kind: 2) }
            }
          ),
        ],
        check: {
          if let text = verdict.text { return text }
          pool.reclaimRetired(waiting: true)
          return pool.freeFrames == 1 ? nil : "the frame was not given back"
        })
    }

    private static func thaw(byCompareExchange: Bool = false) -> Program {
      let pool = pool(threads: 2)
      guard let frame = pool.allocate(order: 0) else { giveUp("no frame") }
      let folio = pool.table[frame]
      let words = Words([0])
      let verdict = Verdict()
      return Program(
        threads: [
          (
            "maker",
            {
              words[0].storeRelaxed(1)
              folio.thaw(to: 1)
            }
          ),
          (
            "taker",
            {
              guard byCompareExchange ? folio.tryTakeReferenceByCompareExchange() : folio.tryTakeReference() else {
                return
              }
              if words[0].loadRelaxed() != 1 { verdict.complain("the folio has a reference, and is not made") }
            }
          ),
        ],
        check: { withExtendedLifetime(pool) { verdict.text } })
    }

    private static func freeze() -> Program {
      let pool = pool(threads: 2)
      guard let folio = handOut(pool, kind: 1, references: 2) else { giveUp("no frame") }
      let words = Words([0])
      let verdict = Verdict()
      return Program(
        threads: [
          (
            "holder",
            {
              words[0].storeRelaxed(1)
              _ = folio.giveBackReference()
            }
          ),
          (
            "evicter",
            {
              guard folio.freeze(expecting: 1) else { return }
              if words[0].loadRelaxed() != 1 {
                verdict.complain("the folio is frozen, and what its holder did is not seen")
              }
            }
          ),
        ],
        check: { withExtendedLifetime(pool) { verdict.text } })
    }

    /// Three give back one reference each; each has written to the folio, and whoever is last must see all of that.
    private static func lastPut(byCompareExchange: Bool = false) -> Program {
      let pool = pool(threads: 3)
      guard let folio = handOut(pool, kind: 1, references: 3) else { giveUp("no frame") }
      let words = Words([0, 0, 0])
      let verdict = Verdict()
      var count = 0
      let threads: [(name: String, body: () -> Void)] = ["one", "two", "three"].enumerated().map { number, name in
        (
          name,
          {
            words[number].storeRelaxed(1)
            let isLast = pool.domain.read {
              byCompareExchange ? folio.giveBackReferenceByCompareExchange() : folio.giveBackReference()
            }
            guard isLast else { return }
            count += 1
            for other in 0..<3 where words[other].loadRelaxed() != 1 {
              verdict.complain("the last one does not see what another has done with the folio")
            }
            pool.retire(0)
          }
        )
      }
      return Program(
        threads: threads,
        check: {
          if let text = verdict.text { return text }
          if count != 1 { return "\(count) have been the last" }
          pool.reclaimRetired(waiting: true)
          return pool.freeFrames == 1 ? nil : "the frame was not given back"
        })
    }
  }
#endif
