import Primitives

/// Draws changes of a group's files: the same for the same seed and the same states.
struct ChangeDrawing {
  private let changes: [ExerciseChange]
  private let longest: Int
  private var random: RandomWords

  /// Cells that a file may grow to: 2 MiB.
  static let mostCells = 32768
  private static let cellsInPage = 4096 / Stamp.cellBytes

  /// - Parameters:
  ///   - changes: the kinds of changes to draw from.
  ///   - longest: bytes that one change may have.
  init(_ changes: Set<ExerciseChange>, of state: StampedState, longest: Int, seed: UInt64) {
    self.longest = longest / Stamp.cellBytes
    random = RandomWords(seed: seed)
    // Changes of whole pages do not fit cells that lie across their edges.
    let whole: Set<ExerciseChange> = [.collapse, .insert, .clone, .exchange]
    let possible = state.phase == 0 ? changes : changes.subtracting(whole)
    // Sorted, so that a seed always means the same.
    self.changes = ExerciseChange.allCases.filter { possible.contains($0) }
  }

  /// The next change of files in a state, or nil if what was drawn cannot be done.
  mutating func next(_ state: StampedState) -> (ExerciseChange, StampedChange)? {
    let file = below(state.files.count)
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
      let other = below(state.files.count)
      let cells = pages(in: state.files[other].count)
      let cell = pages(in: size).lowerBound
      guard cells.upperBound <= state.files[other].count else { return nil }
      guard other != file || !cells.overlaps(cell..<cell + cells.count) else { return nil }
      return (kind, .clone(from: other, cells: cells, to: file, cell: cell))
    case .exchange:
      let other = below(state.files.count)
      let cells = pages(in: size)
      let cell = pages(in: state.files[other].count).lowerBound
      guard cells.upperBound <= size, cell + cells.count <= state.files[other].count else { return nil }
      guard other != file || !cells.overlaps(cell..<cell + cells.count) else { return nil }
      return (kind, .exchange(file: file, cells: cells, with: other, cell: cell))
    }
  }

  private mutating func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(max(1, bound)))) }
  private mutating func chance(_ count: Int) -> Bool { below(count) == 0 }

  private mutating func length() -> Int {
    let most = [4, 70, 300, 2000, Self.mostCells / 2][min(4, below(12) / 2)]
    return min(longest, below(most) + 1)
  }

  /// Anywhere, mostly within the file, never past what a file may grow to.
  private mutating func cells(in size: Int) -> Range<Int> {
    let count = length()
    let start = below(min(size + size / 8 + 256, Self.mostCells - count))
    return start..<start + count
  }

  private mutating func pages(in size: Int) -> Range<Int> {
    let pages = Self.mostCells / Self.cellsInPage
    let count = min(chance(4) ? below(64) + 1 : below(6) + 1, longest / Self.cellsInPage)
    let start = below(min(size / Self.cellsInPage + 1, pages - count))
    return start * Self.cellsInPage..<(start + count) * Self.cellsInPage
  }
}
