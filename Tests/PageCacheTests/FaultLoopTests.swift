import BackingStores
import Glibc
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// Every call of the store, of every operation, is made to fail in turn: once, and for ever.
@Suite struct FaultLoopTests {
  struct Way: Sendable, CustomTestStringConvertible {
    let durability: PageCache.Durability
    let goesOn: Bool
    let fault: FaultInjectingStore.Fault
    var isVariation: Bool {
      switch fault {
      case .fail(.system(.ioError)), .failAndLose: false
      default: true
      }
    }
    var testDescription: String { "\(durability), \(goesOn ? "for ever" : "once"), \(fault)" }
  }

  static let ways: [Way] = PageCache.Durability.allCases.flatMap { durability in
    [false, true].flatMap { goesOn in
      [
        FaultInjectingStore.Fault.fail(.system(.ioError)), .fail(.system(.noSpace)), .short(1500),
        .failAndLose(.system(.ioError)),
      ]
      .map { Way(durability: durability, goesOn: goesOn, fault: $0) }
    }
  }

  @Test(arguments: ways) func everyCallFailsInTurn(_ way: Way) throws {
    var point = 1
    var tried = 0
    while true {
      let scenario = try FaultScenario(way, point: point)
      guard try scenario.run() else { break }
      tried += 1
      point += 1
      // Not every point with every way under a sanitizer; and what fails in other words fails at the same points.
      if isSanitized { point += 12 } else if way.isVariation { point += 2 }
    }
    #expect(tried > (isSanitized ? 2 : way.isVariation ? 10 : 30), "\(tried) fault points")
  }
}

/// What two files hold, as plain bytes.
private final class PlainFile {
  var bytes: [UInt8] = []

  func write(_ new: [UInt8], at offset: Int) {
    guard !new.isEmpty else { return }
    if bytes.count < offset + new.count { resize(offset + new.count) }
    bytes.replaceSubrange(offset..<offset + new.count, with: new)
  }

  func resize(_ count: Int) {
    if count < bytes.count { bytes.removeLast(bytes.count - count) }
    bytes += [UInt8](repeating: 0, count: count - bytes.count)
  }

  func punch(_ range: Range<Int>) { zero(range.clamped(to: 0..<bytes.count)) }

  func zero(_ range: Range<Int>) { write([UInt8](repeating: 0, count: range.count), at: range.lowerBound) }
}

private final class FaultScenario {
  let way: FaultLoopTests.Way
  let point: Int
  let cache: PageCache
  let framesBefore: Int
  let memory: [MemoryStore]
  let stores: [FaultInjectingStore]
  let calls = SharedCounter()
  let isHealed = Word()
  let hits = SharedCounter()
  let hitsThatTell = SharedCounter()
  var models = [PlainFile(), PlainFile()]
  var errors = 0

  init(_ way: FaultLoopTests.Way, point: Int) throws {
    self.way = way
    self.point = point
    cache = try smallCache(limit: 4 << 20, atomic: 1 << 16)
    framesBefore = try cache.statistics().freeFrames
    let memory = [MemoryStore(holeOf: 0), MemoryStore(holeOf: 0)]
    self.memory = memory
    let (calls, isHealed, hits, hitsThatTell) = (calls, isHealed, hits, hitsThatTell)
    stores = memory.map { store in
      FaultInjectingStore(
        store,
        calls: { _, call in
          // Opening is tested elsewhere; whoever cannot look whether others have changed the file goes on.
          switch call {
          case .prepareToWrite, .claim, .status: return nil
          default: break
          }
          let number = calls.addReturningNew(1)
          guard number == point || way.goesOn && number > point, isHealed.value == 0 else { return nil }
          hits.add(1)
          // A short transfer, and a store that does not know where its holes are, are no failure.
          if case .short = way.fault {
            switch call {
            // The store is asked once more, and then no more.
            case .read where way.goesOn: break
            // The rest is written by another call.
            case .read, .write: return way.fault
            default: return nil
            }
          }
          if call != .extent, call != .clone { hitsThatTell.add(1) }
          return way.fault
        })
    }
  }

