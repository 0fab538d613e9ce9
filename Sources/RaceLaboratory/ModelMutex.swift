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
  var lastLock = ReadMark(thread: -1, index: 0, node: -1)
  /// Attempts that failed: a release could have come before them.
  var failedTries: [ReadMark] = []

  package init() {}

  @inline(__always)
  var isFree: Bool { owner == -1 }

  /// Forgets what was in an earlier execution.
  func enter(execution: Int) {
    guard self.execution != execution else { return }
    self.execution = execution
    released = .zero
    past = .zero
    lastLock = ReadMark(thread: -1, index: 0, node: -1)
    failedTries.removeAll(keepingCapacity: true)
    waiting.removeAll(keepingCapacity: true)
  }
}
