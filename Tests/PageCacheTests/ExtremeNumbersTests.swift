import BackingStores
import Foundation
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Nothing traps on a number that came from outside: every public call with offsets, counts and ranges as far out as
/// their types go.
@Suite struct ExtremeNumbersTests {
  private static let size: Int64 = 3 * 4096 + 100

  static let offsets: [Int64] = {
    let most = PageCache.maximumFileSize
    let edges: [Int64] = [0, 4096, size, 1 << 32, 1 << 44, most, .max]
    let near = edges.flatMap { edge in [-1, 0, 1].map { edge.addingReportingOverflow($0) } }
    let ends: [Int64] = [.min, .min + 1, -4096, .max / 2, .max - 4095, .max - 4096]
    return Set(ends + near.filter { !$0.overflow }.map(\.partialValue)).sorted()
  }()

  static let counts: [Int] = [.min, -1, 0, 1, 4096, 1 << 20, 1 << 40, .max - 4096, .max - 1, .max]

  static let ranges: [Range<Int64>] = offsets.flatMap { first in
    offsets.filter { $0 >= first }.map { first..<$0 }
  }

  /// A store of a size and no bytes: it takes whatever it is told.
  private final class BoundlessStore: BackingStore {
    private let length = Word(UInt64(ExtremeNumbersTests.size))
    let number: UInt64
    init(_ number: UInt64) { self.number = number }

