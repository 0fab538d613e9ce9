import BackingStores
import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// One file in the cache, however many handles are open on it: its store, its index, who works on it, what it owes to its store.
///
/// Everything that changes is guarded by the index lock, which is the file's lock. Lock order, for who needs more than one thing: the gate, frames of the
/// budget, claims on pages (files by number), then the file's lock, then the pool. The file's lock is held for steps of bounded length: never while the
/// store works, while a grace period is awaited, or while a frame is looked for. The page on changing files has the whole table.
@safe
final class FileCore: Sendable {
  let engine: Engine
  // The engine's. A call by way of two objects keeps both, and all threads count in the same places.
  let pool: FramePool
  let domain: ReadDomain
  let budget: FrameBudget
  /// Never reused in the life of the cache: folio metadata names its file by it.
  let number: UInt64
  let store: any BackingStore
  /// The store's when it was opened: what the engine's table knows the file by.
  let identity: StoreIdentity
  /// When the store's object was made, as far as it tells.
  let creationStamp: StoreStatus.ChangeStamp?
  /// `store.readsOnCaller`.
  let storeReadsOnCaller: Bool
  let words: FileWords
  let index: PageIndex
  /// Whether nobody else may change the store, so that a change by somebody else is an error.
  let ownership: PageCache.Ownership

  // In memory of its own and not in properties: those of a class cost a check at each access.
  nonisolated(unsafe) let guarded: UnsafeMutablePointer<GuardedState>

  /// `durability.durableChanges`, for whoever does not hold the lock: bytes of other files that wait for this one.
  let durableWord = InlineWord(0)

  /// Whose reserve protects what is cached of it.
  let tenant: Tenant?

  private let lowestOrder: Int
  private let highestOrder: InlineWord
  /// The largest order that a folio of the file can have now: claims cover whole folios. Lowered with all pages claimed; relaxed, as an old value only makes a claim wider.
  let largestOrder: InlineWord

  /// Orders of folios that are made.
  var orders: ClosedRange<Int> { lowestOrder...Int(highestOrder.loadRelaxed()) }

  // Guarded by the engine's table lock.
  nonisolated(unsafe) var handles = 1
  nonisolated(unsafe) var duplicates: [any BackingStore] = []

  var name: String { store.name }

  init(
    engine: Engine, number: UInt64, store: any BackingStore, identity: StoreIdentity, status: StoreStatus,
    ownership: PageCache.Ownership, isWritable: Bool, tenant: Tenant?
  ) {
    self.tenant = tenant
    self.engine = engine
    pool = engine.pool
    domain = engine.domain
    budget = engine.budget
    self.number = number
    self.store = store
    storeReadsOnCaller = store.readsOnCaller
    self.identity = identity
    creationStamp = status.creationStamp
    self.ownership = ownership
    unsafe guarded = .allocate(capacity: 1)
    unsafe guarded.initialize(to: GuardedState(status))
    let geometry = engine.geometry(forSize: status.size, isWritable: isWritable)
    lowestOrder = engine.orders.lowerBound
    let highest =
      isWritable ? engine.highestOrderForWriting(fanOutShift: geometry.fanOutShift) : engine.orders.upperBound
    highestOrder = InlineWord(UInt64(highest))
    largestOrder = InlineWord(UInt64(highest))
    words = unsafe FileWords.allocate(
      size: status.size, arena: pool.arena.base, fanOutShift: geometry.fanOutShift,
      frameShift: pool.frameShift)
    index = PageIndex(
      geometry: geometry, nodes: pool.nodes(fanOutShift: geometry.fanOutShift), root: words.root,
      // Not a page more: a file of a whole number of nodes would get a level for nothing.
      coveredPages: (UInt64(status.size) + UInt64(pool.frameByteCount) - 1) >> UInt64(pool.frameShift),
      isConfined: true)
  }

  // No handle is open and no reader is inside: closing has waited for a grace period.
  deinit {
    assert(words.root.loadRelaxed() == 0, "a file is shut down before it is dropped")
    words.deallocate()
    unsafe guarded.deinitialize(count: 1)
    unsafe guarded.deallocate()
  }

  var frameShift: UInt64 { UInt64(pool.frameShift) }
  var frameByteCount: Int { pool.frameByteCount }

  /// Bytes in the file.
  ///
  /// Relaxed: whoever looks for something by it holds the lock or takes it then, or goes by the words himself (`Hit.general`).
  var length: Int64 { Int64(words.length.loadRelaxed()) }

  /// Bytes in the file, to be told to a caller: hits that he makes from then on go as far as that.
  ///
  /// A new length is there a moment before the size that hits go by: whoever sees it then waits for the lock, with which both are stored.
  var size: Int64 {
    let length = length
    if words.size.loadRelaxed() == UInt64(length) || !keeps(.lengthBehindSize) { return length }
    return index.withLock { self.length }
  }

