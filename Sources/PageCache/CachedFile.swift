import BackingStores
import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// An open file of a cache.
///
/// Any number of threads may use one handle, or a handle each: it makes no difference to what they pay, and a hit pays nothing for the
/// others (P2).
public final class CachedFile: Sendable {
  /// Address of the file's hot words; of `FileWords.closed` when this handle is closed. Written once.
  ///
  /// Nothing is ordered by it: the words of the file and those of a closed one were there before the handle was.
  let active: InlineWord
  /// For the hit path: where the calling thread's record is, and the clock to note in it.
  let slotNumber: Int
  let clock: SharedWord
  let maximumAtomicLength: Int
  /// Keeps the pool and the read domain alive while the handle exists.
  let engine: Engine
  /// The pool's frames, without a count to keep: the hit path retains nothing.
  let frames: FolioTable
  private let guarding = Monitor()
  // Guarded by `guarding`.
  nonisolated(unsafe) private var openFile: FileCore?
  /// The same, whether the handle is open or not. A reader may have taken the words' address just before it was closed: they stay as long as the
  /// handle.
  let keepsWords: FileCore
  // Guarded by the file's lock: how many failures this handle has been told of.
  nonisolated(unsafe) var failureCursor: UInt64 = 0

  /// What is brought before it is asked for; nil if nothing is.
  let readAhead: ReadAhead?

  /// Whether what is read and written leaves nothing behind: see `advise`.
  let leavings = InlineWord(0)
  let left = Monitor()
  // Guarded by `left`: around what was written and has not gone yet.
  nonisolated(unsafe) var leftPages: ClosedRange<UInt64>?

  /// The file's path, or what its store calls itself.
  public let name: String

  /// Whether the handle may change the file.
  public let isWritable: Bool
  /// What writes through this handle are worth when they return.
  public let durability: PageCache.Durability

  init(_ file: FileCore, isWritable: Bool, durability: PageCache.Durability) {
    self.isWritable = isWritable
    self.durability = durability
    engine = file.engine
    frames = file.engine.pool.table
    slotNumber = engine.domain.slotNumber
    clock = engine.domain.clock
    maximumAtomicLength = engine.configuration.maximumAtomicLength
    name = file.name
    let ahead =
      min(engine.configuration.readAheadLength, engine.configuration.memoryLimit / 8) >> engine.pool.frameShift
    readAhead = ahead > 0 ? ReadAhead(most: ahead) : nil
    // Made before anybody can read through this handle: see `active`.
    _ = FileWords.closed
    active = InlineWord(file.words.word)
    keepsWords = file
    unsafe openFile = file
    // What went wrong before this handle was there is not its own.
    unsafe failureCursor = file.index.withLock { unsafe file.durability.failures.count }
  }

  deinit {
    // A handle that is dropped has no readers inside.
    guard let file = unsafe openFile, !engine.isInForkedChild else { return }
    // No caller is there to be told: one that wants to know closes.
    engine.inTurn(file.identity) {
      _ = try? file.writeBackForClosing(isLast: engine.isLastHandle(of: file))
      engine.releaseHandleInTurn(file)
    }
  }

  /// Whether the handle is closed.
  /// - Cost: a lock of the handle's own.
  public var isClosed: Bool { guarding.withLock { unsafe openFile == nil } }

  /// Bytes in the file, written back or not.
  /// - Throws: `CacheError` with cause `.closed` or `.forkedChild`.
  /// - Cost: a lock of the handle's own; the file's, at the moment in which it becomes longer and while it becomes shorter.
  public var size: Int64 {
    get throws(CacheError) { try file(.read).size }
  }

  /// Closes the handle. With the last handle of a file, what is cached of it goes.
  ///
  /// First the store is given all that is dirty in the file, by whatever handle it came (P7). If the store refuses, this throws, and the handle stays
  /// open: close it again when the store is well, or discard. Nothing is flushed, but where bytes are held back, or others wait for this file's: call
  /// `sync` first for that. A handle that is dropped instead does the same, and tells nobody how it went.
  ///
  /// Waits for reads that hit on other threads to end (microseconds), and with the last handle, for fills and claims under way: as long as their
  /// store takes.
  /// - Parameter discardingDirty: what the store does not have yet is not given to it. With the last handle it is lost: the way out of a store that stays
  ///   broken.
  /// - Throws: `CacheError` with cause `.closed` if it was closed before. With cause `.writeBackFailed` it tells of failures that this handle has not
  ///   been told of: if the store has refused now, the handle is still open, else it is closed (`isClosed`). Cause `.store` if the store has refused and
  ///   another call has told this handle of it already, `.orderingCycle`, `.forkedChild`.
  /// - Cost: a grace period; what is dirty, a call of the store for each run of neighbours; with the last handle, a lock for each cached folio and a close(2) for
  ///   each descriptor.
  public func close(discardingDirty: Bool = false) throws(CacheError) {
    let file = try file(.close)
    try engine.inTurn(file.identity) { () throws(CacheError) in
      // Another thread may have closed the handle before it was this one's turn.
      guard !isClosed else { throw error(.close, nil, .closed) }
      if !discardingDirty {
        do throws(CacheError) {
          try writeBackForClosing(file)
        } catch {
          try report(file, .close)
          throw error
        }
      }
      // Readers that find no bytes go to the slow path, which finds the file closed.
      active.storeRelaxed(FileWords.closed.word)
      guarding.withLock { unsafe openFile = nil }
      engine.domain.synchronize()
      engine.releaseHandleInTurn(file, discardingDirty: discardingDirty)
    }
    try report(file, .close)
  }

  /// Gives the store all that is dirty. With the last handle, what a call has written that was under way meanwhile has no other copy than that: so it is waited for, and if the store refuses it, the file
  /// stays open.
  private func writeBackForClosing(_ file: FileCore) throws(CacheError) {
    let isLast = engine.isLastHandle(of: file)
    try file.writeBackForClosing(isLast: isLast)
    guard isLast else { return }
    file.stopCalls()
    do throws(CacheError) {
      try file.writeBackWhileClosing(isLast: true)
    } catch {
      file.admitCalls()
      throw error
    }
  }

  /// The file, for everything but hits.
  func file(_ operation: CacheError.Operation, _ range: Range<Int64>? = nil) throws(CacheError) -> FileCore {
    try checkProcess(operation)
    guard let file = guarding.withLock({ unsafe openFile }) else { throw error(operation, range, .closed) }
    return file
  }

  private func checkProcess(_ operation: CacheError.Operation) throws(CacheError) {
    guard !engine.isInForkedChild else { throw error(operation, nil, .forkedChild) }
  }

  func error(
    _ operation: CacheError.Operation, _ range: Range<Int64>?, _ cause: CacheError.Cause
  ) -> CacheError {
    CacheError(operation: operation, file: name, range: range, cause: cause)
  }

  /// Checks what a caller asks for.
  /// - Returns: the range, which fits an `Int64`.
  func checked(_ operation: CacheError.Operation, offset: Int64, count: Int) throws(CacheError) -> Range<Int64> {
    guard offset >= 0 else { throw error(operation, nil, .negativeOffset(offset)) }
    guard count >= 0 else { throw error(operation, nil, .negativeCount(count)) }
    let (end, overflow) = offset.addingReportingOverflow(Int64(count))
    guard !overflow else { throw error(operation, nil, .rangeOverflow(offset: offset, count: count)) }
    return offset..<end
  }
}
