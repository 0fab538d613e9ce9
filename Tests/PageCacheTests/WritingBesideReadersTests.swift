import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P1, P3 and P9 beside writes.
@Suite struct WritingBesideReadersTests {
  enum Change: CaseIterable {
    case writeSmall, writeLarge, punch, zero, shorten, shortenToNothing, lengthen, collapse, insert, clone, exchange,
      invalidate
  }

  private func apply(_ change: Change, _ file: CachedFile, _ model: inout BytesModel) throws {
    switch change {
    case .writeSmall:
      try file.write(toAbsoluteOffset: 9000, someBytes(100, 5))
      model.write(someBytes(100, 5), at: 9000)
    case .writeLarge:
      try file.write(toAbsoluteOffset: 3000, someBytes(60_000, 6))
      model.write(someBytes(60_000, 6), at: 3000)
    case .punch:
      try file.punchHole(5000..<70_000)
      model.zero(5000..<70_000)
    case .zero:
      try file.zeroRange(8192..<9100)
      model.zero(8192..<9100)
    case .shorten:
      try file.resize(to: 9001)
      model.resize(9001)
    case .shortenToNothing:
      try file.resize(to: 0)
      model.resize(0)
    case .lengthen:
      try file.resize(to: 300_000)
      model.resize(300_000)
    case .collapse:
      try file.collapseRange(4096..<12_288)
      model.bytes.removeSubrange(4096..<12_288)
    case .insert:
      try file.insertRange(4096..<12_288)
      model.bytes.insert(contentsOf: [UInt8](repeating: 0, count: 8192), at: 4096)
    case .clone:
      try file.clone(65_536..<81_920, of: file, to: 0)
      model.write(Array(model.bytes[65_536..<81_920]), at: 0)
    case .exchange:
      try file.exchange(100..<30_000, with: file, at: 50_000)
      let mine = Array(model.bytes[100..<30_000])
      model.write(Array(model.bytes[50_000..<79_900]), at: 100)
      model.write(mine, at: 50_000)
    case .invalidate:
      try file.invalidate()
    }
  }

  /// P9: what is lent stays what it was, and the file has the new bytes.
  @Test(arguments: WritingTests.ways) func loansAreSnapshots(_ way: WritingTests.Way) throws {
    let cache = try smallCache(limit: 4 << 20, orders: way.orders, atomic: 1 << 16)
    let before = try cache.statistics().freeFrames
    for change in Change.allCases {
      let memory = MemoryStore(bytes: someBytes(100_000))
      let file = try cache.open(store: memory, .readWrite(durability: way.durability))
      var model = BytesModel(bytes: someBytes(100_000))
      // Once clean, once with something dirty.
      if way.durability == .writeBack {
        try file.write(toAbsoluteOffset: 8800, [9, 8, 7])
        model.write([9, 8, 7], at: 8800)
      }
      let first = model.bytes
      try file.withBytes(atAbsoluteOffset: 8192, count: 4096) { outer in
        try apply(change, file, &model)
        // A second loan, of the new bytes, and a second change.
        let second = model.bytes
        try file.withBytes(atAbsoluteOffset: 8192, count: 2000) { inner in
          if model.bytes.count > 9000 {
            try file.write(toAbsoluteOffset: 8200, someBytes(500, 8))
            model.write(someBytes(500, 8), at: 8200)
          }
          #expect(try contents(file) == model.bytes, "\(change)")
          let seen = unsafe inner.withUnsafeBytes { unsafe [UInt8]($0) }
          #expect(seen == Array(second.dropFirst(8192).prefix(2000)), "\(change), the inner loan")
        }
        let seen = unsafe outer.withUnsafeBytes { unsafe [UInt8]($0) }
        #expect(seen == Array(first[8192..<12_288]), "\(change), the outer loan")
      }
      #expect(try contents(file) == model.bytes, "\(change), at the end")
      try file.sync()
      #expect(memory.crashed() == model.bytes, "\(change), in the store")
      try file.close()
      try expectAllFramesBack(cache, before)
    }
  }

  /// Loans that come and go while others write: never two values in one loan.
  @Test(arguments: [0...0, 4...4]) func loansBesideAWriter(orders: ClosedRange<Int>) throws {
    let cache = try smallCache(orders: orders)
    let file = try cache.open(
      store: MemoryStore(bytes: [UInt8](repeating: 0, count: 65_536)), .readWrite(durability: .writeBack))
    let isOver = Word()
    let failures = Failures()
    let loans = SharedCounter()
    onThreads(3) { thread in
      do {
        if thread == 0 {
          for number in 0..<(isSanitized ? 300 : 1500) {
            try file.write(toAbsoluteOffset: 4096, [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 4096))
          }
          isOver.set(1)
          return
        }
        // Also if the writer was done before this began.
        repeat {
          try file.withBytes(atAbsoluteOffset: 4096, count: 4096) { span in
            let isWhole = unsafe span.withUnsafeBytes { bytes in
              let first = unsafe bytes.load(as: UInt64.self)
              return stride(from: 0, to: 4096, by: 8).allSatisfy {
                unsafe bytes.load(fromByteOffset: $0, as: UInt64.self) == first
              }
            }
            failures.check(isWhole, "a loan with bytes of two writes")
          }
          loans.add(1)
        } while isOver.value == 0
      } catch {
        isOver.set(1)
        failures.add("\(error)")
      }
    }
    #expect(failures.all == [] && loans.value > 0)
    try file.close()
  }