  /// Pages of a byte range that is not empty.
  func pages(offset: UInt64, count: UInt64) -> ClosedRange<UInt64> {
    offset >> frameShift...(offset + count - 1) >> frameShift
  }

  /// Pages that so many bytes from the start of the file take.
  func pageCount(_ byteCount: Int64) -> UInt64 { (UInt64(byteCount) + UInt64(frameByteCount) - 1) >> frameShift }

  func error(_ operation: CacheError.Operation, _ range: Range<Int64>? = nil, _ cause: CacheError.Cause) -> CacheError {
    CacheError(operation: operation, file: name, range: range, cause: cause)
  }

  func noFrames(_ operation: CacheError.Operation, _ range: Range<Int64>?) -> CacheError {
    error(operation, range, .noFrames(limit: engine.memoryLimit))
  }

  /// The bytes of a range of pages, as far as a length goes. The pages may lie behind whatever a file can have.
  func byteRange(from first: UInt64, through last: UInt64, length: Int64) -> Range<Int64> {
    let start = min(first << frameShift, UInt64(Int64.max))
    // Not by the end of the last page, which may be no number.
    let count = UInt64(max(0, length)) > start ? UInt64(length) - start : 0
    let pages = last - first + 1
    return Int64(start)..<Int64(start + min(count, pages > count >> frameShift ? count : pages << frameShift))
  }

  /// The bytes of a range of pages, as far as the file goes.
  func byteRange(from first: UInt64, through last: UInt64) -> Range<Int64> {
    byteRange(from: first, through: last, length: length)
  }

  /// Tells everybody how long the file is. Expects the index lock held, and the entries that this concerns marked or gone.
  ///
  /// Release pairs with the acquire loads of readers: a root that covers the length comes first. While the gate is closed, hits keep seeing no bytes.
  func publishLocked(length: Int64) {
    words.length.storeRelease(UInt64(length))
    if unsafe gateClosers == 0 { words.size.storeRelease(UInt64(length)) }
  }

  /// Makes small folios from now on, because the file is about to be written to: all of a slot is dirty if a byte of it is. Drops those that have a slot of several pages.
  func makeFoliosForWriting() {
    let highest = engine.highestOrderForWriting(fanOutShift: index.geometry.fanOutShift)
    guard orders.upperBound > highest else { return }
    // No fill is under way then that was planned before, and none begins.
    let claim = self.claim(0...index.geometry.maximumPage, .changingCache)
    defer { letGo(claim) }
    highestOrder.storeRelaxed(UInt64(highest))
    var page: UInt64 = 0
    var isAllGone = true
    while let found = index.withLock({ index.next(from: page, through: index.geometry.maximumPage) }) {
      page = found.lastPage + 1
      guard found.entry.isFolio, found.entry.order > highest else { continue }
      page = folio(of: found).upperBound + 1
      // One that is lent stays. A write to it copies it, in small folios; once it has come back, a write to it makes all of a slot dirty.
      if !engine.evict(self, page: found.page, remembers: false) { isAllGone = false }
    }
    if isAllGone { largestOrder.storeRelaxed(UInt64(highest)) }
  }

  /// Lets no call begin any more, and waits for those that are under way.
  /// - Parameter isShut: also none that makes the file durable. Until then, other files that wait for this one can have that done.
  func stopCalls(isShut: Bool = false) {
    index.withLock {
      unsafe isClosing = true
      if isShut { unsafe self.isShut = true }
      while unsafe !fills.isEmpty || !ranges.isEmpty || background.hasJob || durability.isFlushing || users > 0 {
        index.wait()
      }
    }
  }

  /// Lets calls begin again: the file stays open.
  func admitCalls() { index.withLock { unsafe isClosing = false } }

  /// Takes everything out of the cache and lets go of the store. Called once, when no handle is left.
  /// - Parameter discardingDirty: what is dirty is not tried to be written back. Else the caller has done that; or there is none to be told.
  func shutDown(discardingDirty: Bool) {
    stopCalls()
    engine.writeback.forget(self)
    if !discardingDirty { _ = try? writeBackWhileClosing(isLast: true) }
    stopCalls(isShut: true)
    var heads: [UInt64] = []
    index.withLock {
      unsafe engine.dirtyBudget.giveBack(durability.pages)
      unsafe durability.pages = 0
      unsafe durability.dirtyPages = 0
      unsafe holdBacks.removeAll()
      index.removeAll { found in
        guard found.entry.isFolio else { return }
        let head = found.entry.headFrame(shift: pool.frameShift)
        if heads.last != head { heads.append(head) }
      }
    }
    noteResident(heads, -1)
    for head in heads { pool.giveBackReference(head) }
    store.close()
    for store in unsafe duplicates { store.close() }
  }
}