  /// - Returns: false if there were fewer calls than the point.
  func run() throws -> Bool {
    let files = try stores.map { try cache.open(store: $0, .readWrite(durability: way.durability)) }
    try act(files[0], files[1])
    let isReached = calls.value >= point
    if way.goesOn, isReached {
      try endBroken(files)
    } else {
      if way.goesOn { isHealed.set(1) }
      try endWell(files)
    }
    try expectAllFramesBack(cache, framesBefore)
    #expect(try cache.statistics().owedFrames == 0, "point \(point), \(way)")
    return isReached
  }

  private func bytes(_ count: Int, _ seed: Int) -> [UInt8] { Array(Self.patterns[seed][..<count]) }

  private static let patterns: [[UInt8]] = (0...8).map { seed in
    (0..<20_000).map { UInt8(truncatingIfNeeded: ($0 &+ seed &* 7919) &* 31 &>> 3 | 1) }
  }

  private func act(_ one: CachedFile, _ two: CachedFile) throws {
    let a = models[0]
    let b = models[1]
    let files = [one, two]
    func step(_ what: String, _ real: () throws -> Void, _ model: () -> Void) throws {
      try self.step(what, files, real, model)
    }
    try step("write") {
      try one.write(toAbsoluteOffset: 100, bytes(20_000, 1))
    } _: {
      a.write(bytes(20_000, 1), at: 100)
    }
    try step("write far") {
      try two.write(toAbsoluteOffset: 30_000, bytes(9_000, 2))
    } _: {
      b.write(bytes(9_000, 2), at: 30_000)
    }
    try step("append") {
      try one.append(bytes(5_000, 3))
    } _: {
      a.write(bytes(5_000, 3), at: a.bytes.count)
    }
    try step("invalidate") {
      try one.invalidate()
    } _: {
    }
    try step("write in part") {
      try one.write(toAbsoluteOffset: 5_000, bytes(700, 4))
    } _: {
      a.write(bytes(700, 4), at: 5_000)
    }
    try step("write over three pages") {
      try one.write(toAbsoluteOffset: 9_000, bytes(8_000, 5))
    } _: {
      a.write(bytes(8_000, 5), at: 9_000)
    }
    try step("shorten") {
      try one.resize(to: 15_000)
    } _: {
      a.resize(15_000)
    }
    try step("lengthen") {
      try one.resize(to: 50_000)
    } _: {
      a.resize(50_000)
    }
    try step("sync") {
      try one.sync()
    } _: {
    }
    try step("punch") {
      try one.punchHole(3_000..<13_000)
    } _: {
      a.punch(3_000..<13_000)
    }
    try step("zero") {
      try two.zeroRange(31_000..<45_000)
    } _: {
      b.zero(31_000..<45_000)
    }
    try step("write into a hole") {
      try one.write(toAbsoluteOffset: 6_000, bytes(50, 6))
    } _: {
      a.write(bytes(50, 6), at: 6_000)
    }
    try step("allocate") {
      try one.allocate(40_000..<60_000)
    } _: {
      a.resize(60_000)
    }
    try step("flush") {
      try one.flush(6_000..<6_050)
    } _: {
    }
    try step("collapse") {
      try one.collapseRange(4096..<8192)
    } _: {
      a.bytes.removeSubrange(4096..<8192)
    }
    try step("insert") {
      try one.insertRange(0..<4096)
    } _: {
      a.bytes.insert(contentsOf: [UInt8](repeating: 0, count: 4096), at: 0)
    }
    try step("clone") {
      try one.clone(28_672..<36_864, of: two, to: 8_192)
    } _: {
      a.write(Array(b.bytes[28_672..<36_864]), at: 8_192)
    }
    try step("copy") {
      try two.copy(100..<9_000, of: one, to: 5)
    } _: {
      b.write(Array(a.bytes[min(100, a.bytes.count)..<min(9_000, a.bytes.count)]), at: 5)
    }
    try step("exchange") {
      try one.exchange(1_000..<9_000, with: two, at: 29_000)
    } _: {
      let mine = Array(a.bytes[1_000..<9_000])
      a.write(Array(b.bytes[29_000..<37_000]), at: 1_000)
      b.write(mine, at: 29_000)
    }
    try step("seek") {
      _ = try one.seekData(from: 0)
    } _: {
    }
    try step("last writes") {
      try one.write(toAbsoluteOffset: 12_000, bytes(9_000, 8))
    } _: {
      a.write(bytes(9_000, 8), at: 12_000)
    }
    try step("sync the other") {
      try two.sync(dataOnly: true)
    } _: {
    }
  }

