/// Decides whether what is left of a file is what was promised.
///
/// Known are all changes, the one up to which the file is safe, and the last that had begun. What changes the layout (resize, collapse, insert)
/// must have reached the file in its order, up to some one of them. With that layout, each page of 4 KiB must be as it was after some change
/// between the two. If the safe change is the last that had returned, that is what writing through promises: at most one change is in
/// question.
package struct CrashCheck {
  /// The states of one file that come into question, all in the layout that the changes so far have made.
  private var candidates: [[UInt64]]
  private let file: Int
  private let left: [UInt64]
  private let leftBytes: Int
  /// The fewest pages of a layout that no candidate explains, and the first of them.
  private var fewest = Int.max
  private var first = ""
  /// Sizes that the layouts allow.
  private var sizes: [ClosedRange<Int>] = []

  private static let cellsInPage = 4096 / Stamp.cellBytes

  /// - Parameters:
  ///   - bytes: what is left of the file.
  ///   - states: the state after the safe change.
  ///   - changes: those that had begun after it, in their order.
  ///   - isUnderWay: whether the last of them had not returned.
  ///   - holesOvertake: whether a hole may be there without writes to its pages that came before it. Not what is promised: to tell such a loss from others.
  /// - Returns: nil, or what is wrong.
  package static func violation(
    _ bytes: [UInt8], file: Int, after state: StampedState, changes: [StampedChange], isUnderWay: Bool = false,
    holesOvertake: Bool = false
  ) -> String? {
    guard let left = stamps(bytes) else { return "file \(file) has a cell of two writes" }
    var check = CrashCheck(candidates: [state.files[file]], file: file, left: left, leftBytes: bytes.count)
    var state = state
    for change in changes {
      if change.changesLayout(of: file) || holesOvertake && change.isHole(in: file) {
        if check.explains() { return nil }
        // A hole needs no size.
        check.changeLayout(change, from: change.isHole(in: file) ? 0 : state.files[file].count)
        state.apply(change)
      } else {
        state.apply(change)
        if change.touches(file) { check.candidates.append(state.files[file]) }
      }
    }
    if check.explains() { return nil }
    if isUnderWay, case .collapse(file, let cells) = changes.last {
      // XFS moves what is behind the range, and then makes the file shorter: a step of its own, which a signal that kills prevents.
      check.changeLayout(.resize(file: file, cells: state.files[file].count + cells.count), from: 0)
      if check.explains() { return nil }
    }
    return
      "file \(file), \(bytes.count) bytes, is none of what changes \(state.version - UInt64(changes.count))...\(state.version) can leave: "
      + (check.fewest < Int.max ? check.first : "a size of \(check.sizes) was expected")
  }

  private init(candidates: [[UInt64]], file: Int, left: [UInt64], leftBytes: Int) {
    self.candidates = candidates
    self.file = file
    self.left = left
    self.leftBytes = leftBytes
  }

  /// The stamps of all cells; nil if a cell is of two writes. A part of a cell at the end is left out.
  private static func stamps(_ bytes: [UInt8]) -> [UInt64]? {
    var stamps: [UInt64] = []
    stamps.reserveCapacity(bytes.count / Stamp.cellBytes)
    let isWhole = unsafe bytes.withUnsafeBytes { bytes in
      for start in stride(from: 0, to: bytes.count / Stamp.cellBytes * Stamp.cellBytes, by: Stamp.cellBytes) {
        let stamp = unsafe bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)
        guard let base = bytes.baseAddress, unsafe Stamp.matchesCell(base + start, stamp: stamp) else { return false }
        stamps.append(stamp)
      }
      return true
    }
    return isWhole ? stamps : nil
  }

  /// - Parameter cells: how many the file must have had for the change to be possible at all.
  private mutating func changeLayout(_ change: StampedChange, from cells: Int) {
    for index in candidates.indices {
      var one = StampedState(group: 0, files: [candidates[index]])
      if cells > candidates[index].count { one.apply(.resize(file: 0, cells: cells)) }
      one.apply(change.alone)
      candidates[index] = one.files[0]
    }
  }

  /// Whether the layout as it is now explains what is left.
  private mutating func explains() -> Bool {
    let sizes = candidates.map { $0.count * Stamp.cellBytes }
    guard let least = sizes.min(), let most = sizes.max() else { return false }
    self.sizes.append(least...most)
    // A file grows by whole pages while it is written out, and to its size in the end.
    guard sizes.contains(leftBytes) || leftBytes % 4096 == 0 && least <= leftBytes && leftBytes <= most else {
      return false
    }
    var unexplained = 0
    var text = ""
    for start in stride(from: 0, to: left.count, by: Self.cellsInPage) {
      let page = start..<min(start + Self.cellsInPage, left.count)
      if candidates.contains(where: { isEqual(page, to: $0) }) { continue }
      unexplained += 1
      if unexplained == 1 { text = account(page) }
    }
    if unexplained > 0 { note(pages: unexplained, "\(unexplained) pages, the first at \(text)") }
    return unexplained == 0
  }

  private mutating func note(pages: Int, _ text: String) {
    guard pages < fewest else { return }
    fewest = pages
    first = text
  }

  private func isEqual(_ page: Range<Int>, to candidate: [UInt64]) -> Bool {
    for cell in page where left[cell] != (cell < candidate.count ? candidate[cell] : 0) { return false }
    return true
  }

  private func account(_ page: Range<Int>) -> String {
    func text(_ stamps: (Int) -> UInt64) -> String {
      var runs: [(version: UInt64, cells: Int)] = []
      for cell in page {
        let version = Stamp.version(stamps(cell))
        if runs.last?.version == version { runs[runs.count - 1].cells += 1 } else { runs.append((version, 1)) }
      }
      return runs.map { ($0.version == 0 ? "zero" : "change \($0.version)") + " × \($0.cells)" }.joined(separator: ", ")
    }
    let all = candidates.map { candidate in text { $0 < candidate.count ? candidate[$0] : 0 } }
    var different: [String] = []
    for one in all where !different.contains(one) { different.append(one) }
    return
      "\(page.lowerBound * Stamp.cellBytes): \(text { left[$0] }), not one of (\(different.suffix(6).joined(separator: "); (")))"
  }
}

extension StampedChange {
  /// Whether it moves what is in the file, or decides its size alone.
  func changesLayout(of file: Int) -> Bool {
    switch self {
    case .resize(let own, _), .collapse(let own, _), .insert(let own, _): own == file
    case .write, .zero, .clone, .exchange: false
    }
  }

  func isHole(in file: Int) -> Bool { if case .zero(file, _, _) = self { true } else { false } }

  func touches(_ file: Int) -> Bool {
    switch self {
    case .write(let own, _), .zero(let own, _, _), .resize(let own, _), .collapse(let own, _), .insert(let own, _),
      .clone(_, _, let own, _):
      own == file
    case .exchange(let own, _, let other, _): own == file || other == file
    }
  }

  /// The same change of the layout, of a file that is alone.
  var alone: StampedChange {
    switch self {
    case .resize(_, let cells): .resize(file: 0, cells: cells)
    case .collapse(_, let cells): .collapse(file: 0, cells: cells)
    case .insert(_, let cells): .insert(file: 0, cells: cells)
    case .zero(_, let cells, let isGrowing): .zero(file: 0, cells: cells, isGrowing: isGrowing)
    case .write, .clone, .exchange: self
    }
  }
}
