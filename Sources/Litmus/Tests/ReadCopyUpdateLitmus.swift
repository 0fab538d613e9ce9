#if RaceLaboratory
  import Primitives
  import RaceLaboratory
  import ReadCopyUpdate

  extension Litmus {
    /// Read sections and grace periods by themselves.
    static var readCopyUpdate: [Litmus] {
      [
        Litmus(
          "RCU", "what was unlinked is not overwritten under a reader", mutants: [.deferredReuse, .fenceOfAllReaders],
          bound: nil,
          threads: 2
        ) {
          unlinking(usesMembarrier: true, polls: false)
        },
        Litmus("RCU unfenced", "the same where readers take a fence", mutants: [.deferredReuse], bound: nil, threads: 2)
        {
          unlinking(usesMembarrier: false, polls: false)
        },
        Litmus("RCU polled", "the same by somebody who waits for nobody", bound: nil, threads: 2) {
          unlinking(usesMembarrier: true, polls: true)
        },
        Litmus("RCU shared", "one grace period for two who wait", threads: 3) { sharing(usesMembarrier: true) },
        Litmus("RCU shared unfenced", "the same where readers take a fence", threads: 3) {
          sharing(usesMembarrier: false)
        },
        Litmus("RCU notes", "what a section did is seen after the grace period", bound: nil, threads: 2) { notes() },
        Litmus("RCU told", "the same, where somebody else brings the grace period to its end", threads: 3) {
          notes(besideAnother: true)
        },
        Litmus("RCU told unfenced", "the same where readers take a fence", threads: 3) {
          notes(besideAnother: true, usesMembarrier: false)
        },
        Litmus("RCU new", "a thread registers while somebody waits", threads: 2) {
          unlinking(usesMembarrier: true, polls: false, registers: true)
        },
        Litmus("RCU pushed", "a record is put before another while somebody waits", threads: 3) {
          pushing(usesMembarrier: true)
        },
        Litmus("RCU pushed unfenced", "the same where readers take a fence", threads: 3) {
          pushing(usesMembarrier: false)
        },
      ]
    }

    /// A reader whose record is there, and a newcomer who puts his before it: who waits must find both.
    private static func pushing(usesMembarrier: Bool) -> Program {
      guard let domain = try? ReadDomain(usesMembarrier: usesMembarrier) else { giveUp("no read domain") }
      for number in 0..<3 { Explorer.shared.asThread(number) { domain.giveBackRecord() } }
      domain.freeRecords()
      Explorer.shared.asThread(0) { _ = domain.record() }
      let words = Words([1, 7])
      let verdict = Verdict()
      let read = {
        domain.read {
          guard words[0].loadAcquire() == 1 else { return }
          if words[1].loadRelaxed() != 7 { verdict.complain("a reader saw what was overwritten") }
        }
      }
      return Program(
        threads: [
          ("reader", read), ("newcomer", read),
          (
            "reclaimer",
            {
              words[0].storeRelaxed(0)
              domain.synchronize()
              words[1].storeRelaxed(99)
            }
          ),
        ],
        check: { verdict.text })
    }

    private static func domain(threads: Int, usesMembarrier: Bool = true, registered: Bool = true) -> ReadDomain {
      guard let domain = try? ReadDomain(usesMembarrier: usesMembarrier) else { giveUp("no read domain") }
      for number in 0..<threads {
        Explorer.shared.asThread(number) {
          _ = domain.record()
          if !registered { domain.giveBackRecord() }
        }
      }
      return domain
    }

    /// A reader follows a link twice; the other replaces what it leads to, and overwrites that after a grace period.
    private static func unlinking(usesMembarrier: Bool, polls: Bool, registers: Bool = false) -> Program {
      let domain = domain(threads: 2, usesMembarrier: usesMembarrier, registered: !registers)
      // The link, and two objects of two words.
      let words = Words([1, 7, 7, 0, 0])
      let verdict = Verdict()
      return Program(
        threads: [
          (
            "reader",
            {
              for _ in 0..<(registers ? 1 : 2) {
                domain.read {
                  let object = Int(words[0].loadAcquire())
                  let (first, second) = (words[object].loadRelaxed(), words[object + 1].loadRelaxed())
                  if first != second || first == 0 || first == 99 {
                    verdict.complain("the reader saw \(first) and \(second)")
                  }
                }
              }
            }
          ),
          (
            "reclaimer",
            {
              words[3].storeRelaxed(8)
              words[4].storeRelaxed(8)
              words[0].storeRelease(3)
              if keeps(.deferredReuse) {
                if polls {
                  let period = domain.ticket()
                  while !domain.poll(period) { spinHint() }
                } else {
                  domain.synchronize()
                }
              }
              words[1].storeRelaxed(99)
              words[2].storeRelaxed(99)
            }
          ),
        ],
        check: { verdict.text })
    }

    /// Two replace one thing each, and overwrite what the other has unlinked as well as his own: each has seen the other's unlinking.
    private static func sharing(usesMembarrier: Bool) -> Program {
      let domain = domain(threads: 3, usesMembarrier: usesMembarrier)
      let words = Words([1, 7, 7])
      let verdict = Verdict()
      let reclaim = {
        words[0].storeRelaxed(0)
        domain.synchronize()
        words[1].storeRelaxed(99)
        words[2].storeRelaxed(99)
      }
      return Program(
        threads: [
          (
            "reader",
            {
              domain.read {
                guard words[0].loadAcquire() == 1 else { return }
                let (first, second) = (words[1].loadRelaxed(), words[2].loadRelaxed())
                if first != 7 || second != 7 { verdict.complain("the reader saw \(first) and \(second)") }
              }
            }
          ), ("one", reclaim), ("other", reclaim),
        ],
        check: { verdict.text })
    }

    /// A reader that has seen the old value says so before it leaves its section; whoever waits for it must see that.
    private static func notes(besideAnother: Bool = false, usesMembarrier: Bool = true) -> Program {
      let domain = domain(threads: 3, usesMembarrier: usesMembarrier)
      let words = Words([1, 0])
      var (hasSeen, isTold) = (false, false)
      let another: [(name: String, body: () -> Void)] = [("another", { domain.synchronize() })]
      return Program(
        threads: [
          (
            "reader",
            {
              domain.read {
                guard words[0].loadAcquire() == 1 else { return }
                hasSeen = true
                _ = words[1].fetchAddRelaxed(1)
              }
              domain.read {}
            }
          ),
          (
            "changer",
            {
              words[0].storeRelaxed(0)
              domain.synchronize()
              isTold = words[1].loadRelaxed() != 0
            }
          ),
        ] + (besideAnother ? another : []),
        check: { hasSeen && !isTold ? "the changer was not told of a reader of the old value" : nil })
    }
  }
#endif
