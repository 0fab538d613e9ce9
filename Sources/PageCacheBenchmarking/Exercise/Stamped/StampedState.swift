/// A change of the files of a group, in cells.
package enum StampedChange: Sendable {
  case write(file: Int, cells: Range<Int>)
  case zero(file: Int, cells: Range<Int>, isGrowing: Bool)
  case resize(file: Int, cells: Int)
  case collapse(file: Int, cells: Range<Int>)
  case insert(file: Int, cells: Range<Int>)
  case clone(from: Int, cells: Range<Int>, to: Int, cell: Int)
  case exchange(file: Int, cells: Range<Int>, with: Int, cell: Int)
}

/// The stamps of all cells of a group's files, after a number of changes.
package struct StampedState: Sendable {
  let group: Int
  /// Bytes before the first cell, zero for ever: so that cells and pages do not begin at the same places.
  let phase: Int
  package private(set) var version: UInt64 = 0
  package private(set) var files: [[UInt64]]

  package init(group: Int, files: Int, phase: Int) {
    self.group = group
    self.phase = phase
    // Room for all that they may grow to, so that what an exercise takes does not grow with them.
    self.files = (0..<files).map { _ in
      var cells = [UInt64](repeating: 0, count: ChangeDrawing.mostCells)
      cells.removeAll(keepingCapacity: true)
      return cells
    }
  }

  /// One file alone.
  init(group: Int, files: [[UInt64]]) {
    self.group = group
    phase = 0
    self.files = files
  }

  func size(_ file: Int) -> Int { phase + files[file].count * Stamp.cellBytes }

  /// Bytes of a range of cells.
  func bytes(_ cells: Range<Int>) -> Range<Int64> {
    Int64(phase + cells.lowerBound * Stamp.cellBytes)..<Int64(phase + cells.upperBound * Stamp.cellBytes)
  }

  package mutating func apply(_ change: StampedChange) {
    version += 1
    switch change {
    case .write(let file, let cells):
      grow(file, to: cells.upperBound)
      for (index, cell) in cells.enumerated() {
        files[file][cell] = Stamp.make(version: version, group: group, cell: index)
      }
    case .zero(let file, let cells, let isGrowing):
      if isGrowing { grow(file, to: cells.upperBound) }
      for cell in cells.clamped(to: 0..<files[file].count) { files[file][cell] = 0 }
    case .resize(let file, let cells):
      if cells < files[file].count { files[file].removeLast(files[file].count - cells) } else { grow(file, to: cells) }
    case .collapse(let file, let cells): files[file].removeSubrange(cells)
    case .insert(let file, let cells):
      files[file].reserveCapacity(max(files[file].count + cells.count, ChangeDrawing.mostCells))
      files[file].insert(contentsOf: repeatElement(0, count: cells.count), at: cells.lowerBound)
    case .clone(let source, let cells, let file, let cell):
      let moved = Array(files[source][cells])
      grow(file, to: cell + cells.count)
      files[file].replaceSubrange(cell..<cell + cells.count, with: moved)
    case .exchange(let file, let cells, let other, let cell):
      let mine = Array(files[file][cells])
      let theirs = Array(files[other][cell..<cell + cells.count])
      files[other].replaceSubrange(cell..<cell + cells.count, with: mine)
      files[file].replaceSubrange(cells, with: theirs)
    }
  }

  private mutating func grow(_ file: Int, to cells: Int) {
    guard files[file].count < cells else { return }
    // A copy has room for what there was: and then would double it.
    files[file].reserveCapacity(max(cells, ChangeDrawing.mostCells))
    files[file] += repeatElement(0, count: cells - files[file].count)
  }

  /// All bytes of a file.
  package func contents(_ file: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: phase)
    bytes.reserveCapacity(size(file))
    for stamp in files[file] {
      for place in 0..<8 {
        let word = Stamp.word(stamp, place)
        for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word &>> (UInt64(byte) &* 8))) }
      }
    }
    return bytes
  }

  /// How many bytes a read returns.
  func count(_ file: Int, at offset: Int, wanted: Int) -> Int { min(wanted, max(0, size(file) - offset)) }

  /// Whether a read that returned these bytes has seen this state.
  func matches(_ bytes: UnsafeRawBufferPointer, file: Int, at offset: Int, wanted: Int) -> Bool {
    let count = bytes.count
    guard count == self.count(file, at: offset, wanted: wanted) else { return false }
    guard count > 0 else { return true }
    var done = 0
    while done < count, offset + done < phase {
      guard unsafe bytes[done] == 0 else { return false }
      done += 1
    }
    return unsafe files[file].withUnsafeBufferPointer { stamps in
      while done < count {
        let place = offset + done - phase
        let cell = place / Stamp.cellBytes
        let start = place % Stamp.cellBytes
        if start == 0, count - done >= Stamp.cellBytes {
          // Safe: a whole cell is left.
          let address = unsafe bytes.baseAddress.unsafelyUnwrapped + done
          guard unsafe Stamp.matchesCell(address, stamp: stamps[cell]) else { return false }
          done += Stamp.cellBytes
        } else {
          let part = min(count - done, Stamp.cellBytes - start)
          let there = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + part])
          guard unsafe Stamp.matches(there, from: start, stamp: stamps[cell]) else { return false }
          done += part
        }
      }
      return true
    }
  }

  /// What a read has seen, as runs of cells of one write.
  func account(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> String {
    var runs: [(what: String, end: Int)] = []
    var done = max(0, phase - offset)
    // A part of a cell at the start says nothing that the next ones do not.
    let start = (offset + done - phase) % Stamp.cellBytes
    if start != 0 { done += Stamp.cellBytes - start }
    let first = done
    while done + Stamp.cellBytes <= bytes.count {
      let stamp = unsafe bytes.loadUnaligned(fromByteOffset: done, as: UInt64.self)
      let isWhole = unsafe Stamp.matchesCell(bytes.baseAddress.unsafelyUnwrapped + done, stamp: stamp)
      let what = !isWhole ? "a cell of two writes" : stamp == 0 ? "zero" : "change \(Stamp.version(stamp))"
      done += Stamp.cellBytes
      if runs.last?.what == what { runs[runs.count - 1].end = done } else { runs.append((what, done)) }
    }
    var text: [String] = []
    var from = first
    for run in runs.prefix(8) {
      text.append("\(offset + from)..<\(offset + run.end) \(run.what)")
      from = run.end
    }
    if runs.count > 8 { text.append("and \(runs.count - 8) runs more") }
    return text.joined(separator: ", ")
  }
}