  @Test func asynchronousReadsBesideWrites() async throws {
    let cache = try smallCache()
    let memory = MemoryStore(bytes: [UInt8](repeating: 0, count: 65_536), threads: IOThreads(count: 2))
    let file = try cache.open(store: memory, .readWrite(durability: .writeBack))
    let reads = isSanitized ? 20 : 100
    let isOver = Word()
    let lastNumber = Word()
    // Writes for as long as it takes the tasks to have their turn.
    let writer = JoinableThread(name: "writer") {
      var number: UInt64 = 0
      while isOver.value == 0 {
        number += 1
        _ = try? file.write(toAbsoluteOffset: 6000, [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 9000))
        // So that there are misses.
        if number % 8 == 0 { try? file.invalidate() }
      }
      lastNumber.set(number)
    }
    let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<4 {
        group.addTask {
          var wrong = 0
          for _ in 0..<reads {
            let bytes = try await file.read(fromAbsoluteOffset: 6000, count: 9000)
            if bytes != [UInt8](repeating: bytes.first ?? 0, count: 9000) { wrong += 1 }
          }
          return wrong
        }
      }
      return try await group.reduce(0, +)
    }
    isOver.set(1)
    writer?.join()
    #expect(wrong == 0)
    let last = try await file.read(fromAbsoluteOffset: 5999, count: 9002)
    #expect(last == [0] + [UInt8](repeating: UInt8(truncatingIfNeeded: lastNumber.value), count: 9000) + [0])
    try file.close()
  }

  /// P3: nothing behind the count changes, whatever the file's size does meanwhile.
  @Test(arguments: PageCache.Durability.allCases) func theTailStaysUntouched(
    _ durability: PageCache.Durability
  ) throws {
    let cache = try smallCache(atomic: 1 << 16)
    let file = try cache.open(
      store: MemoryStore(bytes: [UInt8](repeating: 1, count: 60_000)), .readWrite(durability: durability))
    // Half a second, and longer where everything is slow: as long as it takes for each to have happened a few times.
    let (soon, late) = (monotonicNanoseconds() + 500_000_000, monotonicNanoseconds() + 60_000_000_000)
    let failures = Failures()
    let (reads, resizes, short) = (SharedCounter(), SharedCounter(), SharedCounter())
    let isOver: @Sendable () -> Bool = {
      let now = monotonicNanoseconds()
      return now > late || now > soon && reads.value > 10 && resizes.value > 10 && short.value > 0
    }
    onThreads(5) { thread in
      var random = RandomWords(seed: testSeed &+ UInt64(thread))
      do {
        if thread < 2 {
          while !isOver() {
            let size = Int64(random.next(below: 60_000))
            try file.resize(to: size)
            resizes.add(1)
            if random.next(below: 2) == 0 {
              try file.write(toAbsoluteOffset: size, [UInt8](repeating: 1, count: 60_000 - Int(size)))
            }
          }
          return
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 20_000, alignment: 16)
        defer { unsafe buffer.deallocate() }
        while !isOver() {
          for place in stride(from: 0, to: 20_000, by: 8) {
            unsafe buffer.storeBytes(of: 0xEEEE_EEEE_EEEE_EEEE, toByteOffset: place, as: UInt64.self)
          }
          let offset = Int64(random.next(below: 60_000))
          let count = try unsafe file.read(fromAbsoluteOffset: offset, into: buffer)
          reads.add(1)
          if count < 20_000 { short.add(1) }
          var place = count
          while place < 20_000, unsafe buffer[place] == 0xEE { place += 1 }
          failures.check(place == 20_000, "\(count) bytes from \(offset), and the byte \(place) has changed")
          // What was written is 1, what was never written is 0, the mark is nowhere.
          // Word by word, because this is slow in a debug build.
          let isRight = stride(from: 0, to: count - 7, by: 8).allSatisfy {
            unsafe buffer.load(fromByteOffset: $0, as: UInt64.self) & 0xFEFE_FEFE_FEFE_FEFE == 0
          }
          failures.check(isRight, "marks or strange bytes in \(count)")
        }
      } catch { failures.add("\(error)") }
    }
    #expect(failures.all == [])
    #expect(reads.value > 10 && resizes.value > 10 && short.value > 0)
    try file.close()
  }
}
