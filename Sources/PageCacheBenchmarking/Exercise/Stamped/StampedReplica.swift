/// A reader's own picture of a group: moved forward through its changes, never back.
struct StampedReplica {
  private(set) var state: StampedState
  let reader: Int

  init(state: StampedState, reader: Int) {
    self.state = state
    self.reader = reader
  }

  /// Decides whether some instant explains a read.
  ///
  /// The smallest version that does is taken, and the next read of this thread must be explained by the same or a later one: what a
  /// thread reads never goes back. Taking the smallest makes that check exact.
  /// - Returns: nil, or what is wrong.
  mutating func explain<File: ExercisedFile>(
    _ bytes: UnsafeRawBufferPointer, file: Int, at offset: Int, wanted: Int, of group: StampedGroup<File>,
    oldest: UInt64, newest: UInt64
  ) -> String? {
    catchUp(to: oldest, of: group)
    let first = state.version
    let sizeBefore = state.size(file)
    var changes: [StampedChange] = []
    while true {
      if unsafe state.matches(bytes, file: file, at: offset, wanted: wanted) {
        group.passed(state.version, reader: reader)
        return nil
      }
      guard state.version < newest else { break }
      let change = group.change(state.version + 1)
      if changes.count < 4 { changes.append(change) }
      state.apply(change)
    }
    // Nothing explains it. The picture has gone as far as the last change that had begun; the next read must not ask for an earlier one.
    group.waitUntilEnded(newest)
    group.passed(state.version, reader: reader)
    if group.isBroken { return nil }
    let last = first > 0 ? "\(group.change(first))" : "nothing"
    let following = changes.map { "\($0)" }.joined(separator: ", ")
    let before = first > oldest ? ", and an earlier read has seen change \(first)" : ""
    return
      unsafe "read of \(wanted) bytes at \(offset) of file \(file), group \(group.number): \(bytes.count) bytes that were never there "
      + "together (changes \(oldest)...\(newest) come into question\(before); \(last) left \(sizeBefore) bytes in the file, then [\(following)] "
      + "\(state.size(file))): \(state.account(bytes, at: offset))"
  }

  mutating func catchUp<File: ExercisedFile>(to version: UInt64, of group: StampedGroup<File>) {
    while state.version < version { state.apply(group.change(state.version + 1)) }
    group.passed(state.version, reader: reader)
  }
}
