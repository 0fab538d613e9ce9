import Primitives

/// Makes a list of operations that fails short: leaves parts out for as long as it still fails.
package struct OperationShrinker {
  /// Tries no more after this long.
  package var seconds = 60.0
  /// Runs of a short list that must all go well before it counts as one that does not fail, if failing is a matter of chance; fewer of a long one.
  package var repetitions = 20

  package init() {}

  package struct Result {
    package var operations: [ExerciseOperation]
    package var difference: ExerciseDifference
    package var attempts: Int
  }

  /// - Parameters:
  ///   - list: fails, or has failed once.
  ///   - fails: does a list from the start and says how it failed.
  /// - Returns: nil if the list does not fail again.
  package func shrink(
    _ list: [ExerciseOperation], fails: ([ExerciseOperation]) -> ExerciseDifference?
  ) -> Result? {
    let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
    guard let first = again(list, self.repetitions, fails) else { return nil }
    // What fails at the same place twice more needs no repetitions.
    let prefix = Array(list.prefix(first.index + 1))
    let isChance = (0..<2).contains { _ in fails(prefix) != first }
    let repetitions = isChance ? self.repetitions : 1
    var result = Result(operations: Array(list.prefix(first.index + 1)), difference: first, attempts: 1)
    var part = max(1, result.operations.count / 2)
    while true {
      var isShorter = false
      // From the end: what was done last is needed most, so what goes first is found early.
      var start = result.operations.count
      while start > 0 {
        guard monotonicNanoseconds() < end else { return result }
        let range = max(0, start - part)..<start
        start = range.lowerBound
        var shorter = result.operations
        shorter.removeSubrange(range)
        guard !shorter.isEmpty else { continue }
        result.attempts += 1
        guard let difference = again(shorter, repetitions, fails) else { continue }
        // What comes behind the failure is not needed either.
        result.operations = Array(shorter.prefix(difference.index + 1))
        result.difference = difference
        start = min(start, result.operations.count)
        isShorter = true
      }
      if part > 1 { part = max(1, min(part / 2, result.operations.count / 2)) } else if !isShorter { return result }
    }
  }

  /// Runs a list until it fails, the more often the shorter it is.
  private func again(
    _ list: [ExerciseOperation], _ repetitions: Int, _ fails: ([ExerciseOperation]) -> ExerciseDifference?
  ) -> ExerciseDifference? {
    for _ in 0..<max(min(2, repetitions), min(repetitions, repetitions * 500 / max(1, list.count))) {
      if let difference = fails(list) { return difference }
    }
    return nil
  }
}
