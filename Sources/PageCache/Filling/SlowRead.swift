import BackingStores
import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// Holds the folios of one atomic piece of a file, so that a copy of it finds them all and finds them unchanged: the slow path of a read.
///
/// Reserves its frames in one step (R12), claims its pages for reading, so that nobody changes them, then takes a reference to each folio that is there
/// and fills those that are not, until it has all. Held folios are not evicted, and a claim is granted in turn: so a copy succeeds in the end, whatever
/// stream of writes goes on.
final class SlowRead: Sendable {
  let file: FileCore
  let operation: CacheError.Operation
  let pages: ClosedRange<UInt64>
  private let claimed: ClosedRange<UInt64>
  private let frames: Int
  private let monitor = Monitor()
  // Guarded by `monitor`: head frames, each with a reference of ours.
  nonisolated(unsafe) private var held = HeldFolios()
  nonisolated(unsafe) private var reserved = 0
  nonisolated(unsafe) private var claim: RangeClaim?
  nonisolated(unsafe) private var isReleased = false
  /// The last page that bore a read-ahead mark, which this has taken off.
  nonisolated(unsafe) private var marked: UInt64?

  /// Is told of the first miss, and of marks.
  private let readAhead: ReadAhead?
  /// Whether what is there has been brought for this read, which is then no access to it.
  private let hasBrought: Bool

  init(
    _ file: FileCore, offset: UInt64, count: UInt64, operation: CacheError.Operation, readAhead: ReadAhead? = nil,
    hasBrought: Bool = false
  ) {
    self.file = file
    self.readAhead = readAhead
    self.hasBrought = hasBrought
    self.operation = operation
    pages = file.pages(offset: offset, count: count)
    claimed = file.foliosAround(pages)
    frames = file.framesNeeded(for: pages)
  }

  deinit { release() }

  /// Gives back everything that is held, claimed and reserved. Explicitly, once the copy is made: a store may keep what leads here for longer.
  func release() {
    let (heads, claim, frames) = monitor.withLock { () -> (HeldFolios, RangeClaim?, Int) in
      defer {
        unsafe held = HeldFolios()
        unsafe reserved = 0
        unsafe self.claim = nil
        unsafe isReleased = true
      }
      return unsafe (held, self.claim, reserved)
    }
    heads.forEach { file.pool.giveBackReference($0) }
    if let claim { file.letGo(claim) }
    if frames > 0 { file.budget.giveBack(frames) }
  }

  /// Waits for the frames this read can need, and for its turn. Not if the caller has a claim on the pages already, and the frames.
  func begin() {
    file.budget.reserve(frames)
    let granted = file.claim(claimed, .reading)
    // Nobody else has this yet, so that nobody releases it in between.
    monitor.withLock {
      unsafe reserved = frames
      unsafe claim = granted
    }
  }

  /// The same for a task, which gives its thread away meanwhile.
  nonisolated(nonsending) func begin() async {
    await withCheckedContinuation { continuation in
      file.budget.reserve(frames) { continuation.resume() }
    }
    monitor.withLock { unsafe reserved = frames }
    let granted = await withCheckedContinuation { continuation in
      file.claim(claimed, .reading) { continuation.resume(returning: $0) }
    }
    monitor.withLock { unsafe claim = granted }
  }

  /// Holds every folio, filling on this thread what is missing, and waiting for what others fill.
  func holdAll() throws(CacheError) {
    var isFirst = true
    var short = 0
    while let fills = try advance(.caller, isFirst: isFirst) {
      isFirst = false
      for fill in fills {
        do { try fill.wait() } catch { try accept(error, &short) }
      }
    }
  }

  /// The same for a task: the store's threads fill, and the caller's thread is given away meanwhile.
  nonisolated(nonsending) func holdAll() async throws(CacheError) {
    var isFirst = true
    var short = 0
    while let fills = try advance(.background, isFirst: isFirst) {
      isFirst = false
      for fill in fills {
        do { try await fill.outcome() } catch { try accept(error, &short) }
      }
    }
  }

  /// Takes the failure of a fill, which another call may have started, as one of this operation. After a short answer of the store, it is asked once more.
  private func accept(_ error: CacheError, _ short: inout Int) throws(CacheError) {
    if error.isShortAnswer, short < FileCore.shortAnswersInARow {
      short += 1
      return
    }
    throw CacheError(operation: operation, file: error.file, range: error.range, cause: error.cause)
  }

