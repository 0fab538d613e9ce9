#if RaceLaboratory
  import Folios
  import PageIndex
  import Primitives
  import RaceLaboratory
  import ReadCopyUpdate

  extension Litmus {
    /// The index by itself.
    static var index: [Litmus] {
      [
        Litmus("R7", "a node is taken out under a reader who looks at it again", mutants: [.retryEntries], threads: 2) {
          let world = IndexWorld()
          world.hole(0...3)
          world.store(3, 5)
          world.hole(3...3)
          world.store(4, 6)
          return world.program([
            (
              "writer",
              {
                world.hole(0...3)
                world.store(3, 77)
                world.store(4, 78)
              }
            )
          ])
        },
        Litmus(
          "R7 empty", "nodes that have become empty are taken out under a reader", mutants: [], threads: 2
        ) {
          let world = IndexWorld()
          world.store(3, 5)
          world.store(4, 6)
          return world.program([
            (
              "writer",
              {
                world.erase(3)
                world.erase(4)
                world.store(3, 7)
              }
            )
          ])
        },
        Litmus("R8", "a hole is written, emptied and a hole again", mutants: [.holeVersions], threads: 4) {
          let world = IndexWorld()
          world.hole(3...3)
          world.store(4, 6)
          return world.program([
            ("one", { world.replace(3, 77, 4, 0) }), ("two", { world.replace(4, 78, 3, 0) }),
            ("three", { world.replace(3, 79, 4, 0) }),
          ])
        },
        Litmus("L21", "one entry for many pages becomes many, and the tree grows", threads: 2) {
          let world = IndexWorld()
          world.hole(0...3)
          return world.program([
            (
              "writer",
              {
                world.store(4, 6)
                world.store(3, 77)
                world.store(40, 1)
              }
            )
          ])
        },
        Litmus("L18", "somebody iterates without the lock while the tree grows", threads: 2) {
          let world = IndexWorld()
          world.store(3, 5)
          return world.program(
            [
              (
                "writer",
                {
                  world.store(4, 6)
                  world.store(5, 7)
                }
              )
            ], reader: { world.iterate() })
        },
      ]
    }
  }

  /// An index of values and holes, and all states that it has been in.
  private final class IndexWorld {
    let domain: ReadDomain
    let pool: FramePool
    let rootWord = Words([0])
    private var held: PageIndex?
    /// What pages 3 and 4 have been, at the same time; nil for nothing.
    private var states: [[UInt64?]] = [[nil, nil]]
    private let verdict = Verdict()

    init() {
      guard let domain = try? ReadDomain(),
        let pool = try? FramePool(
          limit: 512 * (256 + FolioMetadata.byteCount), frameShift: 8, nodeFanOutShifts: [2], domain: domain)
      else { giveUp("no memory for an index") }
      self.domain = domain
      self.pool = pool
      held = PageIndex(
        geometry: IndexGeometry(fanOutShift: 2), nodes: pool.nodes(fanOutShift: 2), root: rootWord[0])
    }

    private var index: PageIndex {
      guard let held else { giveUp("the index is gone") }
      return held
    }

    private func change(_ pages: ClosedRange<UInt64>, to value: UInt64?, _ body: (inout NodeReserve) -> Void) {
      var reserve = NodeReserve(for: index)
      guard reserve.fill(to: index.nodesNeeded(from: pages.lowerBound, through: pages.upperBound)) else {
        giveUp("no nodes")
      }
      index.withLock {
        body(&reserve)
        guard var state = states.last else { return }
        for page: UInt64 in 3...4 where pages.contains(page) { state[Int(page) - 3] = value }
        states.append(state)
      }
      reserve.giveBack()
    }

    func store(_ page: UInt64, _ value: UInt64) {
      change(page...page, to: value) { reserve in index.store(page, order: 0, reserve: &reserve) { _ in .value(value) }
      }
    }

    /// One after the other, without letting go of the lock; 0 for a hole. Both pages have a slot.
    func replace(_ first: UInt64, _ value: UInt64, _ second: UInt64, _ other: UInt64) {
      var reserve = NodeReserve(for: index)
      index.withLock {
        for (page, value) in [(first, value), (second, other)] {
          if value == 0 {
            index.storeHole(from: page, through: page, reserve: &reserve)
          } else {
            index.store(page, order: 0, reserve: &reserve) { _ in .value(value) }
          }
          guard var state = states.last else { return }
          state[Int(page) - 3] = value
          states.append(state)
        }
      }
    }

    func hole(_ pages: ClosedRange<UInt64>) {
      change(pages, to: 0) { index.storeHole(from: pages.lowerBound, through: pages.upperBound, reserve: &$0) }
    }

    func erase(_ page: UInt64) {
      change(page...page, to: nil) { index.erase(from: page, through: page, reserve: &$0) { _ in } }
    }

    /// Looks at both pages until nothing has changed while it looked: the protocol of a hit, without bytes.
    private func read() {
      domain.read {
        for _ in 0..<2 {
          var noted: [PageIndex.Location?] = []
          for page: UInt64 in 3...4 { noted.append(index.locate(page)) }
          acquireFence()
          // Where there is no slot, there is nothing to look at again.
          guard noted.allSatisfy({ $0.map { !$0.entry.isEmpty && $0.slot.loadRelaxed() == $0.entry.word } ?? false })
          else {
            continue
          }
          let values: [UInt64?] = noted.map { $0.map { $0.entry.isHole ? 0 : $0.entry.value } }
          index.withLock {
            if !states.contains(values) { verdict.complain("the reader saw \(values), which never was: \(states)") }
          }
          return
        }
      }
    }

    /// What is there all the time is met, and nothing that never was.
    func iterate() {
      domain.read {
        if !index.hasAny(.dirty), index.next(from: 0, through: 3, values: true)?.entry != .value(5) {
          verdict.complain("page 3 was not met")
        }
        guard let found = index.next(from: 4, through: 5, values: true) else { return }
        if found.entry.value != found.page + 2 { verdict.complain("page \(found.page) was \(found.entry.value)") }
      }
    }

    func program(_ writers: [(name: String, body: () -> Void)], reader: (() -> Void)? = nil) -> Program {
      for number in 0...writers.count { Explorer.shared.asThread(number) { _ = domain.record() } }
      return Program(threads: [("reader", reader ?? { self.read() })] + writers) { self.finish() }
    }

    private func finish() -> String? {
      if let text = verdict.text { return text }
      index.withLock { index.removeAll { _ in } }
      held = nil
      pool.reclaimRetired(waiting: true)
      let missing = 512 - pool.freeFrames - pool.nodeFrames
      if missing != 0 { return "\(missing) frames were not given back" }
      return pool.usedNodes == 0 ? nil : "\(pool.usedNodes) nodes were not given back"
    }
  }
#endif
