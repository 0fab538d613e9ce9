/// A step after which others could go on, and what came before it.
struct Release {
  let node: Int
  let past: VectorClock

  init(_ node: Int, _ past: VectorClock) {
    self.node = node
    self.past = past
  }
}

/// A lock with a condition, as the threads of a model see it.
package final class ModelMutex {
  /// The thread that has it; -1 for nobody, -2 for who is none of the model's.
  var owner = -1
  /// In order of arrival.
  var waiting: [ModelThread] = []
  // Of one execution.
  var execution = 0
  var released = VectorClock.zero
  var past = VectorClock.zero
  var releases: [Release] = []
  /// As in `Location`.
  var resumed: [StepMark] = []
  /// Who took it, and who let it go.
  var steps: [StepMark] = []
  /// Attempts that failed since it was taken: a release could have come before them.
  var failedTries: [StepMark] = []
  /// Who signalled, and who began to wait.
  var queueSteps: [StepMark] = []
  var queuePast = VectorClock.zero

  package init() {}

  @inline(__always)
  var isFree: Bool { owner == -1 }

  /// Forgets what was in an earlier execution.
  func enter(execution: Int) {
    guard self.execution != execution else { return }
    self.execution = execution
    released = .zero
    past = .zero
    releases.removeAll(keepingCapacity: true)
    resumed.removeAll(keepingCapacity: true)
    steps.removeAll(keepingCapacity: true)
    failedTries.removeAll(keepingCapacity: true)
    queueSteps.removeAll(keepingCapacity: true)
    queuePast = .zero
    waiting.removeAll(keepingCapacity: true)
  }
}