  /// Takes references to what is there and starts fills for what is not.
  /// - Returns: fills to wait for before the next try, possibly none; nil when every folio is held.
  private func advance(_ execution: StoreExecution, isFirst: Bool) throws(CacheError) -> ShortList<Fill>? {
    // What the file does not have any more need not be held.
    let count = file.pageCount(file.length)
    guard pages.lowerBound < count else { return nil }
    let wanted = pages.lowerBound...min(pages.upperBound, count - 1)
    let missing = file.domain.read { holdPresent(wanted) }
    // Who takes a mark off has more brought (L16).
    if let page = takeMark() { readAhead?.reached(page, in: file) }
    guard let missing else { return nil }
    file.noteMiss()
    // First, so that it is under way while this waits for what it wants itself.
    if isFirst, !hasBrought { readAhead?.missed(pages, in: file) }
    return try file.fill(missing, execution: execution, operation: operation) { [self] head in
      // The fill counted a reference for us.
      take(head)
    }
  }

  /// Keeps a reference that was counted for us: or gives it back, if it came too late or twice.
  private func take(_ head: UInt64) {
    let isKept = monitor.withLock { unsafe !isReleased && held.insert(head) }
    if !isKept { file.pool.giveBackReference(head) }
  }

  /// Holds every folio of some pages that is in the index. Inside a read section.
  /// - Returns: from the first missing page to the last, or nil if nothing is missing.
  private func holdPresent(_ pages: ClosedRange<UInt64>) -> ClosedRange<UInt64>? {
    let pool = file.pool
    var missing: ClosedRange<UInt64>?
    var page = pages.lowerBound
    while page <= pages.upperBound {
      let found = file.index.locate(page)
      var isPresent = false
      if let found {
        if found.entry.isHole {
          isPresent = true
        } else if found.entry.isStable {
          isPresent = hold(found, page, in: pool)
        }
      }
      let last = found.map { page | (1 << $0.shift - 1) } ?? page
      if !isPresent { missing = (missing?.lowerBound ?? page)...min(last, pages.upperBound) }
      page = last + 1
    }
    return missing
  }

  private func takeMark() -> UInt64? {
    monitor.withLock {
      defer { unsafe marked = nil }
      return unsafe marked
    }
  }

  private func hold(_ found: PageIndex.Location, _ page: UInt64, in pool: FramePool) -> Bool {
    let head = found.entry.headFrame(shift: pool.frameShift)
    if monitor.withLock({ unsafe held.contains(head) }) { return true }
    guard let reference = SpeculativeReference(pool, head: head)?.confirm(found) else { return false }
    if !hasBrought, !found.entry.isAccessed, found.noteAccess() { monitor.withLock { unsafe marked = page } }
    let confirmed = reference.intoHead()
    take(confirmed)
    return true
  }
}

extension FileCore {
  /// Counts a read that has found something missing.
  func noteMiss() {
    domain.record().counter(Counter.misses).addAsOnlyWriter(1)
    tenant?.misses.add(1)
  }

  /// Frames that a call on some pages can need: for the pages, for large folios at both ends, and for index nodes.
  func framesNeeded(for pages: ClosedRange<UInt64>) -> Int {
    let nodes = index.nodesNeeded(from: pages.lowerBound, through: pages.upperBound) + 1
    return min(
      engine.framesOfOneCall,
      engine.configuration.frames(forPages: pages.count, nodeByteCount: nodes * index.geometry.nodeByteCount))
  }
}

/// Head frames of folios that are held. The first few take no memory of their own: most reads hold one.
private struct HeldFolios {
  private var few = InlineArray<4, UInt64>(repeating: 0)
  private var count = 0
  private var rest: Set<UInt64> = []

  func contains(_ head: UInt64) -> Bool {
    for place in 0..<count where few[place] == head { return true }
    return !rest.isEmpty && rest.contains(head)
  }

  /// - Returns: false if it is there already.
  mutating func insert(_ head: UInt64) -> Bool {
    if contains(head) { return false }
    if count == few.count { return rest.insert(head).inserted }
    few[count] = head
    count += 1
    return true
  }

  func forEach(_ body: (UInt64) -> Void) {
    for place in 0..<count { body(few[place]) }
    for head in rest { body(head) }
  }
}
