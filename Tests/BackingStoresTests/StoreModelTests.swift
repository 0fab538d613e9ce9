import BackingStores
import Glibc
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Random changes of a memory store, of local files on the file systems at hand, and of an array of bytes: all agree
/// after each.
@Suite("Stores against a model", .timeLimit(.minutes(30)))
struct StoreModelTests {
  private static let seed: UInt64 =
    unsafe getenv("PAGECACHE_SEED").flatMap { unsafe UInt64(String(cString: $0)) } ?? 0x5EED_0001

  /// What every byte is. What a store did not refuse, it does.
  private struct Model {
    var bytes: [UInt8]

    mutating func grow(to size: Int) { if size > bytes.count { bytes += zeroes(size - bytes.count) } }

    mutating func write(_ new: [UInt8], at offset: Int) {
      grow(to: offset + new.count)
      bytes.replaceSubrange(offset..<offset + new.count, with: new)
    }

    mutating func change(_ change: StoreRangeChange, _ range: Range<Int>) {
      switch change {
      case .allocate(false), .zero(false): grow(to: range.upperBound)
      default: break
      }
      let inside = range.clamped(to: 0..<bytes.count)
      switch change {
      case .punchHole, .zero: bytes.replaceSubrange(inside, with: zeroes(inside.count))
      case .collapse: bytes.removeSubrange(range)
      case .insert: bytes.insert(contentsOf: zeroes(range.count), at: range.lowerBound)
      case .allocate, .unshare: break
      }
    }
  }

  private static let changes: [StoreRangeChange] = [
    .allocate(keepingSize: true), .allocate(keepingSize: false), .punchHole, .punchHole, .zero(keepingSize: true),
    .zero(keepingSize: false), .collapse, .insert,
  ]

  private func check(_ store: any BackingStore, steps: Int, sharing: Bool) throws {
    var random = RandomWords(seed: Self.seed)
    var model = Model(bytes: try store.contents())
    let limit = 120_000
    func range(aligned: Bool) -> Range<Int> {
      let unit = aligned ? 4096 : 1
      let start = Int(random.next() % UInt64(limit / unit)) * unit
      return start..<start + (1 + Int(random.next() % UInt64(20_000 / unit))) * unit
    }
    for step in 0..<steps {
      var said = ""
      switch random.next() % 10 {
      case 0..<4:
        let range = range(aligned: random.next() % 3 == 0)
        let bytes = pattern(Int64(range.lowerBound)..<Int64(range.upperBound), seed: Int64(step))
        said = "write \(range)"
        #expect(try store.write(bytes, at: Int64(range.lowerBound), segment: 3000) == range.count)
        model.write(bytes, at: range.lowerBound)
      case 4:
        let size = Int(random.next() % UInt64(limit))
        said = "resize \(size)"
        try store.resize(to: Int64(size))
        model.grow(to: size)
        model.bytes.removeSubrange(size...)
      case 5 where sharing:
        let (from, to) = (range(aligned: true), range(aligned: true))
        said = "clone \(from) to \(to.lowerBound)"
        let isPossible =
          from.upperBound <= model.bytes.count && !from.overlaps(to.lowerBound..<to.lowerBound + from.count)
        guard isPossible else { continue }
        try store.clone(Int64(from.lowerBound)..<Int64(from.upperBound), of: store, to: Int64(to.lowerBound))
        model.write(Array(model.bytes[from]), at: to.lowerBound)
      default:
        let change = Self.changes[Int(random.next() % UInt64(Self.changes.count))]
        let range = range(aligned: change == .collapse || change == .insert)
        said = "\(change) \(range)"
        // It grows by this only, and must not for ever.
        if change == .insert, model.bytes.count > limit { continue }
        let isPossible =
          switch change {
          case .collapse: range.upperBound < model.bytes.count
          case .insert: range.lowerBound < model.bytes.count
          default: true
          }
        let refusal = cause { try store.change(change, Int64(range.lowerBound)..<Int64(range.upperBound)) }
        #expect(refusal == (isPossible ? nil : .system(.invalidArgument)), "\(said) of \(model.bytes.count)")
        if isPossible { model.change(change, range) }
      }
      if step % 7 == 0 { try store.flush(dataOnly: step % 2 == 0) }
      let found = try store.contents()
      // Not in the expectation: it would print them.
      let isEqual = found.count == model.bytes.count && isSame(found[...], model.bytes[...])
      if !isEqual {
        let first = zip(found, model.bytes).enumerated().first { $1.0 != $1.1 }?.offset
        Issue.record(
          """
          step \(step), \(said): \(found.count) bytes of \(model.bytes.count), first difference at \(first ?? -1) \
          (PAGECACHE_SEED=\(Self.seed))
          """)
        return
      }
      try checkHoles(store, model.bytes, "step \(step), \(said) (PAGECACHE_SEED=\(Self.seed))")
    }
  }

  /// Holes read as zero, and extents come to an end.
  private func checkHoles(_ store: any BackingStore, _ bytes: [UInt8], _ said: String) throws {
    var offset: Int64 = 0
    while offset < bytes.count {
      let extent = try store.extent(at: offset)
      try #require(extent.end > offset, "\(said)")
      let end = min(extent.end, Int64(bytes.count))
      let isRight = !extent.isHole || isZero(bytes[Int(offset)..<Int(end)])
      try #require(isRight, "\(said)")
      offset = end
    }
  }

  private func isZero(_ bytes: ArraySlice<UInt8>) -> Bool { isSame(bytes, Self.noBytes[..<bytes.count]) }

  private static let noBytes = [UInt8](repeating: 0, count: 1 << 20)

  /// By memcmp: a debug build compares arrays byte by byte.
  private func isSame(_ first: ArraySlice<UInt8>, _ second: ArraySlice<UInt8>) -> Bool {
    unsafe first.withUnsafeBytes { first in
      unsafe second.withUnsafeBytes { second in
        unsafe first.isEmpty || memcmp(first.baseAddress!, second.baseAddress!, first.count) == 0
      }
    }
  }

  @Test(arguments: [0, 50_000])
  func memory(size: Int) throws {
    for store in [
      MemoryStore(bytes: pattern(0..<Int64(size))), MemoryStore(size: Int64(size)) { patternByte(at: $0) },
      MemoryStore(holeOf: Int64(size)),
    ] {
      try store.prepareToWrite()
      try check(store, steps: 150, sharing: true)
    }
  }

  @Test(arguments: Volume.Kind.available, [DirectIOPolicy.automatic, .never])
  func files(kind: Volume.Kind, policy: DirectIOPolicy) throws {
    let volume = try Volume(kind)
    let directory = try TemporaryDirectory(in: volume.path)
    let file = try directory.makeFile(size: 50_000)
    let store = try LocalFileStore(path: file, directIO: policy, threads: IOThreads(count: 1))
    try store.prepareToWrite()
    try check(store, steps: 150, sharing: kind == .xfs)
    store.close()
  }
}
