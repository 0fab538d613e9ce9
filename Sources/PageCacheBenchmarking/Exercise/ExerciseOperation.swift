/// One step of an exercise: a value, drawn without looking at what earlier steps did, so that any part of a list of them
/// is a list that can be run.
///
/// Printed, it is the Swift that makes it: a short list can be pasted into a test.
package enum ExerciseOperation: Sendable, Equatable {
  case read(file: Int, offset: Int64, count: Int)
  /// The bytes are a function of `fill`.
  case write(file: Int, offset: Int64, count: Int, fill: UInt64)
  case append(file: Int, count: Int, fill: UInt64)
  case resize(file: Int, size: Int64)
  case allocate(file: Int, range: Range<Int64>, keepingSize: Bool)
  case punchHole(file: Int, range: Range<Int64>)
  case zero(file: Int, range: Range<Int64>, keepingSize: Bool)
  case collapse(file: Int, range: Range<Int64>)
  case insert(file: Int, range: Range<Int64>)
  case clone(range: Range<Int64>, of: Int, file: Int, offset: Int64)
  case copy(range: Range<Int64>, of: Int, file: Int, offset: Int64)
  case exchange(file: Int, range: Range<Int64>, with: Int, offset: Int64)
  case dedupe(file: Int, range: Range<Int64>, with: Int, offset: Int64)
  case unshare(file: Int, range: Range<Int64>)
  case seekData(file: Int, offset: Int64)
  case seekHole(file: Int, offset: Int64)
  case sync(file: Int, dataOnly: Bool)
  case flush(file: Int, range: Range<Int64>)
  case invalidate(file: Int)
  /// Closes the file and opens it again.
  case reopen(file: Int)
  /// Compares all of the file, through the target.
  case compare(file: Int)
  /// Syncs, and compares what the file system has.
  case compareStorage(file: Int)

  /// The file whose contents or size it may change, or that it looks at.
  package var file: Int {
    switch self {
    case .read(let file, _, _), .write(let file, _, _, _), .append(let file, _, _), .resize(let file, _),
      .allocate(let file, _, _), .punchHole(let file, _), .zero(let file, _, _), .collapse(let file, _),
      .insert(let file, _), .clone(_, _, let file, _), .copy(_, _, let file, _), .exchange(let file, _, _, _),
      .dedupe(let file, _, _, _), .unshare(let file, _), .seekData(let file, _), .seekHole(let file, _),
      .sync(let file, _), .flush(let file, _), .invalidate(let file), .reopen(let file), .compare(let file),
      .compareStorage(let file):
      file
    }
  }
}

extension ExerciseOperation: CustomStringConvertible {
  package var description: String {
    func text(_ range: Range<Int64>) -> String {
      range.lowerBound < 0
        ? "(\(range.lowerBound))..<(\(range.upperBound))" : "\(range.lowerBound)..<\(range.upperBound)"
    }
    return switch self {
    case .read(let file, let offset, let count): ".read(file: \(file), offset: \(offset), count: \(count))"
    case .write(let file, let offset, let count, let fill):
      ".write(file: \(file), offset: \(offset), count: \(count), fill: \(fill))"
    case .append(let file, let count, let fill): ".append(file: \(file), count: \(count), fill: \(fill))"
    case .resize(let file, let size): ".resize(file: \(file), size: \(size))"
    case .allocate(let file, let range, let keeping):
      ".allocate(file: \(file), range: \(text(range)), keepingSize: \(keeping))"
    case .punchHole(let file, let range): ".punchHole(file: \(file), range: \(text(range)))"
    case .zero(let file, let range, let keeping):
      ".zero(file: \(file), range: \(text(range)), keepingSize: \(keeping))"
    case .collapse(let file, let range): ".collapse(file: \(file), range: \(text(range)))"
    case .insert(let file, let range): ".insert(file: \(file), range: \(text(range)))"
    case .clone(let range, let source, let file, let offset):
      ".clone(range: \(text(range)), of: \(source), file: \(file), offset: \(offset))"
    case .copy(let range, let source, let file, let offset):
      ".copy(range: \(text(range)), of: \(source), file: \(file), offset: \(offset))"
    case .exchange(let file, let range, let other, let offset):
      ".exchange(file: \(file), range: \(text(range)), with: \(other), offset: \(offset))"
    case .dedupe(let file, let range, let other, let offset):
      ".dedupe(file: \(file), range: \(text(range)), with: \(other), offset: \(offset))"
    case .unshare(let file, let range): ".unshare(file: \(file), range: \(text(range)))"
    case .seekData(let file, let offset): ".seekData(file: \(file), offset: \(offset))"
    case .seekHole(let file, let offset): ".seekHole(file: \(file), offset: \(offset))"
    case .sync(let file, let dataOnly): ".sync(file: \(file), dataOnly: \(dataOnly))"
    case .flush(let file, let range): ".flush(file: \(file), range: \(text(range)))"
    case .invalidate(let file): ".invalidate(file: \(file))"
    case .reopen(let file): ".reopen(file: \(file))"
    case .compare(let file): ".compare(file: \(file))"
    case .compareStorage(let file): ".compareStorage(file: \(file))"
    }
  }
}
