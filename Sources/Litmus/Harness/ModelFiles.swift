/// The files of a litmus test as plain bytes.
struct ModelFiles: Equatable {
  var files: [[UInt8]]

  /// Does an act.
  mutating func apply(_ act: Act) -> Outcome {
    switch act {
    case .read(let offset, let count, let file), .tryRead(let offset, let count, let file),
      .readArray(let offset, let count, let file), .readAsync(let offset, let count, let file),
      .readArrayAsync(let offset, let count, let file),
      .borrow(let offset, let count, let file), .referencedRead(let offset, let count, let file):
      let end = min(files[file].count, offset + count)
      return .bytes(offset < end ? Array(files[file][offset..<end]) : [])
    case .reopen(let file): return .bytes(Array(files[file].prefix(ModelFiles.bytesOfReopen)))
    case .size(let file): return .count(files[file].count)
    case .readMany:
      // Taken apart by `History`: see there.
      break
    case .write(let offset, let bytes, let file), .heldWrite(let offset, let bytes, let file):
      put(bytes, at: offset, file)
    case .append(let bytes, let file):
      files[file] += bytes
      return .count(files[file].count - bytes.count)
    case .punch(let range, let file): zero(range, file)
    case .zero(let range, let growing, let file):
      if growing { grow(to: range.upperBound, file) }
      zero(range, file)
    case .resize(let size, let file):
      if size < files[file].count { files[file].removeLast(files[file].count - size) } else { grow(to: size, file) }
    case .collapse(let range, let file):
      guard range.upperBound < files[file].count else { return .impossible }
      files[file].removeSubrange(range)
    case .insert(let range, let file):
      guard range.lowerBound < files[file].count else { return .impossible }
      files[file].insert(contentsOf: Array(repeating: 0, count: range.count), at: range.lowerBound)
    case .clone(let range, let source, let offset, let file):
      guard range.upperBound <= files[source].count else { return .impossible }
      put(Array(files[source][range]), at: offset, file)
    case .exchange(let range, let other, let offset, let file):
      guard range.upperBound <= files[file].count, offset + range.count <= files[other].count else {
        return .impossible
      }
      let mine = Array(files[file][range])
      put(Array(files[other][offset..<offset + range.count]), at: range.lowerBound, file)
      put(mine, at: offset, other)
    case .dedupe(let range, let other, let offset, let file):
      guard range.upperBound <= files[file].count, offset + range.count <= files[other].count else {
        return .impossible
      }
      return .count(files[file][range] == files[other][offset..<offset + range.count] ? 1 : 0)
    case .seekData, .sync, .syncDurable, .flush, .evict, .age, .move, .reclaim, .invalidate, .cycle, .point, .reached,
      .send, .receive:
      break
    }
    return .done
  }

  /// Does an act, if that comes to an outcome.
  mutating func accepts(_ outcome: Outcome, of act: Act) -> Bool {
    // Where a hole ends, the files do not say; but what is passed over as one is zero.
    if case .seekData(let offset, let file) = act, case .found(let place) = outcome {
      let size = files[file].count
      if let place, !(offset..<max(offset, size)).contains(place) { return false }
      return offset >= size || files[file][offset..<(place ?? size)].allSatisfy { $0 == 0 }
    }
    return apply(act) == outcome
  }

  static var bytesOfReopen: Int { 8 }

  private mutating func zero(_ range: Range<Int>, _ file: Int) {
    for place in range where place < files[file].count { files[file][place] = 0 }
  }

  private mutating func grow(to size: Int, _ file: Int) {
    guard size > files[file].count else { return }
    files[file] += Array(repeating: 0, count: size - files[file].count)
  }

  private mutating func put(_ bytes: [UInt8], at offset: Int, _ file: Int) {
    let end = offset + bytes.count
    grow(to: end, file)
    files[file].replaceSubrange(offset..<end, with: bytes)
  }
}
