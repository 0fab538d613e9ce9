import BackingStores
import Foundation
import Glibc
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

extension CacheError.Cause {
  /// Which one, without what it says besides.
  var kind: String {
    switch self {
    case .limitNotReached: "limitNotReached"
    case .reserveTooLarge: "reserveTooLarge"
    case .store: "store"
    case .residencyFile: "residencyFile"
    case .countTooLarge: "countTooLarge"
    case .configuration: "configuration"
    case .memory: "memory"
    case .tooManyCaches: "tooManyCaches"
    case .closed: "closed"
    case .negativeOffset: "negativeOffset"
    case .negativeCount: "negativeCount"
    case .rangeOverflow: "rangeOverflow"
    case .noFrames: "noFrames"
    case .impossibleSize: "impossibleSize"
    case .readOnly: "readOnly"
    case .options: "options"
    case .sizeTooLarge: "sizeTooLarge"
    case .negativeSize: "negativeSize"
    case .unaligned: "unaligned"
    case .badRange: "badRange"
    case .pastEnd: "pastEnd"
    case .overlap: "overlap"
    case .differentCaches: "differentCaches"
    case .partlyWritten: "partlyWritten"
    case .dirtyLimit: "dirtyLimit"
    case .writeBackFailed: "writeBackFailed"
    case .orderingCycle: "orderingCycle"
    case .forkedChild: "forkedChild"
    }
  }

  /// What the store said, where one did.
  var storeCause: StoreError.Cause? {
    switch self {
    case .store(let error), .partlyWritten(_, let error), .dirtyLimit(_, let error): error.cause
    case .writeBackFailed(let errors, _): errors.last?.cause
    default: nil
    }
  }
}

/// Expects a refusal of an operation for a cause, with the file's name.
@discardableResult
func expectRefusal(
  _ operation: CacheError.Operation, _ kind: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws -> Void
) -> CacheError? {
  guard let error = cacheError(sourceLocation: sourceLocation, body) else { return nil }
  #expect(
    error.operation == operation && error.cause.kind == kind && !error.file.isEmpty, "\(error)",
    sourceLocation: sourceLocation)
  return error
}

/// All bytes of a file, as the cache has them. Without a slice of memory, which a debug build copies byte by byte.
func contents(_ file: CachedFile) throws -> [UInt8] {
  let count = try Int(file.size) + 10_000
  return try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, count in
    count = try unsafe file.read(fromAbsoluteOffset: 0, into: UnsafeMutableRawBufferPointer(buffer))
  }
}

/// All bytes of a file, as the kernel has them.
func kernelBytes(_ path: FilePath) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(fileURLWithPath: path.string)))
}

/// Bytes that are not zero and differ with the seed. At most 300,000.
func someBytes(_ count: Int, _ seed: Int = 1) -> [UInt8] {
  let start = seed &* 7919 & 0xF_FFFF
  return Array(manyBytes[start..<start + count])
}

/// Made once, by words: byte by byte takes a debug build long.
private let manyBytes: [UInt8] = {
  var random = RandomWords(seed: 1)
  return unsafe [UInt8](unsafeUninitializedCapacity: 3 << 19) { buffer, count in
    let raw = UnsafeMutableRawBufferPointer(buffer)
    for place in stride(from: 0, to: raw.count, by: 8) {
      unsafe raw.storeBytes(of: random.next() | 0x0101_0101_0101_0101, toByteOffset: place, as: UInt64.self)
    }
    count = raw.count
  }
}()

/// What a file should hold.
struct BytesModel {
  var bytes: [UInt8] = []

  mutating func write(_ new: [UInt8], at offset: Int) {
    guard !new.isEmpty else { return }
    if bytes.count < offset + new.count { resize(offset + new.count) }
    bytes.replaceSubrange(offset..<offset + new.count, with: new)
  }

  mutating func resize(_ count: Int) {
    if count < bytes.count { bytes.removeLast(bytes.count - count) }
    bytes += [UInt8](repeating: 0, count: count - bytes.count)
  }

  mutating func zero(_ range: Range<Int>) { write([UInt8](repeating: 0, count: range.count), at: range.lowerBound) }
}

extension Volume {
  /// Mounts one while the body runs.
  static func mounted<Result>(
    _ kind: Kind, megabytes: Int? = nil, _ body: (FilePath) throws -> Result
  ) throws -> Result {
    let volume = try Volume(kind, megabytes: megabytes)
    defer { extendLifetime(volume) }
    return try body(FilePath(volume.path))
  }
}
