import Primitives

/// Draws changes of a group, does them, and announces them.
@safe
final class StampedWriter<File: ExercisedFile>: @unchecked Sendable {
  private let group: StampedGroup<File>
  private var drawing: ChangeDrawing
  private let bytes: ChangeBytes
  // Written by the thread that writes, read when it has ended.
  private(set) var state: StampedState
  private(set) var done = 0
  private(set) var failure: String?

  /// - Parameters:
  ///   - longest: bytes up to which a change is atomic, but for those that are at any length.
  init(_ group: StampedGroup<File>, changes: Set<ExerciseChange>, longest: Int, seed: UInt64) {
    self.group = group
    state = StampedState(group: group.number, files: group.files.count, phase: group.phase)
    drawing = ChangeDrawing(changes, of: state, longest: longest, seed: seed)
    bytes = ChangeBytes(longest: longest)
  }

  /// Does one change.
  /// - Returns: false if it was refused, or was told to stop: there will be no further ones.
  func step(isStopped: () -> Bool) -> Bool {
    guard let (kind, change) = drawing.next(state) else { return true }
    let version = state.version + 1
    guard group.begin(change, version: version, isStopped: isStopped) else { return false }
    do {
      try bytes.perform(kind, change, after: state, on: group.files)
    } catch {
      failure = "group \(group.number), change \(version), \(change): \(error)"
      group.breakOff(version: version)
      return false
    }
    group.end(version: version)
    state.apply(change)
    done += 1
    return true
  }

  /// Makes the files begin with what the phase asks for.
  func prepare() throws { for file in group.files { try file.resize(to: Int64(group.phase)) } }
}
