/// What a thread of a litmus test does to a file, at one instant as far as anybody can tell.
enum Act: Sendable {
  case read(_ offset: Int, _ count: Int, file: Int = 0)
  case tryRead(_ offset: Int, _ count: Int, file: Int = 0)
  /// Two reads in one call, each at an instant of its own.
  case readMany(_ offset: Int, _ count: Int, _ other: Int, _ otherCount: Int, file: Int = 0)
  case size(file: Int = 0)
  /// Borrows, and looks twice.
  case borrow(_ offset: Int, _ count: Int, file: Int = 0)
  /// Within one folio, with a reference to it: the way of hits that benchmarks compare with.
  case referencedRead(_ offset: Int, _ count: Int, file: Int = 0)
  case write(_ offset: Int, _ bytes: [UInt8], file: Int = 0)
  case append(_ bytes: [UInt8], file: Int = 0)
  case punch(_ range: Range<Int>, file: Int = 0)
  case zero(_ range: Range<Int>, file: Int = 0)
  case resize(_ size: Int, file: Int = 0)
  case collapse(_ range: Range<Int>, file: Int = 0)
  case insert(_ range: Range<Int>, file: Int = 0)
  case clone(_ range: Range<Int>, of: Int, to: Int, file: Int)
  case exchange(_ range: Range<Int>, with: Int, at: Int, file: Int)
  case sync(file: Int = 0)
  /// The same; if it succeeds, the store must have these bytes safely.
  case syncDurable(_ offset: Int, _ bytes: [UInt8], file: Int = 0)
  /// Takes a page's folio out of the cache.
  case evict(_ page: Int, file: Int = 0)
  /// Clears a folio's access bit, as reclaim does when it passes.
  case age(_ page: Int, file: Int = 0)
  /// Moves a page's folio to another frame, as compaction does.
  case move(_ page: Int, file: Int = 0)
  /// Frees what has had its grace period.
  case reclaim
  case invalidate(file: Int = 0)
}

/// What came of an act.
enum Outcome: Equatable, CustomStringConvertible {
  case bytes([UInt8])
  /// Of two reads in one call.
  case many([UInt8], [UInt8])
  case count(Int)
  /// Nothing to tell.
  case done
  /// A read that could not be served at once.
  case declined
  /// The store has failed, and the act has said so: nothing has happened.
  case refused(String)
  /// Something that must never be.
  case failed(String)

  /// Runs of equal bytes: `1x8 0x8`.
  var description: String {
    switch self {
    case .many(let one, let other): return "\(Outcome.bytes(one)) and \(Outcome.bytes(other))"
    case .count(let count): return "\(count)"
    case .done: return "done"
    case .declined: return "declined"
    case .refused(let cause): return "refused: \(cause)"
    case .failed(let cause): return "failed: \(cause)"
    case .bytes(let bytes):
      var parts: [String] = []
      var start = 0
      for place in bytes.indices where place + 1 == bytes.count || bytes[place + 1] != bytes[place] {
        parts.append("\(bytes[place])x\(place + 1 - start)")
        start = place + 1
      }
      return parts.isEmpty ? "no bytes" : parts.joined(separator: " ")
    }
  }
}

/// The files of a litmus test as plain bytes.
struct ModelFiles: Equatable {
  var files: [[UInt8]]

  /// Does an act.
  mutating func apply(_ act: Act) -> Outcome {
    switch act {
    case .read(let offset, let count, let file), .tryRead(let offset, let count, let file),
      .borrow(let offset, let count, let file), .referencedRead(let offset, let count, let file):
      let end = min(files[file].count, offset + count)
      return .bytes(offset < end ? Array(files[file][offset..<end]) : [])
    case .size(let file): return .count(files[file].count)
    case .readMany:
      // Taken apart by `History`: see there.
      break
    case .write(let offset, let bytes, let file):
      put(bytes, at: offset, file)
    case .append(let bytes, let file):
      files[file] += bytes
    case .punch(let range, let file), .zero(let range, let file):
      for place in range where place < files[file].count { files[file][place] = 0 }
    case .resize(let size, let file):
      if size < files[file].count {
        files[file].removeLast(files[file].count - size)
      } else {
        files[file] += Array(repeating: 0, count: size - files[file].count)
      }
    case .collapse(let range, let file):
      files[file].removeSubrange(range)
    case .insert(let range, let file):
      files[file].insert(contentsOf: Array(repeating: 0, count: range.count), at: range.lowerBound)
    case .clone(let range, let source, let offset, let file):
      put(Array(files[source][range]), at: offset, file)
    case .exchange(let range, let other, let offset, let file):
      let mine = Array(files[file][range])
      put(Array(files[other][offset..<offset + range.count]), at: range.lowerBound, file)
      put(mine, at: offset, other)
    case .sync, .syncDurable, .evict, .age, .move, .reclaim, .invalidate:
      break
    }
    return .done
  }

  private mutating func put(_ bytes: [UInt8], at offset: Int, _ file: Int) {
    let end = offset + bytes.count
    if files[file].count < end { files[file] += Array(repeating: 0, count: end - files[file].count) }
    files[file].replaceSubrange(offset..<end, with: bytes)
  }
}
