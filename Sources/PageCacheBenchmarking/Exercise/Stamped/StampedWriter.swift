import Primitives

/// Draws changes of a group, does them, and announces them.
@safe
final class StampedWriter<File: ExercisedFile>: @unchecked Sendable {
  private let group: StampedGroup<File>
  private let changes: [ExerciseChange]
  private let longest: Int
  private var random: RandomWords
  private let buffer: UnsafeMutableRawBufferPointer
  // Written by the thread that writes, read when it has ended.
  private(set) var state: StampedState
  private(set) var done = 0
  private(set) var failure: String?

  /// Cells that a file may grow to: 2 MiB.
  private static var mostCells: Int { 32768 }
  private static var cellsInPage: Int { 4096 / Stamp.cellBytes }

  /// - Parameters:
  ///   - longest: bytes up to which a change is atomic, but for those that are at any length.
  init(_ group: StampedGroup<File>, changes: Set<ExerciseChange>, longest: Int, seed: UInt64) {
    self.group = group
    self.longest = longest / Stamp.cellBytes
    random = RandomWords(seed: seed)
    state = StampedState(group: group.number, files: group.files.count, phase: group.phase)
    // Changes of whole pages do not fit cells that lie across their edges.
    let whole: Set<ExerciseChange> = [.collapse, .insert, .clone, .exchange]
    let possible = group.phase == 0 ? changes : changes.subtracting(whole)
    // Sorted, so that a seed always means the same.
    self.changes = ExerciseChange.allCases.filter { possible.contains($0) }
    unsafe buffer = .allocate(byteCount: longest, alignment: 64)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe buffer.deallocate() }

  /// Does one change.
  /// - Returns: false if it was refused, or was told to stop: there will be no further ones.
  func step(isStopped: () -> Bool) -> Bool {
    guard let (kind, change) = draw() else { return true }
    let version = state.version + 1
    guard group.begin(change, version: version, isStopped: isStopped) else { return false }
    do {
      try perform(kind, change, version: version)
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

  private func perform(_ kind: ExerciseChange, _ change: StampedChange, version: UInt64) throws {
    switch change {
    case .write(let file, let cells):
      let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<(cells.count * Stamp.cellBytes)])
      unsafe Stamp.fill(bytes, version: version, group: group.number)
      if kind == .append {
        let place = try unsafe group.files[file].append(.init(bytes))
        guard place == state.bytes(cells).lowerBound else { throw ExerciseError("appended at \(place)") }
      } else {
        try unsafe group.files[file].write(at: state.bytes(cells).lowerBound, .init(bytes))
      }
    case .zero(let file, let cells, let isGrowing):
      if kind == .punchHole {
        try group.files[file].punchHole(state.bytes(cells))
      } else {
        try group.files[file].zero(state.bytes(cells), keepingSize: !isGrowing)
      }
    case .resize(let file, let cells): try group.files[file].resize(to: state.bytes(0..<cells).upperBound)
    case .collapse(let file, let cells): try group.files[file].collapse(state.bytes(cells))
    case .insert(let file, let cells): try group.files[file].insert(state.bytes(cells))
    case .clone(let source, let cells, let file, let cell):
      try group.files[file].clone(
        state.bytes(cells), of: group.files[source], to: state.bytes(cell..<cell).lowerBound)
    case .exchange(let file, let cells, let other, let cell):
      try group.files[file].exchange(
        state.bytes(cells), with: group.files[other], at: state.bytes(cell..<cell).lowerBound)
    }
  }

  // MARK: Drawing

  private func draw() -> (ExerciseChange, StampedChange)? {
    let file = below(group.files.count)
    let size = state.files[file].count
    // Half are writes; the others are as many of each kind.
    let kind = chance(2) ? .write : changes[below(changes.count)]
    switch kind {
    case .write:
      let cells = cells(in: size)
      return (kind, .write(file: file, cells: cells))
    case .append:
      let count = length()
      guard size + count <= Self.mostCells else { return (.resize, .resize(file: file, cells: size / 4)) }
      return (kind, .write(file: file, cells: size..<size + count))
    case .resize:
      let wanted = chance(3) ? below(Self.mostCells) : max(0, min(Self.mostCells, size - 2000 + below(3000)))
      return (kind, .resize(file: file, cells: wanted))
    case .punchHole: return (kind, .zero(file: file, cells: cells(in: size), isGrowing: false))
    case .zero: return (kind, .zero(file: file, cells: cells(in: size), isGrowing: chance(2)))
    case .collapse:
      let cells = pages(in: size)
      return cells.upperBound < size ? (kind, .collapse(file: file, cells: cells)) : nil
    case .insert:
      let cells = pages(in: size)
      guard cells.lowerBound < size, size + cells.count <= Self.mostCells else { return nil }
      return (kind, .insert(file: file, cells: cells))
    case .clone:
      let other = below(group.files.count)
      let cells = pages(in: state.files[other].count)
      let cell = pages(in: size).lowerBound
      guard cells.upperBound <= state.files[other].count else { return nil }
      guard other != file || !cells.overlaps(cell..<cell + cells.count) else { return nil }
      return (kind, .clone(from: other, cells: cells, to: file, cell: cell))
    case .exchange:
      let other = below(group.files.count)
      let cells = pages(in: size)
      let cell = pages(in: state.files[other].count).lowerBound
      guard cells.upperBound <= size, cell + cells.count <= state.files[other].count else { return nil }
      guard other != file || !cells.overlaps(cell..<cell + cells.count) else { return nil }
      return (kind, .exchange(file: file, cells: cells, with: other, cell: cell))
    }
  }

  private func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(max(1, bound)))) }
  private func chance(_ count: Int) -> Bool { below(count) == 0 }

  private func length() -> Int {
    let most = [4, 70, 300, 2000, Self.mostCells / 2][min(4, below(12) / 2)]
    return min(longest, below(most) + 1)
  }

  /// Anywhere, mostly within the file, never past what a file may grow to.
  private func cells(in size: Int) -> Range<Int> {
    let count = length()
    let start = below(min(size + size / 8 + 256, Self.mostCells - count))
    return start..<start + count
  }

  private func pages(in size: Int) -> Range<Int> {
    let pages = Self.mostCells / Self.cellsInPage
    let count = min(chance(4) ? below(64) + 1 : below(6) + 1, longest / Self.cellsInPage)
    let start = below(min(size / Self.cellsInPage + 1, pages - count))
    return start * Self.cellsInPage..<(start + count) * Self.cellsInPage
  }
}
