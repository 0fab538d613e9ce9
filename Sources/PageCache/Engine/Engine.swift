import BackingStores
import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// What a cache and its files share: the pool, the read domain, the table of files.
@safe
final class Engine: Sendable {
  let configuration: PageCache.Configuration
  let domain: ReadDomain
  let pool: FramePool
  let budget: FrameBudget
  let dirtyBudget: DirtyBudget
  let writeback: Writeback
  let ioThreads: IOThreads
  let reclaimer = Reclaimer()
  /// Frames set aside for tenants.
  let reservedFrames = SharedCounter()
  /// Bytes, as it is now.
  let limit: InlineWord
  /// Whether frames are being taken out of circulation.
  let isLowering = InlineWord(0)
  /// Who changes the limit has its turn.
  let limitTurn = Turn()

  /// Whether this process is a fork of the one that made the cache, and has no memory of it.
  var isInForkedChild: Bool { forkGeneration() != generation }
  private let generation: UInt64

  /// Fills that have their frames and are at the store.
  let fillsAtStores = SharedCounter()
  /// Pieces being read ahead, or waiting for a thread.
  let readAheads = SharedCounter()
  /// Orders of folios that are made.
  let orders: ClosedRange<Int>
  /// Frames that one call can need at most: the configuration's, worked out once.
  let framesOfOneCall: Int
  let policy: any ReclaimPolicy
  /// Frames that have been evicted: the clock of what has gone.
  let goneFrames = InlineWord(0)
  /// Where that clock stood when shadows were last swept.
  let lastSweep = InlineWord(0)
  /// Where compaction looks next, and the largest order that was wanted and not to be had since it last looked.
  let compactionHand = InlineWord(0)
  let wantedOrder = InlineWord(0)
  /// Whether anything has had to go yet.
  let hasEvicted = InlineWord(0)
  private let table = Monitor()
  // Guarded by `table`.
  nonisolated(unsafe) private var filesByNumber: [UInt64: FileCore] = [:]
  nonisolated(unsafe) private var filesByIdentity: [StoreIdentity: FileCore] = [:]
  nonisolated(unsafe) private var lastNumber: UInt64 = 0
  nonisolated(unsafe) private var identitiesInTurn: Set<StoreIdentity> = []

  init(configuration: PageCache.Configuration) throws(CacheError) {
    func refuse(_ cause: CacheError.Cause) -> CacheError { CacheError(operation: .create, file: "", cause: cause) }
    let problems = configuration.problems
    guard problems.isEmpty else { throw refuse(.configuration(problems)) }
    self.configuration = configuration
    orders = configuration.usedOrders
    framesOfOneCall = configuration.framesOfOneCall
    policy =
      switch configuration.reclaim {
      case .s3FIFO: S3FIFO()
      case .secondChance: SecondChance()
      }
    do { domain = try ReadDomain(usesMembarrier: configuration.usesMembarrier) } catch {
      throw refuse(.tooManyCaches(limit: error.limit))
    }
    do {
      pool = try FramePool(
        limit: configuration.memoryLimit, maximum: configuration.maximumMemoryLimit, kind: configuration.arenaKind,
        frameShift: configuration.frameShift,
        nodeFanOutShifts: configuration.fanOutShift.map { [$0] } ?? [6, 9],
        populate: configuration.populatesArena, lock: configuration.locksArena, domain: domain,
        defersReuse: configuration.defersReuse)
    } catch {
      throw refuse(.memory(call: error.operation, errno: .init(rawValue: error.code), byteCount: error.byteCount))
    }
    let budgets = configuration.budgets(of: pool.usableFrames)
    budget = FrameBudget(capacity: budgets.calls)
    dirtyBudget = DirtyBudget(capacity: budgets.owed)
    limit = InlineWord(UInt64(configuration.memoryLimit))
    writeback = Writeback(age: configuration.writeBackAge)
    ioThreads = IOThreads(count: configuration.ioThreads)
    generation = forkGeneration()
  }

