import Primitives

/// Draws the operations of an exercise from a seed.
///
/// It never sees what became of an operation, but it keeps count of the sizes that the files have if all goes as it should: half of all
/// faults are at the end of the file, so that is where it goes.
package struct OperationGenerator {
  private var random: RandomWords
  private var sizes = [Int64](repeating: 0, count: ExerciseModel.fileCount)
  /// The size that files are kept around.
  private let usualSize: Int64
  private let longest: Int
  /// Operations until files that have become very large are made small again.
  private var patience = 0

  init(seed: UInt64) {
    random = RandomWords(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
    usualSize = [64 << 10, 300 << 10, 1 << 20, 2 << 20][Int(random.next(below: 4))]
    longest = 1 << 20
  }

  /// Operations, each the same for the same seed and place.
  package static func operations(seed: UInt64, count: Int) -> [ExerciseOperation] {
    var generator = OperationGenerator(seed: seed)
    return (0..<count).map { _ in generator.next() }
  }

  mutating func next() -> ExerciseOperation {
    let file = chance(5) ? 1 : 0
    if sizes[file] > 4 * usualSize {
      patience -= 1
      if patience <= 0 {
        patience = 100
        return resized(file, length(upTo: usualSize * 2))
      }
    }
    return draw(file)
  }

  /// Parts in 1000.
  private mutating func draw(_ file: Int) -> ExerciseOperation {
    switch random.next(below: 1000) {
    case 0..<400: return .read(file: file, offset: offset(file), count: count())
    case 400..<660:
      let offset = offset(file)
      let count = count()
      grow(file, offset + Int64(count), count: count)
      return .write(file: file, offset: offset, count: count, fill: random.next() >> 32)
    case 660..<700:
      let count = count()
      grow(file, sizes[file] + Int64(count), count: count)
      return .append(file: file, count: count, fill: random.next() >> 32)
    case 700..<750: return resized(file, chance(2) ? offset(file) : max(0, sizes[file] - length(upTo: usualSize) / 4))
    case 750..<800: return .punchHole(file: file, range: range(file))
    case 800..<830:
      let range = range(file)
      let keeping = chance(2)
      if !keeping { grow(file, range.upperBound, count: range.count) }
      return .zero(file: file, range: range, keepingSize: keeping)
    case 830..<845:
      let range = pages(file)
      if range.upperBound < sizes[file] { sizes[file] -= Int64(range.count) }
      return .collapse(file: file, range: range)
    case 845..<860:
      let range = pages(file)
      if range.lowerBound < sizes[file] { sizes[file] += Int64(range.count) }
      return .insert(file: file, range: range)
    case 860..<885: return cloned(file)
    case 885..<905: return copied(file)
    case 905..<917: return exchanged(file)
    case 917..<922:
      let range = pages(file)
      let other = chance(2) ? file : 1 - file
      return .dedupe(file: file, range: range, with: other, offset: aligned(offset(other)))
    case 922..<927: return .unshare(file: file, range: range(file).clamped(to: 0..<max(1, sizes[file])))
    case 927..<940:
      let range = range(file)
      let keeping = chance(2)
      if !keeping { grow(file, range.upperBound, count: range.count) }
      return .allocate(file: file, range: range, keepingSize: keeping)
    case 940..<955: return .seekData(file: file, offset: offset(file))
    case 955..<970: return .seekHole(file: file, offset: offset(file))
    case 970..<972: return .sync(file: file, dataOnly: chance(2))
    case 972..<976: return .flush(file: file, range: range(file))
    case 976..<979: return .invalidate(file: file)
    case 979: return chance(2) ? .reopen(file: file) : chance(4) ? .compareStorage(file: file) : .compare(file: file)
    case 980: return far(file)
    default: return invalid(file)
    }
  }

  // MARK: Some operations

  private mutating func resized(_ file: Int, _ size: Int64) -> ExerciseOperation {
    sizes[file] = size
    return .resize(file: file, size: size)
  }

  private mutating func cloned(_ file: Int) -> ExerciseOperation {
    let source = chance(2) ? file : 1 - file
    var range = pages(source)
    // The last block, which need not be whole.
    if chance(4), sizes[source] > 0 {
      range = aligned(sizes[source] - 1 - length(upTo: 20_000))..<sizes[source]
    }
    if chance(12) { range = range.lowerBound..<range.upperBound + length(upTo: 100) }
    let offset = aligned(offset(file))
    if range.upperBound <= sizes[source] { grow(file, offset + Int64(range.count), count: range.count) }
    return .clone(range: range, of: source, file: file, offset: offset)
  }

  private mutating func copied(_ file: Int) -> ExerciseOperation {
    let source = chance(2) ? file : 1 - file
    let range = range(source).clamped(to: 0..<max(1, sizes[source]))
    let offset = offset(file)
    grow(file, offset + Int64(range.count), count: range.count)
    return .copy(range: range, of: source, file: file, offset: offset)
  }

  private mutating func exchanged(_ file: Int) -> ExerciseOperation {
    let other = chance(2) ? file : 1 - file
    return .exchange(file: file, range: pages(file), with: other, offset: aligned(offset(other)))
  }

  /// Where no file has been: high in the index, and sparse.
  private mutating func far(_ file: Int) -> ExerciseOperation {
    patience = 100
    let place = Int64(1) << Int64(random.next(below: 18) + 24)
    let offset = place + length(upTo: 8192) - 4096
    if chance(3) { return resized(file, offset) }
    grow(file, offset + 100, count: 100)
    return .write(file: file, offset: offset, count: 100, fill: random.next() >> 32)
  }

  /// What has to be refused.
  private mutating func invalid(_ file: Int) -> ExerciseOperation {
    let range = range(file)
    let count = Int64(max(1, range.count))
    switch random.next(below: 12) {
    case 0: return .read(file: file, offset: -1 - length(upTo: 5000), count: 1 + self.count())
    case 1: return .write(file: file, offset: -1 - length(upTo: 5000), count: 1 + self.count(), fill: 1)
    case 2: return .read(file: file, offset: .max - length(upTo: 5), count: 10 + self.count())
    case 3: return .write(file: file, offset: .max - length(upTo: 5), count: 10 + self.count(), fill: 1)
    case 4: return .resize(file: file, size: -1 - length(upTo: 1 << 40))
    case 5: return .punchHole(file: file, range: -count..<range.upperBound)
    case 6: return .zero(file: file, range: -count..<range.upperBound, keepingSize: chance(2))
    case 7:
      // Not of whole pages.
      let start = aligned(range.lowerBound)
      return .collapse(file: file, range: start + 1 + length(upTo: 4094)..<start + 8192)
    case 8:
      let start = aligned(range.lowerBound)
      return .insert(file: file, range: start..<start + 1 + length(upTo: 4094))
    case 9:
      // Past the end: nothing to remove, nowhere to insert.
      let start = aligned(sizes[file] + 4095)
      return chance(2)
        ? .collapse(file: file, range: max(0, start - 4096)..<start + 4096)
        : .insert(file: file, range: start..<start + 4096)
    case 10:
      let pages = pages(file)
      return .clone(range: pages, of: file, file: file, offset: max(0, pages.lowerBound - (chance(2) ? 0 : 4096)))
    default:
      return chance(2)
        ? .allocate(file: file, range: -count..<range.upperBound, keepingSize: true)
        : .exchange(file: file, range: pages(file), with: file, offset: -4096)
    }
  }

  // MARK: Places and lengths

  /// True once in so many times.
  private mutating func chance(_ count: UInt64) -> Bool { random.next(below: count) == 0 }

  private mutating func length(upTo most: Int64) -> Int64 { Int64(random.next(below: UInt64(max(1, most)))) }

  private func aligned(_ offset: Int64) -> Int64 { max(0, offset) / 4096 * 4096 }

  /// Mostly short.
  private mutating func count() -> Int {
    switch random.next(below: 1000) {
    case 0..<10: return 0
    case 10..<500: return Int(length(upTo: 256)) + 1
    case 500..<800: return Int(length(upTo: 6000)) + 1
    case 800..<900: return Int(length(upTo: 8) + 1) * 4096
    case 900..<970: return Int(length(upTo: 70 << 10)) + 1
    case 970..<995: return Int(length(upTo: 256 << 10)) + 1
    default: return Int(length(upTo: Int64(longest))) + 1
    }
  }

  /// Mostly at the edges of pages, and at the end of the file.
  private mutating func offset(_ file: Int) -> Int64 {
    let size = sizes[file]
    // A file that is large for the moment is visited at its start and its end.
    let near = min(size, 2 * usualSize)
    let edge: Int64
    switch random.next(below: 20) {
    case 0..<6: return length(upTo: near + 1)
    case 6..<11: edge = aligned(length(upTo: near + 1))
    case 11: return aligned(length(upTo: near + 1))
    case 12..<16: edge = size
    case 16: edge = 0
    case 17: edge = near & ~0xFFFF
    case 18: edge = size + length(upTo: 20_000)
    default: edge = size - length(upTo: 10_000)
    }
    switch random.next(below: 6) {
    case 0: return max(0, edge)
    case 1: return max(0, edge - 1)
    case 2: return max(0, edge + 1)
    case 3: return max(0, edge - length(upTo: 16))
    default: return max(0, edge + length(upTo: 200) - 100)
    }
  }

  private mutating func range(_ file: Int) -> Range<Int64> {
    let start = offset(file)
    let count = Int64(count())
    return start..<start + (chance(4) ? aligned(start + count) - aligned(start) : count)
  }

  /// Whole pages, mostly within the file.
  private mutating func pages(_ file: Int) -> Range<Int64> {
    let start = aligned(length(upTo: min(sizes[file], 2 * usualSize) + 1))
    let count = chance(8) ? length(upTo: 64) + 1 : length(upTo: 4) + 1
    return start..<start + count * 4096
  }

  private mutating func grow(_ file: Int, _ size: Int64, count: Int) {
    if count > 0 { sizes[file] = max(sizes[file], size) }
  }
}
