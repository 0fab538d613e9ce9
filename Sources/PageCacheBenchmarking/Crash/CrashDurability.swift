/// What a write that has returned is worth, as the durability of a file says it.
package enum CrashDurability: String, Sendable, CaseIterable {
  /// It is in the kernel: what has returned outlives the process.
  case writeThrough = "write-through"
  /// It is in the process: what was synced outlives it. Later changes are there or not, page by page.
  case writeBack = "write-back"
}

/// What killed and killing process must agree on.
package struct CrashLoad: Sendable {
  package var seed: UInt64
  /// What the names of the two files and of the log begin with.
  package var path: String

  package init(seed: UInt64, path: String) {
    self.seed = seed
    self.path = path
  }

  static let files = 2
  /// Changes between two syncs of a file, about.
  static let syncPeriod: UInt64 = 20

  var state: StampedState { StampedState(group: 1, files: CrashLoad.files, phase: 0) }

  /// Changes are as long as the target does in one step: a longer one may end anywhere.
  func drawing(_ target: some ExerciseTarget) -> ChangeDrawing {
    ChangeDrawing(target.atomicChanges, of: state, longest: target.maximumAtomicLength, seed: seed)
  }

  func file(_ number: Int) -> String { "\(path).\(number)" }
  var log: String { "\(path).log" }
}
