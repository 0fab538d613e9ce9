#if RaceLaboratory
  import PageCache
  import Primitives
  import RaceLaboratory
  import ReadCopyUpdate

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
    /// Calls of a kind that do not fail, before those that do.
    var sparedFailures = 0
    /// Whether stores can share storage.
    var sharesStorage = true
    /// Whether the threads with odd numbers have a handle of their own of the first file, with the other durability.
    var hasTwin = false
    /// Whether the first thread has bytes of the first file lent to it as long as it runs.
    var isLent = false

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
    var handles: [CachedFile]
    var twin: CachedFile?
    /// Handles that threads have opened in the place of one that they have closed, by thread and file.
    var opened: [Int: [Int: CachedFile]] = [:]
    /// Whether a thread has begun to close a handle.
    var hasClosed = false
    /// Of a message from one thread to another.
    let flag = Words([0])
    var points: [Int: DurabilityPoint] = [:]
    var lastPoint: DurabilityPoint?
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
        try World.forgetRecords(usesMembarrier: start.usesMembarrier)
        cache = try PageCache(World.configuration(start))
        freeAtFirst = cache.freeFrames
        handles = []
        for store in stores {
          handles.append(try cache.open(store: store, .readWrite(durability: start.durability)))
        }
        if start.hasTwin {
          let other: PageCache.Durability = start.durability == .writeBack ? .writeThrough : .writeBack
          twin = try cache.open(store: stores[0], .readWrite(durability: other))
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
        store.failingReads = ModelStore.Failing(start.failingReads, after: start.sparedFailures)
        store.failingFlushes = ModelStore.Failing(start.failingFlushes, after: start.sparedFailures)
        store.failingWrites = ModelStore.Failing(start.failingWrites, after: start.sparedFailures)
        store.failingChanges = ModelStore.Failing(start.failingChanges, after: start.sparedFailures)
        store.sharesStorage = start.sharesStorage
      }
    }

    /// Frees the records of threads that earlier executions have left to the slot of the cache's read domain: so that
    /// each execution begins with those that it makes itself.
    private static func forgetRecords(usesMembarrier: Bool) throws {
      let domain = try ReadDomain(usesMembarrier: usesMembarrier)
      for number in 0..<Explorer.mostThreads { Explorer.shared.asThread(number) { domain.giveBackRecord() } }
      domain.giveBackRecord()
      domain.freeRecords()
    }

    /// What is there when all threads have ended.
    func finish(_ history: History) -> String? {
      if let violation = history.violation ?? stores.lazy.compactMap(\.violation).first { return violation }
      for store in stores { store.heal() }
      if let text = takeOver() { return text }
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
        if let text = history.brokenPledge(from: model) { return "\(text): \(history.text)" }
        if let twin {
          // Of what has failed each handle is told once.
          if !twin.isClosed { do { try twin.sync() } catch { try twin.sync() } }
          if !twin.isClosed { try twin.close() }
        }
        for handle in handles + opened.values.flatMap(\.values) where !handle.isClosed {
          do { try handle.close() } catch  where handle.isClosed {
            // It is told of what has failed before.
          }
        }
      } catch {
        return "in the end: \(error)"
      }
      return leftBehind()
    }

    /// Goes on with what threads have opened, where they have closed what was there.
    private func takeOver() -> String? {
      for (file, another) in opened.values.joined().sorted(by: { $0.key < $1.key }) {
        guard handles[file].isClosed else { continue }
        handles[file] = another
      }
      return handles.contains { $0.isClosed } ? "a handle was closed, and no other opened" : nil
    }

    /// What is not given back when all files are closed.
    func leftBehind() -> String? {
      handles = []
      twin = nil
      opened = [:]
      cache.reclaimDeferred()
      let left = freeAtFirst - cache.freeFrames - cache.nodeFramesLeft
      if left != 0 { return "\(left) frames were not given back" }
      return cache.leftovers.first { $0.count != 0 }.map { "\($0.count) \($0.name) are left over" }
    }
  }
#endif
