import Primitives

/// What `bench atomicity` measures, and for how long.
package struct AtomicityPlan: Sendable {
  package var scenarios = AtomicityScenario.allCases
  package var fileBytes = 64 << 20
  /// Beside one thread that changes the file.
  package var readers = max(1, availableCores() - 1)
  package var rounds = 9
  package var millisecondsPerRound = 40
  /// Truncations measured beside a reader of 1 MiB.
  package var truncations = 500

  package init() {}

  package mutating func makeQuick() {
    rounds = 5
    millisecondsPerRound = 10
    truncations = 100
  }

  package static let allowedReaders = 1...256
  package static let allowedFileBytes = 4 << 20...16 << 30

  var blocks: Int { fileBytes / AtomicityScenario.blockBytes }
}

/// A file to be measured: an arm, and what it is called in the results.
package struct AtomicityEntry: Sendable {
  package let name: String
  package let arm: any AtomicityArm
  /// Brings everything to storage. Called when nothing is measured.
  package let settle: @Sendable () throws -> Void

  package init(name: String, arm: any AtomicityArm, settle: @escaping @Sendable () throws -> Void) {
    self.name = name
    self.arm = arm
    self.settle = settle
  }
}
