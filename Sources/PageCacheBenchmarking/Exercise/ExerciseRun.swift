import Glibc
import Primitives
import SystemPackage

/// One list of operations, done to files and model alike, until they differ.
@safe
final class ExerciseRun<Target: ExerciseTarget> {
  private let target: Target
  private let paths: [FilePath]
  private var files: [Target.File] = []
  private var model = ExerciseModel()
  private var bytes = ExerciseBytes()
  private let buffer: UnsafeMutableRawBufferPointer

  private(set) var operations = 0
  private(set) var refusals = 0
  private(set) var readBytes: UInt64 = 0

  /// Room for the longest read, and behind it.
  private static var bufferBytes: Int { 3 << 20 }
  private static var canary: UInt8 { 0xC5 }
  private static var tailBytes: Int { 64 }
  /// Operations between two comparisons of everything.
  private static var comparePeriod: Int { 4096 }
  /// A file of more bytes is compared where there is or was something, and around it.
  private static var densestCompare: Int64 { 16 << 20 }

  /// - Parameter paths: of the files, which must not be there yet. They are left behind.
  init(_ target: Target, paths: [FilePath]) throws {
    self.target = target
    self.paths = paths
    unsafe buffer = .allocate(byteCount: Self.bufferBytes, alignment: 64)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: Self.canary)
    for path in paths { files.append(try target.open(path)) }
  }

  deinit { unsafe buffer.deallocate() }

  /// Does all operations, and compares everything at the end: through the target, and closed, through the kernel.
  /// - Returns: where and how it differed, or nil.
  func run(_ list: [ExerciseOperation]) -> ExerciseDifference? {
    for (index, operation) in list.enumerated() {
      if let what = perform(operation) { return ExerciseDifference(index: index, what: what) }
      if index % Self.comparePeriod == Self.comparePeriod - 1 {
        for file in files.indices {
          if let what = perform(.compare(file: file)) { return ExerciseDifference(index: index, what: what) }
        }
      }
    }
    for file in files.indices {
      let what = perform(.compareStorage(file: file)) ?? perform(.compare(file: file)) ?? end(file)
      if let what { return ExerciseDifference(index: list.count - 1, what: "at the end, file \(file): \(what)") }
    }
    return nil
  }

  /// Closes what is open, after a difference.
  func abandon() { for file in files { try? file.close() } }

  private func end(_ file: Int) -> String? {
    do {
      try files[file].close()
      return try compareStorage(file)
    } catch {
      return "cannot close it: \(error)"
    }
  }

  // MARK: One operation

  private func perform(_ operation: ExerciseOperation) -> String? {
    let outcome = model.outcome(of: operation)
    guard outcome != .none else { return nil }
    operations += 1
    let file = operation.file
    do {
      if let difference = try act(operation, mustSucceed: outcome == .success) { return difference }
      if outcome == .refusal { return "was not refused" }
      model.apply(operation)
    } catch {
      if outcome == .success { return "was refused: \(error)" }
      refusals += 1
      // Nothing may have changed. All of it is looked at if that is cheap.
      if model.files[file].size <= 256 << 10 { return try? compare(files[file], file) }
    }
    if case .read = operation { return nil }
    do {
      let size = try files[file].size()
      return size == model.files[file].size ? nil : "leaves \(size) bytes, not \(model.files[file].size)"
    } catch {
      return "then there is no size: \(error)"
    }
  }

  /// Does the operation, and checks what it returns.
  private func act(_ operation: ExerciseOperation, mustSucceed: Bool) throws -> String? {
    let target = files[operation.file]
    switch operation {
    case .read(let file, let offset, let count):
      return try read(target, file, offset, count, isChecked: mustSucceed)
    case .write(_, let offset, let count, let fill):
      try unsafe bytes.withBytes(count, fill) { try unsafe target.write(at: offset, $0) }
    case .append(let file, let count, let fill):
      let place = try unsafe bytes.withBytes(count, fill) { try unsafe target.append($0) }
      if place != model.files[file].size { return "went to \(place), not \(model.files[file].size)" }
    case .resize(_, let size): try target.resize(to: size)
    case .allocate(_, let range, let keepingSize): try target.allocate(range, keepingSize: keepingSize)
    case .punchHole(_, let range): try target.punchHole(range)
    case .zero(_, let range, let keepingSize): try target.zero(range, keepingSize: keepingSize)
    case .collapse(_, let range): try target.collapse(range)
    case .insert(_, let range): try target.insert(range)
    case .clone(let range, let source, _, let offset): try target.clone(range, of: files[source], to: offset)
    case .copy(let range, let source, _, let offset): try target.copy(range, of: files[source], to: offset)
    case .exchange(_, let range, let other, let offset): try target.exchange(range, with: files[other], at: offset)
    case .dedupe(let file, let range, let other, let offset):
      let isEqual = try target.dedupe(range, with: files[other], at: offset)
      if mustSucceed, isEqual != model.isEqual(range, of: file, to: other, at: offset) { return "found \(isEqual)" }
    case .unshare(_, let range): try target.unshare(range)
    case .seekData(let file, let offset): return check(data: try target.seekData(from: offset), file, from: offset)
    case .seekHole(let file, let offset): return check(hole: try target.seekHole(from: offset), file, from: offset)
    case .sync(_, let dataOnly): try target.sync(dataOnly: dataOnly)
    case .flush(_, let range): try target.flush(range)
    case .invalidate: try target.invalidate()
    case .reopen(let file):
      try target.close()
      files[file] = try self.target.open(paths[file])
    case .compare(let file): return try compare(target, file)
    case .compareStorage(let file):
      try target.sync(dataOnly: false)
      return try compareStorage(file)
    }
    return nil
  }

  // MARK: Looking

  /// Reads, and compares the bytes, their count, and what is behind them (P3).
  private func read<File: ExercisedFile>(
    _ target: File, _ file: Int, _ offset: Int64, _ count: Int, isChecked: Bool
  ) throws -> String? {
    // Not always at an aligned address.
    let start = Int(truncatingIfNeeded: offset & 15)
    let wanted = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + count])
    let done = try unsafe target.read(at: offset, into: wanted)
    guard isChecked else { return nil }
    let expected = min(Int64(count), max(0, model.files[file].size - offset))
    var difference: String?
    if done != expected {
      difference = "returned \(done), not \(expected)"
    } else if let place = unsafe model.files[file].difference(.init(rebasing: wanted[..<done]), at: offset) {
      difference = "byte \(place.offset) is \(place.found), not \(place.expected)"
    } else if let place = firstChange(start + done..<start + count + Self.tailBytes) {
      difference = "returned \(done), and changed the buffer at \(place - start)"
    }
    readBytes += UInt64(max(0, done))
    // The next read finds the canary where this one has been.
    let used = difference == nil ? start + done : Self.bufferBytes
    unsafe memset(buffer.baseAddress.unsafelyUnwrapped, Int32(Self.canary), used)
    return difference
  }

  /// Where in a part of the buffer something else than the canary is.
  private func firstChange(_ range: Range<Int>) -> Int? {
    let part = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[range])
    // Each byte compared with the one before it, by the fastest code there is.
    let base = unsafe part.baseAddress.unsafelyUnwrapped
    if unsafe part[0] == Self.canary, unsafe memcmp(base, base + 1, part.count - 1) == 0 { return nil }
    return unsafe part.firstIndex { $0 != Self.canary }.map { $0 + range.lowerBound }
  }

  private func compareStorage(_ file: Int) throws -> String? {
    let stored = try KernelFile(paths[file])
    defer { try? stored.close() }
    let size = try stored.size()
    if size != model.files[file].size { return "the storage has \(size) bytes, not \(model.files[file].size)" }
    return try compare(stored, file).map { "the storage: \($0)" }
  }

  private func compare<File: ExercisedFile>(_ target: File, _ file: Int) throws -> String? {
    let size = model.files[file].size
    func look(_ offset: Int64, _ count: Int) throws -> String? {
      try read(target, file, offset, count, isChecked: true)
    }
    if size <= Self.densestCompare {
      for offset in stride(from: 0, through: size, by: 1 << 20) {
        if let difference = try look(offset, 1 << 20) { return difference }
      }
      return nil
    }
    for page in model.files[file].pages.keys.sorted() {
      if let difference = try look(max(0, page * 4096 - 4096), 3 * 4096) { return difference }
    }
    var random = RandomWords(seed: UInt64(size))
    for _ in 0..<16 {
      if let difference = try look(Int64(random.next(below: UInt64(size))), 10_000) { return difference }
    }
    return try look(size - 5000, 10_000)
  }

  private func check(data place: Int64?, _ file: Int, from offset: Int64) -> String? {
    guard offset >= 0 else { return nil }
    let model = model.files[file]
    guard let place else {
      return model.isZero(offset..<max(offset, model.size)) ? nil : "found no data, and there is some"
    }
    guard place >= offset, place < model.size else { return "found data at \(place) of \(model.size) bytes" }
    return model.isZero(offset..<place) ? nil : "found data at \(place) only, and there is some before"
  }

  private func check(hole place: Int64?, _ file: Int, from offset: Int64) -> String? {
    guard offset >= 0 else { return nil }
    let model = model.files[file]
    guard let place else { return offset >= model.size ? nil : "found no hole, not even the end" }
    guard place >= offset, place <= model.size, offset < model.size else {
      return "found a hole at \(place) of \(model.size) bytes"
    }
    let end = min(model.size, (place / 4096 + 1) * 4096)
    return model.isZero(place..<end) ? nil : "found a hole at \(place), and there is data"
  }
}

/// Where a run went wrong.
package struct ExerciseDifference: Sendable, Equatable {
  package var index: Int
  package var what: String

  package init(index: Int, what: String) {
    self.index = index
    self.what = what
  }
}
