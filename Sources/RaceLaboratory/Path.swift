/// What a step depends on.
enum StepKind: UInt8 {
  /// Nothing.
  case alone
  /// Everything.
  case other
  case load, store
  /// A read-modify-write, a lock, a call: the newest of what is there.
  case update
}

/// One step of an execution, with what else could have been done.
struct PathNode {
  var thread: Int8
  /// Who could go on, as bits.
  var enabled: UInt8
  /// Who must be tried here, and who has been.
  var wanted: UInt8 = 0
  var tried: UInt8
  /// Whose next step was tried before in the same situation, and has met nothing since that it depends on: it need not be tried again.
  var asleep: UInt8 = 0
  /// Who went before, and whether he could have gone on: choosing somebody else takes the processor from him.
  let previous: Int8
  let previousGoesOn: Bool
  /// How often that has been done before this step.
  let preemptions: Int16
  /// The first step of the uninterrupted run that this one belongs to.
  var runStart: Int32
  /// Of a load: which of the stores that it may return, newest first, and how many there are.
  var choice: UInt8 = 0
  var choices: UInt8 = 1
  /// Of a load: whether the store behind it is made first, and which that is.
  var isEarly = false
  var behind: StoreBehind?
  /// What it costs to choose anything but the first, as preemptions do.
  var choiceCost: Int16 = 0
  /// All steps that had to come before it, and it: for each thread how many.
  var past = VectorClock.zero

  @inline(__always)
  func cost(of thread: Int) -> Int16 { previousGoesOn && thread != Int(previous) ? 1 : 0 }

  /// What the next step begins with.
  @inline(__always)
  var preemptionsAfter: Int16 { preemptions + cost(of: Int(thread)) + (isEarly ? 1 : choice > 0 ? choiceCost : 0) }

  /// In a path, behind all choices.
  static var early: UInt8 { .max }
}

/// The choices that make one execution: all that is needed to run it again.
package struct Path: Sendable, CustomStringConvertible {
  /// Thread and choice of each step.
  var steps: [(thread: Int8, choice: UInt8)]

  /// `0*12.1v2.1*3`: twelve steps of thread 0, one of thread 1 that loads the third newest store, three more of it.
  /// `v255` makes the store that stands behind the load first.
  package var description: String {
    var parts: [String] = []
    var run = 0
    for (place, step) in steps.enumerated() {
      if step.choice > 0 {
        parts.append("\(step.thread)v\(step.choice)")
        continue
      }
      run += 1
      if place + 1 == steps.count || steps[place + 1].thread != step.thread || steps[place + 1].choice > 0 {
        parts.append("\(step.thread)*\(run)")
        run = 0
      }
    }
    return parts.joined(separator: ".")
  }

  package init?(_ text: String) {
    steps = []
    for part in text.split(separator: ".") {
      if let star = part.firstIndex(of: "*") {
        guard let thread = Int8(part[..<star]), let count = Int(part[part.index(after: star)...]),
          (0..<Int8(Explorer.mostThreads)).contains(thread),
          (1...1_000_000).contains(count)
        else { return nil }
        steps += Array(repeating: (thread, 0), count: count)
      } else if let mark = part.firstIndex(of: "v") {
        guard let thread = Int8(part[..<mark]), let choice = UInt8(part[part.index(after: mark)...]),
          (0..<Int8(Explorer.mostThreads)).contains(thread)
        else { return nil }
        steps.append((thread, choice))
      } else {
        return nil
      }
    }
    if steps.isEmpty { return nil }
  }

  init(_ nodes: ArraySlice<PathNode>) { steps = nodes.map { ($0.thread, $0.isEarly ? PathNode.early : $0.choice) } }
}
