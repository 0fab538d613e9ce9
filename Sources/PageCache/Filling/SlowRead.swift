import BackingStores
import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// Holds the folios of one atomic piece of a file, so that a copy of it finds them all: the slow path of a read.
///
/// Reserves its frames in one step (R12), then takes a reference to each folio that is there and fills those that are not, until it has all. Held
/// folios are not evicted; a hit over them succeeds unless the file changes meanwhile.
final class SlowRead: Sendable {
  let file: FileCore
  let operation: CacheError.Operation
  let pages: ClosedRange<UInt64>
  private let frames: Int
  private let monitor = Monitor()
  // Guarded by `monitor`: head frames, each with a reference of ours.
  nonisolated(unsafe) private var held: Set<UInt64> = []

  init(_ file: FileCore, offset: UInt64, count: UInt64, operation: CacheError.Operation) {
    self.file = file
    self.operation = operation
    pages = file.pages(offset: offset, count: count)
    frames = file.engine.configuration.frames(forPages: pages.count)
  }

  deinit {
    for head in unsafe held { file.engine.pool.giveBackReference(head) }
    if unsafe isReserved { file.engine.budget.giveBack(frames) }
  }

  // Set before anything is held; read again only when the last reference is gone.
  nonisolated(unsafe) private var isReserved = false

  /// Waits for the frames this read can need.
  private func reserve() {
    file.engine.budget.reserve(frames)
    unsafe isReserved = true
  }

  /// The same for a task, which gives its thread away meanwhile.
  nonisolated(nonsending) private func reserve() async {
    await withCheckedContinuation { continuation in
      file.engine.budget.reserve(frames) { continuation.resume() }
    }
    unsafe isReserved = true
  }

  /// Holds every folio, filling on this thread what is missing, and waiting for what others fill.
  func holdAll() throws(CacheError) {
    reserve()
    while true {
      let fills = try advance(.caller)
      if fills.isEmpty { return }
      for fill in fills { try fill.wait() }
    }
  }

  /// The same for a task: the store's threads fill, and the caller's thread is given away meanwhile.
  nonisolated(nonsending) func holdAll() async throws(CacheError) {
    await reserve()
    while true {
      let fills = try advance(.background)
      if fills.isEmpty { return }
      for fill in fills { try await fill.outcome() }
    }
  }

  /// Takes references to what is there and starts fills for what is not.
  /// - Returns: fills to wait for before the next try; none when every folio is held.
  private func advance(_ execution: StoreExecution) throws(CacheError) -> [Fill] {
    let missing = file.engine.domain.read { holdPresent() }
    guard let missing else { return [] }
    file.engine.domain.record().counter(Counter.misses).addAsOnlyWriter(1)
    return try file.fill(missing, execution: execution, operation: operation) { [self] head in
      // The fill counted a reference for us.
      monitor.withLock { _ = unsafe held.insert(head) }
    }
  }

  /// Holds every folio of the piece that is in the index. Inside a read section.
  /// - Returns: from the first missing page to the last, or nil if nothing is missing.
  private func holdPresent() -> ClosedRange<UInt64>? {
    let pool = file.engine.pool
    var missing: ClosedRange<UInt64>?
    var page = pages.lowerBound
    while page <= pages.upperBound {
      let found = file.index.locate(page)
      var isPresent = false
      if let found {
        if found.entry.isHole {
          isPresent = true
        } else if found.entry.isStable {
          isPresent = hold(found, in: pool)
        }
      }
      let last = found.map { page | (1 << $0.shift - 1) } ?? page
      if !isPresent { missing = (missing?.lowerBound ?? page)...min(last, pages.upperBound) }
      page = last + 1
    }
    return missing
  }

  private func hold(_ found: PageIndex.Location, in pool: FramePool) -> Bool {
    let head = found.entry.headFrame(shift: pool.frameShift)
    if monitor.withLock({ unsafe held.contains(head) }) { return true }
    guard let reference = SpeculativeReference(pool, head: head)?.confirm(found) else { return false }
    let confirmed = reference.intoHead()
    monitor.withLock { _ = unsafe held.insert(confirmed) }
    return true
  }
}
