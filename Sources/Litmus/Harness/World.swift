#if RaceLaboratory
  import PageCache
  import Primitives
  import RaceLaboratory

  func bytes(_ byte: UInt8, _ count: Int = 16) -> [UInt8] { Array(repeating: byte, count: count) }

  /// What a litmus test starts from.
  struct Start: Sendable {
    /// Bytes of each file: each page has a byte of its own.
    var sizes = [2 * ModelStore.pageSize]
    /// Pages that are cached, by file; nil for all.
    var cached: [[Int]?] = [nil]
    /// Pages that are holes of the store, by file.
    var holes: [[Int]] = [[]]
    var durability = PageCache.Durability.writeThrough
    var orders: ClosedRange<Int> = 0...0
    var versionBits = 20
    var usesMembarrier = true
    /// How many calls can have the frames that they may need at one time.
    var callsAtOnce = 2
    /// Done at once, before the threads start.
    var before: [Act] = []
    /// Bytes that are read ahead at most.
    var readAhead = 0
    /// Bytes of the store that are all the same at any time.
    var uniform: Range<Int>?
    /// Whether the store reads on the calling thread, so that a miss of one page claims nothing.
    var readsOnCaller = false
    /// Failures of the store that are due.
    var failingReads = 0
    var failingFlushes = 0
    var failingWrites = 0
    var failingChanges = 0

    var failures: Int { failingReads + failingFlushes + failingWrites + failingChanges }

    func byte(_ file: Int, _ page: Int) -> UInt8 { UInt8(file * 16 + page + 1) }

    var files: ModelFiles {
      ModelFiles(
        files: sizes.enumerated().map { file, size in
          (0..<size).map { place in
            let page = place / ModelStore.pageSize
            return file < holes.count && holes[file].contains(page) ? 0 : byte(file, page)
          }
        })
    }
  }

  /// The cache of one execution, with its files.
  final class World {
    let start: Start
    var model: ModelFiles
    let cache: PageCache
    let stores: [ModelStore]
    private(set) var handles: [CachedFile]
    private let freeAtFirst: Int

    static func configuration(_ start: Start) -> PageCache.Configuration {
      var configuration = PageCache.Configuration(
        memoryLimit: 1 << 30, folioOrders: start.orders, maximumAtomicLength: 4 * ModelStore.pageSize,
        readAheadLength: start.readAhead)
      configuration.frameShift = 8
      configuration.limitsOrders = false
      configuration.fanOutShift = 2
      configuration.versionBits = start.versionBits
      configuration.usesMembarrier = start.usesMembarrier
      configuration.memoryLimit = 1
      for problem in configuration.problems {
        if case .memoryLimitTooSmall(_, let needed) = problem {
          // The rest is what a pool keeps back, and what is owed to stores.
          let frameByteCount = ModelStore.pageSize + 64
          let framesOfOneCall = needed / frameByteCount - 48
          let frames = start.callsAtOnce == 1 ? framesOfOneCall + 112 : 4 * start.callsAtOnce * framesOfOneCall + 64
          configuration.memoryLimit = frames * frameByteCount
        }
      }
      return configuration
    }

    init(_ start: Start, threads: Int) {
      self.start = start
      model = start.files
      stores = model.files.enumerated().map { file, bytes in
        ModelStore(
          name: "file \(file)", bytes: bytes, holes: Set(file < start.holes.count ? start.holes[file] : []),
          readsOnCaller: start.readsOnCaller)
      }
      do {
        cache = try PageCache(World.configuration(start))
        freeAtFirst = cache.freeFrames
        handles = []
        for store in stores {
          handles.append(try cache.open(store: store, .readWrite(durability: start.durability)))
        }
        // A look at nothing makes a thread known here.
        for thread in 0..<threads {
          try Explorer.shared.asThread(thread) {
            var byte: UInt8 = 0
            unsafe try withUnsafeMutableBytes(of: &byte) {
              _ = try unsafe handles[0].tryRead(fromAbsoluteOffset: 0, into: $0)
            }
          }
        }
        for file in handles.indices {
          let pages = (start.sizes[file] + ModelStore.pageSize - 1) / ModelStore.pageSize
          for page in file < start.cached.count ? start.cached[file] ?? Array(0..<pages) : Array(0..<pages) {
            // The first read brings it, the second has its access bit set.
            for _ in 0..<2 {
              _ = try handles[file].read(fromAbsoluteOffset: Int64(page * ModelStore.pageSize), count: 1)
            }
          }
        }
      } catch {
        giveUp("a litmus test does not start: \(error)")
      }
      for act in start.before {
        let expected = model.apply(act)
        let outcome = perform(act)
        if outcome != expected {
          giveUp("a litmus test does not start: \(act) came to \(outcome), not \(expected)")
        }
      }
      for store in stores {
        store.uniform = start.uniform
        store.failingReads = ModelStore.Failing(start.failingReads)
        store.failingFlushes = ModelStore.Failing(start.failingFlushes)
        store.failingWrites = ModelStore.Failing(start.failingWrites)
        store.failingChanges = ModelStore.Failing(start.failingChanges)
      }
    }

    private static let sentinel: UInt8 = 0xEE

    /// Does an act.
    func perform(_ act: Act) -> Outcome {
      do {
        switch act {
        case .read(let offset, let count, let file):
          return unsafe try read(count) { try unsafe handles[file].read(fromAbsoluteOffset: Int64(offset), into: $0) }
        case .tryRead(let offset, let count, let file):
          return unsafe try read(count) {
            try unsafe handles[file].tryRead(fromAbsoluteOffset: Int64(offset), into: $0)
          }
        case .readMany(let offset, let count, let other, let otherCount, let file):
          return try readMany([(offset, count), (other, otherCount)], of: handles[file])
        case .size(let file): return .count(Int(try handles[file].size))
        case .borrow(let offset, let count, let file):
          return try handles[file].withBytes(atAbsoluteOffset: Int64(offset), count: count) { bytes in
            let first = copy(bytes)
            let second = copy(bytes)
            return first == second ? .bytes(first) : .failed("lent bytes changed: \(first) \(second)")
          }
        case .referencedRead(let offset, let count, let file):
          return unsafe try read(count) {
            try unsafe ReferencedReader(handles[file]).read(fromAbsoluteOffset: Int64(offset), into: $0)
          }
        case .write(let offset, let bytes, let file):
          try handles[file].write(toAbsoluteOffset: Int64(offset), bytes)
        case .append(let bytes, let file): try handles[file].append(bytes)
        case .punch(let range, let file): try handles[file].punchHole(wide(range))
        case .zero(let range, let file): try handles[file].zeroRange(wide(range), keepingSize: true)
        case .resize(let size, let file): try handles[file].resize(to: Int64(size))
        case .collapse(let range, let file): try handles[file].collapseRange(wide(range))
        case .insert(let range, let file): try handles[file].insertRange(wide(range))
        case .clone(let range, let source, let offset, let file):
          try handles[file].clone(wide(range), of: handles[source], to: Int64(offset))
        case .exchange(let range, let other, let offset, let file):
          try handles[file].exchange(wide(range), with: handles[other], at: Int64(offset))
        case .sync(let file): try handles[file].sync(dataOnly: true)
        case .syncDurable(let offset, let bytes, let file):
          try handles[file].sync(dataOnly: true)
          let safe = stores[file].durable
          guard safe.count >= offset + bytes.count, Array(safe[offset..<offset + bytes.count]) == bytes else {
            return .failed("sync has returned, and the store has not \(Outcome.bytes(bytes)) at \(offset)")
          }
        case .evict(let page, let file): _ = handles[file].evict(page: UInt64(page))
        case .age(let page, let file): _ = handles[file].evict(page: UInt64(page), sparingAccessed: true)
        case .move(let page, let file): _ = handles[file].move(page: UInt64(page))
        case .reclaim: cache.reclaimDeferred()
        case .invalidate(let file): try handles[file].invalidate()
        }
        return .done
      } catch {
        return .refused("\(error)")
      }
    }

    /// Reads two ranges in one call: each is of an instant of its own.
    private func readMany(_ ranges: [(offset: Int, count: Int)], of handle: CachedFile) throws -> Outcome {
      let total = ranges.reduce(0) { $0 + $1.count }
      var buffer = [UInt8](repeating: World.sentinel, count: total)
      var counts: [Int] = []
      unsafe try buffer.withUnsafeMutableBytes { memory in
        var start = 0
        var requests: [CachedFile.ReadRequest] = []
        for range in ranges {
          requests.append(
            unsafe CachedFile.ReadRequest(
              offset: Int64(range.offset),
              buffer: UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + range.count])))
          start += range.count
        }
        try handle.readMany(&requests)
        counts = requests.map(\.bytesRead)
      }
      // P3, as in `read`.
      for (start, end, count) in [(0, ranges[0].count, counts[0]), (ranges[0].count, total, counts[1])] {
        if buffer[start + count..<end].contains(where: { $0 != World.sentinel }) {
          return .failed("bytes behind the count were changed: \(Outcome.bytes(buffer)) for counts of \(counts)")
        }
      }
      return .many(Array(buffer[..<counts[0]]), Array(buffer[ranges[0].count..<ranges[0].count + counts[1]]))
    }

    private func wide(_ range: Range<Int>) -> Range<Int64> { Int64(range.lowerBound)..<Int64(range.upperBound) }

    /// Bytes of a frame are copied as a reader who does not trust them would.
    private func copy(_ bytes: RawSpan) -> [UInt8] {
      var copy = [UInt8](repeating: 0, count: bytes.byteCount)
      unsafe bytes.withUnsafeBytes { source in
        guard let from = source.baseAddress else { return }
        unsafe copy.withUnsafeMutableBytes { unsafe racyCopy(to: $0.baseAddress!, from: from, count: source.count) }
      }
      return copy
    }

    private func read(
      _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Int?
    ) rethrows -> Outcome {
      var buffer = [UInt8](repeating: World.sentinel, count: count)
      let done = try unsafe buffer.withUnsafeMutableBytes { try unsafe body($0) }
      guard let done else { return .declined }
      // P3.
      if buffer[done...].contains(where: { $0 != World.sentinel }) {
        return .failed("bytes behind the count were changed: \(Outcome.bytes(buffer)) for a count of \(done)")
      }
      return .bytes(Array(buffer[..<done]))
    }

    /// What is there when all threads have ended.
    func finish(_ history: History) -> String? {
      if let violation = history.violation ?? stores.lazy.compactMap(\.violation).first { return violation }
      for store in stores { store.heal() }
      var end = ModelFiles(files: [])
      do {
        for (file, handle) in handles.enumerated() {
          let size = Int(try handle.size)
          guard case .bytes(let bytes) = perform(.read(0, size, file: file)) else { return "the file cannot be read" }
          // More than one piece where it is longer than the atomic length; nobody else is there any more.
          end.files.append(bytes)
        }
        if !history.isExplained(from: model, to: end) {
          return "no order of the acts explains this: \(history.text); and in the end "
            + end.files.map { Outcome.bytes($0).description }.joined(separator: ", ")
        }
        for (file, handle) in handles.enumerated() {
          do { try handle.sync() } catch {
            // What failed before is told once.
            try handle.sync()
          }
          if stores[file].durable != end.files[file] {
            return
              "the store has \(Outcome.bytes(stores[file].durable)) where the file has \(Outcome.bytes(end.files[file]))"
          }
        }
        for handle in handles { try handle.close() }
      } catch {
        return "in the end: \(error)"
      }
      return leftBehind()
    }

    /// What is not given back when all files are closed.
    func leftBehind() -> String? {
      handles = []
      cache.reclaimDeferred()
      let left = freeAtFirst - cache.freeFrames - cache.nodeFramesLeft
      if left != 0 { return "\(left) frames were not given back" }
      return cache.leftovers.first { $0.count != 0 }.map { "\($0.count) \($0.name) are left over" }
    }
  }
#endif
