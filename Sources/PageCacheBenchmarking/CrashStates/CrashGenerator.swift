import Primitives

/// Draws histories from a seed.
///
/// Each has a theme: a few kinds of calls that it is made of, and few places where they go. So the same pages are
/// written, moved and synced several times in ten calls, which is where faults are.
struct CrashGenerator {
  private var random: RandomWords
  private var sizes: [Int] = []
  private var value = 31
  private var theme: [CrashCall.Kind] = []
  private var withFaults = false
  /// Units around which most calls are.
  private var focus = 0
  private var isThreaded = false
  private var loans = 0
  /// Kinds of calls that are left out.
  var without: Set<CrashCall.Kind> = []

  init(seed: UInt64, number: UInt64) {
    random = RandomWords(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ number &* 0xD1B5_4A32_D192_ED03)
    _ = random.next()
  }

  private mutating func draw(_ bound: Int) -> Int { Int(random.next(below: UInt64(max(1, bound)))) }
  private mutating func chance(_ percent: Int) -> Bool { draw(100) < percent }

  private static let weights: [(CrashCall.Kind, Int)] = [
    (.write, 20), (.append, 6), (.writeAfter, 8), (.point, 6), (.resize, 8), (.punch, 7), (.zero, 6), (.allocate, 3),
    (.collapse, 6), (.insert, 6), (.clone, 7), (.copy, 4), (.exchange, 5), (.dedupe, 3), (.sync, 12), (.flush, 8),
    (.seekData, 3), (.seekHole, 3), (.invalidate, 4), (.reopen, 6), (.close, 4), (.open, 4), (.discard, 2), (.read, 8),
    (.borrow, 4), (.giveBack, 3), (.evict, 6), (.move, 2), (.reclaim, 2), (.outside, 2), (.fail, 10), (.refuse, 3),
    (.heal, 1),
  ]

  /// What is known to be delicate together: order between files; flushes that fail; what waits for a transfer;
  /// lengths; edges.
  private static let themes: [[CrashCall.Kind]] = [
    [.writeAfter, .writeAfter, .point, .point, .write, .sync, .sync], [.writeAfter, .point, .reopen, .append, .sync],
    [.write, .append, .fail, .sync, .sync], [.write, .borrow, .evict, .fail, .sync, .punch],
    [.write, .fail, .sync, .exchange], [.write, .clone, .seekData, .fail, .sync, .dedupe],
    [.append, .write, .zero, .punch, .resize, .sync], [.append, .clone, .zero, .allocate, .write, .sync],
    [.write, .evict, .punch, .resize, .fail, .zero], [.write, .collapse, .insert, .sync, .fail, .reopen],
    [.write, .flush, .fail, .resize, .append],
  ]

  /// - Parameter threads: how many there are; 1 for none beside the first.
  mutating func history(threads: Int) -> CrashHistory {
    var history = CrashHistory()
    for (_, ability) in CrashHistory.Abilities.letters where chance(ability == .wholeEnd ? 93 : 75) {
      history.abilities.insert(ability)
    }
    let cuts = [1, 7, 64, 100, 128, 200, 250, 255]
    let first = draw(6)
    let second = first + 1 + draw(6 - first)
    history.cuts = [cuts[first], cuts[second], cuts[second + 1 + draw(cuts.count - second - 1)]]
    sizes = (0..<CrashHistory.fileCount).map { _ in chance(30) ? 4 * draw(6) : draw(22) }
    history.sizes = sizes
    history.open = (0..<CrashHistory.fileCount).flatMap { file -> [Int] in
      let base = file * CrashHistory.handlesPerFile
      switch draw(8) {
      case 0: return [base]
      case 1, 2: return [base + 1]
      case 3: return [base, base + 1, base + 2]
      default: return [base, base + 1]
      }
    }
    history.isShared = chance(10)
    if chance(6) { history.room = CrashHost.leastRoom + draw(24) }
    withFaults = chance(55)
    focus = draw(20)
    if chance(40) {
      theme = Self.themes[draw(Self.themes.count)]
    } else {
      theme = (0..<3 + draw(6)).map { _ in kind(of: Self.weights) }
      if chance(70) { theme.append(.write) }
      if chance(60) { theme.append(.sync) }
    }
    theme.removeAll { without.contains($0) }
    if theme.isEmpty { theme.append(.write) }
    if threads <= 1 {
      history.calls = calls(3 + draw(10), open: history.open)
    } else {
      history.calls = calls(draw(5), open: history.open)
      isThreaded = true
      let most = threads > 2 ? 2 : 3
      history.threads = (0..<threads).map { _ in
        loans = 0
        return calls(1 + draw(most), open: history.open)
      }
    }
    return history
  }

  private mutating func kind(of weights: [(CrashCall.Kind, Int)]) -> CrashCall.Kind {
    var left = draw(weights.reduce(0) { $0 + $1.1 })
    for (kind, weight) in weights {
      left -= weight
      if left < 0 { return kind }
    }
    return .write
  }

  private mutating func calls(_ count: Int, open: [Int]) -> [CrashCall] {
    var calls: [CrashCall] = []
    while calls.count < count {
      let kind = chance(75) ? theme[draw(theme.count)] : kind(of: Self.weights)
      if !without.contains(kind), let call = call(kind, open) { calls.append(call) }
    }
    return calls
  }

  /// A handle that is open at first, of any file or of one, and that may write if it must.
  private mutating func handle(_ open: [Int], file: Int? = nil, writes: Bool = true) -> Int? {
    let fit = open.filter {
      (file == nil || CrashHistory.file(of: $0) == file) && (!writes || !CrashHistory.isReader($0))
    }
    return fit.isEmpty ? nil : fit[draw(fit.count)]
  }