  deinit {
    writeback.stop()
    reclaimer.stop()
  }

  /// The shape of a file's index.
  ///
  /// A node of 512 slots saves a level on most hits, and takes 4,352 bytes. Where files are much larger than the cache, few of its slots would be
  /// in use, and nodes would eat the pool: then 64.
  /// A file that may grow is taken for one that will: the shape is for the file's life.
  func geometry(forSize size: Int64, isWritable: Bool) -> IndexGeometry {
    let isSmall = size <= 64 << Int64(pool.frameShift) && !isWritable
    let shift = configuration.fanOutShift ?? (!isSmall && size / 4 <= Int64(configuration.memoryLimit) ? 9 : 6)
    return IndexGeometry(fanOutShift: shift, versionBits: configuration.versionBits, keyShift: configuration.frameShift)
  }

  /// The largest order of a folio of a file that is written to: none with a slot of several pages, unless the configuration wants no smaller ones.
  func highestOrderForWriting(fanOutShift: Int) -> Int {
    max(orders.lowerBound, min(orders.upperBound, fanOutShift - 1))
  }

  // MARK: Files

  func file(number: UInt64) -> FileCore? { table.withLock { unsafe filesByNumber[number] } }

  /// Files with an open handle.
  var openFileCount: Int { table.withLock { unsafe filesByIdentity.count } }

  /// The open file with an identity, with one more handle counted.
  func openedFile(_ identity: StoreIdentity) -> FileCore? {
    table.withLock {
      guard let file = unsafe filesByIdentity[identity] else { return nil }
      unsafe file.handles += 1
      return file
    }
  }

  /// Keeps another store of an open file until that is closed.
  func keep(_ store: any BackingStore, with file: FileCore) { table.withLock { unsafe file.duplicates.append(store) } }

  /// Takes a store in, of which no file is open.
  func adopt(
    _ store: any BackingStore, status: StoreStatus, ownership: PageCache.Ownership, isWritable: Bool, tenant: Tenant?
  ) -> FileCore {
    let identity = store.identity
    return table.withLock {
      unsafe lastNumber += 1
      let file = unsafe FileCore(
        engine: self, number: lastNumber, store: store, identity: identity, status: status, ownership: ownership,
        isWritable: isWritable, tenant: tenant)
      unsafe filesByNumber[file.number] = file
      unsafe filesByIdentity[identity] = file
      return file
    }
  }

  /// Files that are open now.
  var openFiles: [FileCore] { table.withLock { unsafe Array(filesByNumber.values) } }

  /// Runs a body that opens, or closes, what has an identity: one at a time for each. So nobody opens what is not quite closed, and two who open the same
  /// do not claim it from each other.
  func inTurn<Result, Failure: Error>(
    _ identity: StoreIdentity, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    table.lock()
    while unsafe !identitiesInTurn.insert(identity).inserted { table.wait() }
    table.unlock()
    defer {
      table.withLock {
        unsafe identitiesInTurn.remove(identity)
        table.broadcast()
      }
    }
    return try body()
  }

  /// Whether no more than one handle of a file is open. In its turn.
  func isLastHandle(of file: FileCore) -> Bool { table.withLock { unsafe file.handles == 1 } }

  /// Counts one handle less, and shuts the file down with the last. In its turn.
  func releaseHandleInTurn(_ file: FileCore, discardingDirty: Bool = false) {
    let isLast = table.withLock {
      unsafe file.handles -= 1
      guard unsafe file.handles == 0 else { return false }
      unsafe filesByIdentity[file.identity] = nil
      return true
    }
    guard isLast else { return }
    file.shutDown(discardingDirty: discardingDirty)
    // Only now: while it waits for a slow store, its folios can still be evicted for others.
    table.withLock { unsafe filesByNumber[file.number] = nil }
  }
}
