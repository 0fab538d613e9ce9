/// Does drawn changes to files, and keeps the bytes for it.
@safe
final class ChangeBytes: @unchecked Sendable {
  // Of the one thread that changes the files.
  private let buffer: UnsafeMutableRawBufferPointer

  init(longest: Int) {
    unsafe buffer = .allocate(byteCount: longest, alignment: 64)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe buffer.deallocate() }

  /// Does a change. The state is still that before it.
  func perform<File: ExercisedFile>(
    _ kind: ExerciseChange, _ change: StampedChange, after state: StampedState, on files: [File]
  ) throws {
    switch change {
    case .write(let file, let cells):
      let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<(cells.count * Stamp.cellBytes)])
      unsafe Stamp.fill(bytes, version: state.version + 1, group: state.group)
      if kind == .append {
        let place = try unsafe files[file].append(.init(bytes))
        guard place == state.bytes(cells).lowerBound else { throw ExerciseError("appended at \(place)") }
      } else {
        try unsafe files[file].write(at: state.bytes(cells).lowerBound, .init(bytes))
      }
    case .zero(let file, let cells, let isGrowing):
      if kind == .punchHole {
        try files[file].punchHole(state.bytes(cells))
      } else {
        try files[file].zero(state.bytes(cells), keepingSize: !isGrowing)
      }
    case .resize(let file, let cells): try files[file].resize(to: state.bytes(0..<cells).upperBound)
    case .collapse(let file, let cells): try files[file].collapse(state.bytes(cells))
    case .insert(let file, let cells): try files[file].insert(state.bytes(cells))
    case .clone(let source, let cells, let file, let cell):
      try files[file].clone(
        state.bytes(cells), of: files[source], to: state.bytes(cell..<cell).lowerBound)
    case .exchange(let file, let cells, let other, let cell):
      try files[file].exchange(
        state.bytes(cells), with: files[other], at: state.bytes(cell..<cell).lowerBound)
    }
  }
}