  private func step(
    _ what: String, _ files: [CachedFile], _ real: () throws -> Void, _ model: () -> Void
  ) throws {
    let before = models.map(\.bytes)
    do {
      try real()
      model()
    } catch let error as CacheError {
      errors += 1
      #expect(!error.file.isEmpty)
      // What was refused because of what is there now, after a failure before, was not begun.
      if case .pastEnd = error.cause {} else { model() }
      let after = models.map(\.bytes)
      for index in 0...1 {
        let seen = try look(files[index], what) ?? before[index]
        // The size and each page are those of before or of after.
        let sizes = [before[index].count, after[index].count]
        #expect(
          sizes.contains(seen.count),
          "\(error): \(what), point \(point), \(way): \(seen.count) bytes, not one of \(sizes)")
        for start in stride(from: 0, to: seen.count, by: 4096) {
          let page = start..<min(seen.count, start + 4096)
          let isOld = isSame(seen, before[index], page)
          // A write that the store took in part is there in part.
          let isNew = isSame(seen, after[index], page)
          let isPart = !isOld && !isNew && isMixed(seen, before[index], after[index], page)
          #expect(
            isOld || isNew || isPart && "\(error.cause)".contains("refused the rest"),
            "\(what), point \(point), \(way), page at \(start) of file \(index): neither old nor new")
        }
        models[index].bytes = seen
      }
    }
  }

  private func byte(_ bytes: [UInt8], _ place: Int) -> UInt8 { place < bytes.count ? bytes[place] : 0 }

  private func isSame(_ one: [UInt8], _ other: [UInt8], _ range: Range<Int>) -> Bool {
    if range.upperBound <= one.count, range.upperBound <= other.count {
      // By the fastest code there is, also in a debug build.
      return unsafe one.withUnsafeBytes { one in
        unsafe other.withUnsafeBytes { other in
          unsafe memcmp(one.baseAddress! + range.lowerBound, other.baseAddress! + range.lowerBound, range.count) == 0
        }
      }
    }
    return range.allSatisfy { byte(one, $0) == byte(other, $0) }
  }

  private func isMixed(_ seen: [UInt8], _ old: [UInt8], _ new: [UInt8], _ range: Range<Int>) -> Bool {
    range.allSatisfy { byte(seen, $0) == byte(old, $0) || byte(seen, $0) == byte(new, $0) }
  }

  /// All that a file holds; nil if the store refuses it, for ever.
  private func look(_ file: CachedFile, _ what: String) throws -> [UInt8]? {
    do { return try file.read(fromAbsoluteOffset: 0, count: 200_000) } catch {
      errors += 1
      guard !way.goesOn else { return nil }
      return try file.read(fromAbsoluteOffset: 0, count: 200_000)
    }
  }

  /// The store is well again: a sync succeeds once the failure has been told, and everything is where it should be.
  private func endWell(_ files: [CachedFile]) throws {
    for (index, file) in files.enumerated() {
      for attempt in 1...4 {
        do {
          try file.sync()
          break
        } catch {
          errors += 1
          #expect(attempt < 4, "point \(point), \(way): \(error)")
        }
      }
      let seen = try look(file, "end")
      #expect(seen == models[index].bytes, "point \(point), \(way): file \(index) through the cache")
      #expect(memory[index].bytes() == models[index].bytes, "point \(point), \(way): file \(index) in the store")
      #expect(memory[index].crashed() == models[index].bytes, "point \(point), \(way): file \(index) after a crash")
    }
    if hitsThatTell.value > 0 { #expect(errors > 0, "point \(point), \(way): nobody was told") }
    for file in files { try file.close() }
  }

  /// The store stays broken: nothing pretends otherwise, and discarding is the way out.
  private func endBroken(_ files: [CachedFile]) throws {
    for file in files {
      do { try file.close() } catch {
        errors += 1
        if !file.isClosed {
          // Well again for a moment: what was kept is written now. Every other time the data is given up.
          if point % 2 == 0 { isHealed.set(1) }
          try? file.close(discardingDirty: point % 2 != 0)
          if !file.isClosed { try file.close() }
        }
      }
      #expect(file.isClosed)
    }
    if hitsThatTell.value > 0 { #expect(errors > 0, "point \(point), \(way): nobody was told") }
  }
}