  /// A place in a file: at its edges, around the focus, or anywhere.
  private mutating func place(_ file: Int) -> Int {
    let size = sizes[file]
    let place =
      switch draw(10) {
      case 0: size
      case 1: max(0, size - 1 - draw(4))
      case 2: size + draw(8)
      case 3, 4: 4 * draw(7)
      case 5: draw(24)
      default: max(0, focus + draw(6) - 2)
      }
    return min(place, 44)
  }

  private mutating func range(_ file: Int) -> Range<Int> {
    let place = place(file)
    let start = chance(30) ? place / 4 * 4 : place
    let count = chance(30) ? 4 * (1 + draw(3)) : 1 + draw(chance(20) ? 14 : 5)
    return start..<min(48, start + count)
  }

  /// A range that is not empty.
  private mutating func soundRange(_ file: Int) -> Range<Int> {
    let range = range(file)
    let start = min(range.lowerBound, 46)
    return start..<max(start + 1, range.upperBound)
  }

  private mutating func next() -> Int {
    value = value < 250 ? value + 1 : 32
    return value
  }

  private mutating func call(_ kind: CrashCall.Kind, _ open: [Int]) -> CrashCall? {
    guard let handle = handle(open, writes: Self.writes(kind)) else { return nil }
    let file = CrashHistory.file(of: handle)
    let range = soundRange(file)
    let (start, end) = (range.lowerBound, range.upperBound)
    switch kind {
    case .read, .seekData, .seekHole, .flush: return CrashCall(kind, handle, start, end)
    case .punch: return CrashCall(kind, handle, start, end)
    case .borrow:
      loans += 1
      return CrashCall(kind, handle, start, min(end, start / 4 * 4 + 4))
    case .giveBack:
      guard loans > 0 else { return nil }
      loans -= 1
      return CrashCall(kind)
    case .outside where isThreaded: return nil
    case .write, .outside:
      sizes[file] = max(sizes[file], end)
      return CrashCall(kind, handle, start, end, next())
    case .writeAfter:
      sizes[file] = max(sizes[file], end)
      return CrashCall(kind, handle, start, end, next(), chance(85) ? 1 - file : file)
    case .append:
      let count = isThreaded ? 4 * (1 + draw(2)) : 1 + draw(9)
      guard sizes[file] + count <= 48 else { return nil }
      sizes[file] += count
      return CrashCall(kind, handle, count, next())
    case .point, .sync: return CrashCall(kind, handle, draw(2))
    case .resize:
      let size = chance(50) ? place(file) : max(0, sizes[file] - draw(8))
      sizes[file] = size
      return CrashCall(kind, handle, size)
    case .zero, .allocate:
      let keeps = draw(2)
      if keeps == 0 { sizes[file] = max(sizes[file], end) }
      return CrashCall(kind, handle, start, end, keeps)
    case .collapse, .insert:
      let pages = (sizes[file] + 3) / 4
      guard pages > 0 else { return nil }
      let first = draw(pages)
      let count = 1 + draw(2)
      if kind == .insert {
        guard sizes[file] + 4 * count <= 52 else { return nil }
        sizes[file] += 4 * count
      } else if 4 * (first + count) < sizes[file] {
        sizes[file] -= 4 * count
      }
      return CrashCall(kind, handle, first, count)
    case .clone, .copy, .exchange, .dedupe: return pair(kind, handle, open)
    case .invalidate: return chance(50) ? CrashCall(kind, handle) : CrashCall(kind, handle, start, end)
    case .close, .discard, .open, .reopen:
      guard !isThreaded, loans == 0 else { return nil }
      if kind == .reopen { return CrashCall(kind, file) }
      return CrashCall(kind, handle)
    case .evict, .move: return CrashCall(kind, handle, start / 4)
    case .reclaim, .heal: return CrashCall(kind)
    case .fail:
      guard withFaults else { return nil }
      let operation = [0, 1, 1, 2, 2, 2, 3, 4, 5][draw(9)]
      return CrashCall(
        kind, file, operation, chance(60) ? 0 : draw(4), operation == 2 ? [0, 2, 2, 3][draw(4)] : draw(3))
    case .refuse:
      guard withFaults else { return nil }
      return CrashCall(kind, file, start / 4)
    }
  }

  private mutating func pair(_ kind: CrashCall.Kind, _ handle: Int, _ open: [Int]) -> CrashCall? {
    let file = CrashHistory.file(of: handle)
    guard let other = self.handle(open, file: chance(75) ? 1 - file : file, writes: kind == .exchange) else {
      return nil
    }
    let source = CrashHistory.file(of: other)
    let first = kind == .exchange || kind == .dedupe ? file : source
    let size = sizes[first]
    guard size > 0 else { return nil }
    // Most within the file, and of whole pages.
    var start = min(range(first).lowerBound, size - 1)
    if chance(70) { start = start / 4 * 4 }
    let end =
      chance(25) ? size : min(chance(90) ? size : size + 4, start + (chance(60) ? 4 * (1 + draw(3)) : 1 + draw(8)))
    let there = 4 * draw(6) + start % 4
    guard end > start, there + end - start <= 48 else { return nil }
    if kind == .clone || kind == .copy { sizes[file] = max(sizes[file], there + end - start) }
    return CrashCall(kind, handle, start, end, other, there)
  }

  private static func writes(_ kind: CrashCall.Kind) -> Bool {
    switch kind {
    case .read, .seekData, .seekHole, .flush, .borrow, .point, .sync, .invalidate, .close, .open, .evict: false
    default: true
    }
  }
}
