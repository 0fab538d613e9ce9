import Primitives

/// The two files of an exercise as they must be, and what each operation must do to them.
struct ExerciseModel {
  /// How many files there are.
  static let fileCount = 2
  /// Larger files than this are not made: what a file system can hold differs.
  static let largestSize: Int64 = 1 << 43

  private(set) var files = [FileModel](repeating: FileModel(), count: fileCount)
  private var scratch = ExerciseBytes()

  /// What an operation has to come to.
  enum Outcome {
    case success
    /// An error, and nothing is changed.
    case refusal
    /// Either: where file systems differ, or where a caller cannot care.
    case any
    /// Not to be tried: nothing in a list as it was drawn, but a part of the list may come to it.
    case none
  }

  func outcome(of operation: ExerciseOperation) -> Outcome {
    switch operation {
    case .read(_, let offset, let count): position(offset, count)
    case .write(let file, let offset, let count, _): change(file, position(offset, count), end: offset, count)
    case .append(let file, let count, _): change(file, .success, end: files[file].size, count)
    case .resize(_, let size): size < 0 ? .refusal : size > ExerciseModel.largestSize ? .none : .success
    case .allocate(let file, let range, _), .zero(let file, let range, _):
      change(file, self.range(range), end: range.upperBound)
    case .punchHole(_, let range): self.range(range)
    case .unshare(let file, let range):
      range.upperBound > files[file].size ? .none : range.isEmpty ? .any : self.range(range)
    case .collapse(let file, let range): collapse(file, range)
    case .insert(let file, let range): insert(file, range)
    case .clone(let range, let source, let file, let offset): clone(range, of: source, to: file, offset)
    case .copy(let range, let source, let file, let offset): copy(range, of: source, to: file, offset)
    case .exchange(let file, let range, let other, let offset): exchange(file, range, with: other, offset)
    case .dedupe(let file, let range, let other, let offset): dedupe(file, range, with: other, offset)
    case .seekData(_, let offset), .seekHole(_, let offset): offset < 0 ? .any : .success
    case .flush(_, let range): range.lowerBound < 0 ? .any : .success
    case .sync, .invalidate, .reopen, .compare, .compareStorage: .success
    }
  }

  /// Does to the model what the operation does to the files.
  mutating func apply(_ operation: ExerciseOperation) {
    switch operation {
    case .write(let file, let offset, let count, let fill):
      unsafe scratch.withBytes(count, fill) { unsafe files[file].write($0, at: offset) }
    case .append(let file, let count, let fill):
      let end = files[file].size
      unsafe scratch.withBytes(count, fill) { unsafe files[file].write($0, at: end) }
    case .resize(let file, let size): files[file].resize(to: size)
    case .allocate(let file, let range, let keepingSize):
      if !keepingSize, !range.isEmpty, range.upperBound > files[file].size { files[file].resize(to: range.upperBound) }
    case .punchHole(let file, let range): files[file].zero(range)
    case .zero(let file, let range, let keepingSize):
      files[file].zero(range)
      if !keepingSize, !range.isEmpty, range.upperBound > files[file].size { files[file].resize(to: range.upperBound) }
    case .collapse(let file, let range): if !range.isEmpty { files[file].collapse(range) }
    case .insert(let file, let range): if !range.isEmpty { files[file].insert(range) }
    case .clone(let range, let source, let file, let offset), .copy(let range, let source, let file, let offset):
      let bytes = files[source].bytes(range)
      unsafe bytes.withUnsafeBytes { unsafe files[file].write($0, at: offset) }
    case .exchange(let file, let range, let other, let offset):
      let mine = files[file].bytes(range)
      let theirs = files[other].bytes(offset..<offset + Int64(range.count))
      unsafe mine.withUnsafeBytes { unsafe files[other].write($0, at: offset) }
      unsafe theirs.withUnsafeBytes { unsafe files[file].write($0, at: range.lowerBound) }
    case .read, .dedupe, .unshare, .seekData, .seekHole, .sync, .flush, .invalidate, .reopen, .compare, .compareStorage:
      break
    }
  }

  /// Whether the ranges of a dedupe hold the same.
  func isEqual(_ range: Range<Int64>, of file: Int, to other: Int, at offset: Int64) -> Bool {
    files[file].bytes(range) == files[other].bytes(offset..<offset + Int64(range.count))
  }

  // MARK: What is allowed

  private func position(_ offset: Int64, _ count: Int) -> Outcome {
    // Nothing, from nowhere: some check, some do not.
    if offset < 0 { return count == 0 ? .any : .refusal }
    return offset.addingReportingOverflow(Int64(count)).overflow ? .refusal : .success
  }