    var name: String { "boundless" }
    var identity: StoreIdentity { StoreIdentity(realm: "boundless", object: "\(number)") }
    var readsOnCaller: Bool { true }
    func status() throws(StoreError) -> StoreStatus {
      StoreStatus(size: Int64(length.value), changeStamp: .init(seconds: 0, nanoseconds: 0))
    }
    func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
      let count = max(0, min(Int64(length.value) - request.offset, Int64(request.count)))
      unsafe request.segments.forEach { unsafe zeroBytes($0.baseAddress.unsafelyUnwrapped, count: $0.count) }
      completion(.success(Int(count)))
    }
    func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
      length.set(max(length.value, UInt64(request.range.upperBound)))
      return request.count
    }
    func resize(to size: Int64) throws(StoreError) { length.set(UInt64(size)) }
    func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
      switch change {
      case .collapse: length.set(length.value - UInt64(range.count))
      case .insert: length.set(length.value + UInt64(range.count))
      case .allocate(keepingSize: false), .zero(keepingSize: false):
        length.set(max(length.value, UInt64(range.upperBound)))
      default: break
      }
    }
    func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
      length.set(max(length.value, UInt64(offset + Int64(range.count))))
    }
    func dedupe(_ range: Range<Int64>, with other: any BackingStore, at offset: Int64) throws(StoreError) -> Bool {
      true
    }
    func extent(at offset: Int64) throws(StoreError) -> StoreExtent { StoreExtent(isHole: true, end: .max) }
    func prepareToWrite() throws(StoreError) {}
    func close() {}
  }

  /// Two files, fresh after each call that has changed a size: some become as long as a file can be.
  private struct Files {
    let cache: PageCache
    let file: CachedFile
    let other: CachedFile

    init(_ cache: PageCache, _ durability: PageCache.Durability, _ number: UInt64) throws {
      self.cache = cache
      file = try cache.open(store: BoundlessStore(2 * number), .readWrite(durability: durability))
      other = try cache.open(store: BoundlessStore(2 * number + 1), .readWrite(durability: durability))
      try file.write(toAbsoluteOffset: 100, [1, 2, 3])
      try other.write(toAbsoluteOffset: 5000, [4, 5, 6])
    }

    /// Whether they are still as long as they were: then another call can be made of them.
    var areSame: Bool { get throws { try [file, other].allSatisfy { try $0.size == ExtremeNumbersTests.size } } }

    func close() throws {
      for file in [file, other] { try file.close() }
    }
  }

  private enum Arguments: Sendable {
    case offset(@Sendable (Files, Int64) throws -> Void)
    case range(@Sendable (Files, Range<Int64>) throws -> Void)
    case count(@Sendable (Files, Int64, Int) throws -> Void)
    case pair(@Sendable (Files, Range<Int64>, Int64) throws -> Void)
  }

  /// Every call of a file that takes a number from outside, by its name in the sources.
  private static let calls: [String: Arguments] = [
    "write(toAbsoluteOffset:_:notBefore:)": .offset {
      _ = try $0.other.write(toAbsoluteOffset: $1, [7, 8])
      _ = try $0.file.write(toAbsoluteOffset: $1, [7, 8], notBefore: $0.other.durabilityPoint())
    },
    "read(fromAbsoluteOffset:into:)": .offset { files, offset in
      var bytes = [UInt8](repeating: 0, count: 5000)
      _ = try unsafe bytes.withUnsafeMutableBytes { try unsafe files.file.read(fromAbsoluteOffset: offset, into: $0) }
    },
    "tryRead(fromAbsoluteOffset:into:)": .offset { files, offset in
      var bytes = [UInt8](repeating: 0, count: 5000)
      _ = try unsafe bytes.withUnsafeMutableBytes {
        try unsafe files.file.tryRead(fromAbsoluteOffset: offset, into: $0)
      }
    },
    "read(fromAbsoluteOffset:count:)": .count { _ = try $0.file.read(fromAbsoluteOffset: $1, count: $2) },
    "withBytes(atAbsoluteOffset:count:_:)": .count {
      try $0.file.withBytes(atAbsoluteOffset: $1, count: $2) { _ in }
    },
    "init(offset:buffer:)": .offset { files, offset in
      var bytes = [UInt8](repeating: 0, count: 5000)
      try unsafe bytes.withUnsafeMutableBytes {
        var requests = unsafe [CachedFile.ReadRequest(offset: offset, buffer: $0)]
        try files.file.readMany(&requests)
      }
    },
    "chunks(of:in:)": .range { files, range in
      let chunks = files.file.chunks(of: .max, in: range)
      _ = chunks.makeAsyncIterator()
      _ = files.file.chunks(of: .min, in: range)
    },
    "seekData(from:)": .offset { _ = try $0.file.seekData(from: $1) },
    "seekHole(from:)": .offset { _ = try $0.file.seekHole(from: $1) },
    "clone(_:of:to:)": .pair { try $0.file.clone($1, of: $0.other, to: $2) },
    "copy(_:of:to:)": .pair { _ = try $0.file.copy($1, of: $0.other, to: $2) },
    "dedupe(_:with:at:)": .pair { _ = try $0.file.dedupe($1, with: $0.other, at: $2) },
    "exchange(_:with:at:)": .pair { try $0.file.exchange($1, with: $0.other, at: $2) },
    "punchHole(_:)": .range { try $0.file.punchHole($1) },
    "zeroRange(_:keepingSize:)": .range {
      try $0.other.zeroRange($1, keepingSize: true)
      try $0.file.zeroRange($1)
    },
    "allocate(_:keepingSize:)": .range {
      try $0.other.allocate($1, keepingSize: true)
      try $0.file.allocate($1)
    },
    "collapseRange(_:)": .range { try $0.file.collapseRange($1) },
    "insertRange(_:)": .range { try $0.file.insertRange($1) },
    "unshare(_:)": .range { try $0.file.unshare($1) },
    "resize(to:)": .offset { try $0.file.resize(to: $1) },
    "invalidate(_:)": .range { try $0.file.invalidate($1) },
    "flush(_:)": .range { try $0.file.flush($1) },
    "advise(_:_:)": .range {
      try $0.file.advise(.willNeed, $1)
      try $0.file.advise(.dontNeed, $1)
    },
    "setMemoryLimit(_:)": .count { files, _, count in
      // What can be done is done: so it is set back.
      let limit = files.cache.configuration.memoryLimit
      do { try files.cache.setMemoryLimit(count) } catch let error as CacheError { throw error }
      try files.cache.setMemoryLimit(limit)
    },
    "tenant(named:reserve:)": .count { files, _, count in
      _ = try files.cache.tenant(named: "t", reserve: count)
    },
    "restoreResidency(from:bytesPerSecond:)": .count { files, _, count in
      _ = try files.cache.restoreResidency(from: "/nonexistent/file", bytesPerSecond: count)
    },
  ]

  @Test(arguments: calls.keys.sorted(), PageCache.Durability.allCases)
  func everyCallAnswers(name: String, durability: PageCache.Durability) throws {
    let cache = try smallCache()
    var number: UInt64 = 0
    var files = try Files(cache, durability, number)
    func attempt(_ what: @autoclosure () -> String, _ call: (Files) throws -> Void) throws {
      do {
        try call(files)
      } catch {
        #expect(error is CacheError, "\(what())")
      }
      if try files.areSame { return }
      try files.close()
      number += 1
      files = try Files(cache, durability, number)
    }
    defer { try? files.close() }
    switch try #require(Self.calls[name]) {
    case .offset(let call): for offset in Self.offsets { try attempt("\(offset)") { try call($0, offset) } }
    case .range(let call): for range in Self.ranges { try attempt("\(range)") { try call($0, range) } }
    case .count(let call):
      for offset in Self.offsets {
        for count in Self.counts { try attempt("\(offset), \(count)") { try call($0, offset, count) } }
      }
    case .pair(let call):
      for range in Self.ranges {
        for offset in Self.offsets { try attempt("\(range), \(offset)") { try call($0, range, offset) } }
      }
    }
  }

  /// What lies past the largest size is ignored by calls that keep the size.
  @Test func whatKeepsTheSizeIgnoresWhatLiesBehind() throws {
    let files = try Files(smallCache(), .writeBack, 1)
    try files.file.zeroRange(4096..<Int64.max, keepingSize: true)
    try files.file.allocate(4096..<Int64.max, keepingSize: true)
    #expect(try files.file.size == Self.size)
    try files.close()
  }

  /// No public call with a number is missing above.
  @Test func everyPublicCallIsThere() throws {
    let sources = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/PageCache")
    let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
    var declared: Set<String> = []
    for case let file as URL in files where file.pathExtension == "swift" {
      declared.formUnion(Self.callsWithNumbers(try String(contentsOf: file, encoding: .utf8)))
    }
    #expect(declared.count > 20)
    let others: Set<String> = [
      // Errors and configurations: they hold numbers, and a cache looks at those when it is made.
      "init(operation:file:range:cause:)",
      "init(memoryLimit:folioOrders:maximumAtomicLength:arenaKind:populatesArena:locksArena:ioThreads:directIO:"
        + "writeBackAge:reclaim:maximumMemoryLimit:readAheadLength:)",
    ]
    #expect(declared.subtracting(Self.calls.keys).subtracting(others) == [], "not swept")
    #expect(Set(Self.calls.keys).subtracting(declared) == [], "no such call")
  }

  /// Public functions of a source file with a parameter that is a number or a range, by name and labels.
  private static func callsWithNumbers(_ source: String) -> Set<String> {
    var found: Set<String> = []
    let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
    for (number, line) in lines.enumerated() where line.contains("public ") {
      guard
        let word = ["func ", "init(", "subscript("].first(where: { line.contains("public \($0)") })
          ?? (line.contains("public static func ") ? "func " : nil)
      else { continue }
      let text = lines[number..<min(lines.count, number + 12)].joined(separator: " ")
      guard let keyword = text.range(of: word), let open = text[keyword.lowerBound...].firstIndex(of: "(") else {
        continue
      }
      let name = word == "func " ? text[keyword.upperBound..<open].prefix { $0 != "<" } : word.dropLast()
      var depth = 0
      var parameters: [String] = [""]
      loop: for character in text[open...] {
        switch character {
        case "(", "[":
          depth += 1
          if depth == 1 { continue loop }
        case ")", "]":
          depth -= 1
          if depth == 0 { break loop }
        case "," where depth == 1:
          parameters.append("")
          continue loop
        default: break
        }
        parameters[parameters.count - 1].append(character)
      }
      guard parameters.contains(where: { $0.contains(": Int") || $0.contains("<Int") }) else { continue }
      let labels = parameters.map { $0.split(whereSeparator: { " :".contains($0) }).first.map { "\($0):" } ?? "" }
      found.insert("\(name)(\(labels.joined()))")
    }
    return found
  }
}
