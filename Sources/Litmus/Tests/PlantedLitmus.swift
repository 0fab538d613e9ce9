#if RaceLaboratory
  import Primitives
  import RaceLaboratory

  extension Litmus {
    /// Protocols that are known to be wrong, to see that the laboratory sees it.
    static var planted: [Litmus] {
      [
        Litmus(
          "S0 counter",
          "a counter that covers deletions only, as first proposed, against a hole punched in part of a folio",
          bound: nil, isBroken: true, threads: 2
        ) {
          // How many folios have been deleted; and a folio of two words.
          let deletions = Words([0])
          let folio = Words([7, 7])
          let verdict = Verdict()
          return Program(
            threads: [
              (
                "reader",
                {
                  let before = deletions[0].loadAcquire()
                  let (first, second) = (folio[0].loadRelaxed(), folio[1].loadRelaxed())
                  acquireFence()
                  guard deletions[0].loadRelaxed() == before else { return }
                  if first != second { verdict.complain("the reader has returned \(first) and \(second)") }
                }
              ),
              (
                "puncher",
                {
                  // All of the folio: it is deleted, and counted. A part of it: it stays, and is zeroed.
                  folio[0].storeRelaxed(0)
                  folio[1].storeRelaxed(0)
                }
              ),
            ],
            check: { verdict.text })
        }
      ]
    }
  }
#endif