  private func range(_ range: Range<Int64>) -> Outcome {
    range.isEmpty ? .any : range.lowerBound < 0 ? .refusal : .success
  }

  private func change(_ file: Int, _ outcome: Outcome, end: Int64, _ count: Int = 0) -> Outcome {
    let (end, overflow) = end.addingReportingOverflow(Int64(count))
    return outcome != .refusal && !overflow && end > ExerciseModel.largestSize ? .none : outcome
  }

  private static func isAligned(_ offsets: Int64...) -> Bool { offsets.allSatisfy { $0 % 4096 == 0 } }

  private func collapse(_ file: Int, _ range: Range<Int64>) -> Outcome {
    if range.isEmpty { return .any }
    guard range.lowerBound >= 0, ExerciseModel.isAligned(range.lowerBound, range.upperBound) else { return .refusal }
    return range.upperBound < files[file].size ? .success : .refusal
  }

  private func insert(_ file: Int, _ range: Range<Int64>) -> Outcome {
    if range.isEmpty { return .any }
    guard range.lowerBound >= 0, ExerciseModel.isAligned(range.lowerBound, range.upperBound) else { return .refusal }
    guard range.lowerBound < files[file].size else { return .refusal }
    return files[file].size + Int64(range.count) > ExerciseModel.largestSize ? .none : .success
  }

  private func clone(_ range: Range<Int64>, of source: Int, to file: Int, _ offset: Int64) -> Outcome {
    if range.isEmpty { return .any }
    guard range.lowerBound >= 0, offset >= 0 else { return .refusal }
    let (end, overflow) = offset.addingReportingOverflow(Int64(range.count))
    guard !overflow, range.upperBound <= files[source].size else { return .refusal }
    guard source != file || !range.overlaps(offset..<end) else { return .refusal }
    guard end <= ExerciseModel.largestSize else { return .none }
    // An end that is not of a block can be shared only if both files end there.
    let isWhole =
      ExerciseModel.isAligned(range.upperBound) || range.upperBound == files[source].size && end >= files[file].size
    return ExerciseModel.isAligned(range.lowerBound, offset) && isWhole ? .success : .any
  }

  private func copy(_ range: Range<Int64>, of source: Int, to file: Int, _ offset: Int64) -> Outcome {
    if range.isEmpty { return .any }
    guard range.lowerBound >= 0, offset >= 0 else { return .refusal }
    let (end, overflow) = offset.addingReportingOverflow(Int64(range.count))
    guard !overflow else { return .refusal }
    guard source != file || !range.overlaps(offset..<end) else { return .refusal }
    // What is not there is not copied, in Linux; whether that is an error differs.
    return range.upperBound <= files[source].size && end <= ExerciseModel.largestSize ? .success : .none
  }

  private func exchange(_ file: Int, _ range: Range<Int64>, with other: Int, _ offset: Int64) -> Outcome {
    if range.isEmpty { return .any }
    guard range.lowerBound >= 0, offset >= 0 else { return .refusal }
    let (end, overflow) = offset.addingReportingOverflow(Int64(range.count))
    guard !overflow, range.upperBound <= files[file].size, end <= files[other].size else { return .refusal }
    guard file != other || !range.overlaps(offset..<end) else { return .refusal }
    let bothEnd = range.upperBound == files[file].size && end == files[other].size
    return ExerciseModel.isAligned(range.lowerBound, offset) && (range.count % 4096 == 0 || bothEnd) ? .success : .any
  }

  private func dedupe(_ file: Int, _ range: Range<Int64>, with other: Int, _ offset: Int64) -> Outcome {
    let outcome = exchange(file, range, with: other, offset)
    return outcome
  }
}

/// The bytes of a write, made from its `fill` whenever they are needed.
struct ExerciseBytes {
  private var words: [UInt64] = []

  /// Bytes that are nearly all different from one fill to another, and nearly never zero.
  mutating func withBytes<Result>(_ count: Int, _ fill: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Result)
    rethrows
    -> Result
  {
    let wanted = (count + 7) / 8
    if words.count < wanted { words += [UInt64](repeating: 0, count: max(wanted - words.count, 1024)) }
    var word = fill &* 0x9E37_79B9_7F4A_7C15 | 0x0101_0101_0101_0101
    return try unsafe words.withUnsafeMutableBufferPointer { words in
      for index in 0..<wanted {
        word = (word ^ word &>> 29) &* 0xBF58_476D_1CE4_E5B9
        unsafe words[index] = word | 0x0100_0000_0000_0001
      }
      return try unsafe body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(words)[..<count]))
    }
  }
}
