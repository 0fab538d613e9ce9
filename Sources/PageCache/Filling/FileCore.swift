import BackingStores
import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// One file in the cache, however many handles are open on it: its store, its index, its fills under way.
///
/// Lock order: the engine's table of files -> `fillState` -> index -> pool. None is held while the store works, while a grace period is awaited, or
/// while a frame is looked for.
@safe
final class FileCore: Sendable {
  let engine: Engine
  /// Never reused in the life of the cache: folio metadata names its file by it.
  let number: UInt64
  let store: any BackingStore
  /// The store's when it was opened: what the engine's table knows the file by.
  let identity: StoreIdentity
  let words: FileWords
  let index: PageIndex
  let fillState = Monitor()
  // Guarded by `fillState`.
  nonisolated(unsafe) var fills = FillTable()
  nonisolated(unsafe) var isClosing = false
  // Guarded by the engine's table lock.
  nonisolated(unsafe) var handles = 1
  nonisolated(unsafe) var duplicates: [any BackingStore] = []

  var name: String { store.name }

  init(engine: Engine, number: UInt64, store: any BackingStore, identity: StoreIdentity, size: Int64) {
    self.engine = engine
    self.number = number
    self.store = store
    self.identity = identity
    let geometry = engine.geometry(forSize: size)
    words = unsafe FileWords.allocate(
      size: size, arena: engine.pool.arena.base, fanOutShift: geometry.fanOutShift, frameShift: engine.pool.frameShift)
    index = PageIndex(
      geometry: geometry, nodes: engine.pool.nodes(fanOutShift: geometry.fanOutShift), root: words.root,
      // Not a page more: a file of a whole number of nodes would get a level for nothing.
      coveredPages: (UInt64(size) + UInt64(engine.pool.frameByteCount) - 1) >> UInt64(engine.pool.frameShift),
      isConfined: true)
  }

  // No handle is open and no reader is inside: closing has waited for a grace period.
  deinit {
    assert(words.root.loadRelaxed() == 0, "a file is shut down before it is dropped")
    words.deallocate()
  }

  /// Pages of a byte range that is not empty.
  func pages(offset: UInt64, count: UInt64) -> ClosedRange<UInt64> {
    let shift = UInt64(engine.pool.frameShift)
    return offset >> shift...(offset + count - 1) >> shift
  }

  func error(_ operation: CacheError.Operation, _ range: Range<Int64>? = nil, _ cause: CacheError.Cause) -> CacheError {
    CacheError(operation: operation, file: name, range: range, cause: cause)
  }

  /// The bytes of a range of pages, as far as the file goes.
  func byteRange(from first: UInt64, through last: UInt64) -> Range<Int64> {
    let shift = UInt64(engine.pool.frameShift)
    let start = Int64(first << shift)
    return start..<max(start, min(Int64((last + 1) << shift), Int64(words.size.loadRelaxed())))
  }

  /// Takes everything out of the cache and lets go of the store. Called once, when no handle is left.
  func shutDown() {
    fillState.withLock {
      unsafe isClosing = true
      while unsafe !fills.isEmpty { fillState.wait() }
    }
    var heads: [UInt64] = []
    index.withLock {
      index.removeAll { found in
        guard found.entry.isFolio else { return }
        let head = found.entry.headFrame(shift: engine.pool.frameShift)
        if heads.last != head { heads.append(head) }
      }
    }
    for head in heads { engine.pool.giveBackReference(head) }
    store.close()
    for store in unsafe duplicates { store.close() }
  }
}
