#if RaceLaboratory
  import Primitives
  import RaceLaboratory

  /// A small program that a row of the ledger is about, and the safeguards without which it must fail.
  struct Litmus {
    /// The row, and which of its tests.
    let name: String
    /// What is tried.
    let about: String
    var mutants: [Safeguard] = []
    /// Those of them that take long to be caught.
    var slowMutants: [Safeguard] = []
    /// Preemptions in one execution, at most; nil for any number.
    var bound: Int? = 3
    /// Whether it must fail as it is: a planted bug.
    var isBroken = false
    let threads: Int
    let make: () -> Program

    static var all: [Litmus] {
      planted + readCopyUpdate + references + index + reading + loneMisses + reshaping + reclaiming + waiting
        + durability
    }

    /// A test of the lists, or a generated program.
    static func named(_ name: String) -> Litmus? {
      all.first { $0.name == name } ?? GeneratedProgram(name)?.litmus(isTold: true)
    }

    var isGenerated: Bool { name.hasPrefix(GeneratedProgram.prefix) }

    /// A test of acts on files.
    init(
      _ name: String, _ about: String, mutants: [Safeguard] = [], slow slowMutants: [Safeguard] = [], bound: Int? = 3,
      start: Start = Start(), threads: [(name: String, acts: [Act])]
    ) {
      self.init(name, about, mutants: mutants, slow: slowMutants, bound: bound, threads: threads.count) {
        let world = World(start, threads: threads.count)
        let history = History(
          threads: threads.count, failures: start.failures)
        return Program(
          threads: threads.map { thread in
            (thread.name, { history.perform(thread.acts, on: world) })
          },
          check: { world.finish(history) })
      }
    }

    init(
      _ name: String, _ about: String, mutants: [Safeguard] = [], slow slowMutants: [Safeguard] = [], bound: Int? = 3,
      isBroken: Bool = false, threads: Int, make: @escaping () -> Program
    ) {
      self.name = name
      self.about = about
      self.mutants = mutants + slowMutants
      self.slowMutants = slowMutants
      self.bound = bound
      self.isBroken = isBroken
      self.threads = threads
      self.make = make
    }
  }
#endif
