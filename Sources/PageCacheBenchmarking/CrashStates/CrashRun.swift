import PageCache
import Primitives

/// One history, done in a cache and judged.
final class CrashRun: @unchecked Sendable {
  let history: CrashHistory
  let world: CrashWorld
  let handles: CrashHandles
  let meaning: CrashMeaning
  /// Of each file and each handle: failures that had happened when the handle was last told of them.
  private var toldFlushes = [Int](repeating: 0, count: CrashHistory.handleCount)
  private var toldFailures = [Int](repeating: 0, count: CrashHistory.handleCount)
  /// Whether dirty bytes were thrown away, for which others may wait in vain.
  private var hasDiscarded = false

  init(
    _ history: CrashHistory, cache: PageCache, number: UInt64, seed: UInt64, imagesMax: Int, keepsEvents: Bool = false,
    plant: CrashPlant = .none
  ) {
    self.history = history
    world = CrashWorld(
      history, number: number, seed: seed, imagesMax: imagesMax, keepsEvents: keepsEvents, plant: plant)
    handles = CrashHandles(cache, world)
    meaning = CrashMeaning(units: world.units)
  }

  private var isOver: Bool { world.locked { world.problem != nil || world.isMoot } }

  /// Does it all. Returns what must not be.
  func run() -> CrashProblem? {
    for handle in history.open { step(CrashCall(.open, handle)) }
    _ = walk(history.calls, from: 0, stops: { self.isOver }, begin: begin, end: end)
    if !history.threads.isEmpty, !isOver { runThreads() }
    if !isOver { finish() }
    handles.abandon()
    return world.locked { world.problem }
  }

  /// What threads were told beside each other is not judged.
  func forgetUntold() {
    for handle in toldFlushes.indices { toldFlushes[handle] = world.failedFlushes[CrashHistory.file(of: handle)] }
  }

  // MARK: One thread

  /// What was known before a call.
  struct Begun {
    let call: CrashCall
    let moment: Int
    let models: CrashModels
    let fired: [Int]
    let failedFlushes: [Int]
    let refusals: [Int]
  }

  private func step(_ call: CrashCall) { _ = walk([call], from: 0, stops: { self.isOver }, begin: begin, end: end) }

  /// Does calls in order, those between a loan and its end inside of it.
  /// - Returns: where to go on.
  func walk<Token>(
    _ calls: [CrashCall], from start: Int, stops: () -> Bool, begin: (CrashCall) -> Token,
    end: (Token, CrashOutcome) -> Void
  ) -> Int {
    var next = start
    while next < calls.count, !stops() {
      let call = calls[next]
      next += 1
      switch call.kind {
      case .giveBack: return next
      case .reopen:
        let open = handles.openHandles(of: call[0])
        for handle in open { _ = walk([CrashCall(.close, handle)], from: 0, stops: stops, begin: begin, end: end) }
        for handle in open where !handles.isOpen(handle) {
          _ = walk([CrashCall(.open, handle)], from: 0, stops: stops, begin: begin, end: end)
        }
      case .borrow: next = lend(call, calls, next, stops, begin, end)
      case .open: end(begin(call), handles.open(call.handle, isShared: history.isShared))
      case .close: end(begin(call), handles.close(call.handle, discarding: false))
      case .discard: end(begin(call), handles.close(call.handle, discarding: true))
      default: end(begin(call), handles.perform(call))
      }
    }
    return next
  }

  private func lend<Token>(
    _ call: CrashCall, _ calls: [CrashCall], _ next: Int, _ stops: () -> Bool, _ begin: (CrashCall) -> Token,
    _ end: (Token, CrashOutcome) -> Void
  ) -> Int {
    let token = begin(call)
    guard let file = handles.handles[call.handle] else {
      end(token, .skipped)
      return next
    }
    let range = world.units.bytes(call.units)
    var resume = next
    do {
      try file.withBytes(atAbsoluteOffset: range.lowerBound, count: range.count) { bytes in
        let first = copy(bytes)
        end(token, handles.values(first, from: call[1]))
        resume = walk(calls, from: next, stops: stops, begin: begin, end: end)
        let last = copy(bytes)
        if first != last {
          world.locked { world.note("loan", "the bytes of \(call) have changed while they were lent") }
        }
      }
    } catch let error as CacheError {
      end(token, .threw(error))
    } catch {
      preconditionFailure("nothing else is thrown here")
    }
    return resume
  }

  private func copy(_ bytes: RawSpan) -> [UInt8] {
    var copy = [UInt8](repeating: 0, count: bytes.byteCount)
    unsafe bytes.withUnsafeBytes { source in
      guard let from = source.baseAddress else { return }
      unsafe copy.withUnsafeMutableBytes { unsafe racyCopy(to: $0.baseAddress!, from: from, count: source.count) }
    }
    return copy
  }

  private func begin(_ call: CrashCall) -> Begun {
    world.locked {
      world.tell("\(call)")
      let begun = Begun(
        call: call, moment: world.moment, models: world.models, fired: world.fired,
        failedFlushes: world.failedFlushes, refusals: world.refusals)
      guard isAble(call), let changes = meaning.changes(of: call, nil, world.models.current) else { return begun }
      for (file, changes) in changes where !changes.isEmpty {
        world.models.files[file].begin(changes, isThrough: CrashHistory.isThrough(call.handle))
        world.modelsVersion += 1
      }
      if call.kind == .writeAfter, let point = handles.points[call[4]] {
        world.models.holds.append(
          CrashHold(
            value: UInt8(truncatingIfNeeded: call[3]), file: CrashHistory.file(of: call.handle), pointFile: call[4],
            moment: point.moment))
      }
      world.isBlind = call.kind == .exchange
      return begun
    }
  }

  /// Whether a call has any chance: of one that is skipped nothing may be expected.
  private func isAble(_ call: CrashCall) -> Bool {
    switch call.kind {
    case .reclaim, .fail, .refuse, .heal, .reopen, .giveBack: true
    case .clone, .copy, .exchange, .dedupe: handles.isOpen(call.handle) && handles.isOpen(call[3])
    default: handles.isOpen(call.handle)
    }
  }

  private func end(_ begun: Begun, _ outcome: CrashOutcome) {
    world.locked {
      world.tell("\(begun.call): \(outcome)")
      defer {
        world.isBlind = false
        world.look()
      }
      world.modelsVersion += 1
      let holds = world.models.holds
      let isLoose = world.models.files.map(\.isLoose)
      let before = begun.models.current
      guard var changes = meaning.changes(of: begun.call, outcome, before) else {
        return world.note(
          "result of \(begun.call.kind.rawValue)",
          "\(begun.call) came to \(outcome), the files being \(before.map(\.description).joined(separator: "; "))")
      }
      if isShared(begun.call, from: begun.moment, through: world.moment) {
        changes = CrashMeaning.shared(changes, before)
      }
      world.models = begun.models
      world.models.holds = holds
      for file in isLoose.indices where isLoose[file] { world.models.files[file].loosen() }
      apply(begun, outcome, changes)
      judgeError(begun, outcome)
      switch begun.call.kind {
      case .sync, .flush, .close, .discard, .open: judgeDurability(begun, outcome)
      default: break
      }
    }
  }

  /// Whether a call that copies has shared storage. Expects the lock held.
  func isShared(_ call: CrashCall, from begin: Int, through end: Int) -> Bool {
    (call.kind == .clone || call.kind == .copy)
      && world.hasShared(CrashHistory.file(of: call.handle), at: call[4], from: begin, through: end)
  }

  private func apply(_ begun: Begun, _ outcome: CrashOutcome, _ changes: CrashMeaning.Changes) {
    var all = changes
    if case .threw = outcome, begun.call.kind == .exchange,
      let tried = meaning.changes(of: begun.call, nil, begun.models.current), tried.count == 2
    {
      // It has been undone, or kept to be written again.
      let undone = tried.map { part in
        let image = begun.models.current[part.file]
        return (part.file, part.changes.map { $0.restoring(image) })
      }
      all = tried + undone
    }
    let settles = begun.call.kind == .collapse || begun.call.kind == .insert
    for (file, changes) in all where !changes.isEmpty {
      world.models.files[file].begin(changes, isThrough: CrashHistory.isThrough(begun.call.handle))
      world.models.files[file].finish(changes.count, at: world.moment, settlesBehind: settles)
    }
  }

  // MARK: Judging

  private func judgeError(_ begun: Begun, _ outcome: CrashOutcome) {
    guard case .threw(let error) = outcome else { return }
    let kind = begun.call.kind
    let hasFired = world.fired != begun.fired || world.refusals != begun.refusals
    let isToBeTold =
      (0..<CrashHistory.fileCount).contains { file in
        let all = world.fired[file] + world.refusals[file]
        return all > (handles.openHandles(of: file) + [begun.call.handle]).map { toldFailures[$0] }.min() ?? 0
      }
    switch error.cause {
    case .orderingCycle: world.note("circle", "\(begun.call) threw \(error), and points cannot wait for each other")
    case .store(let refusal):
      switch refusal.cause {
      case .unsupported, .system(.invalidArgument), .system(.fileTooLarge): break
      default: if !hasFired, !isToBeTold { world.note("error", "\(begun.call) threw \(error), and nothing failed") }
      }
    case .partlyWritten, .dirtyLimit:
      if !hasFired { world.note("error", "\(begun.call) threw \(error), and nothing failed") }
    case .writeBackFailed:
      if !hasFired, !isToBeTold { world.note("error", "\(begun.call) threw \(error), and nothing failed") }
    case .pastEnd, .overlap, .sizeTooLarge, .unaligned, .readOnly, .closed, .options: break
    default: world.note("error", "\(begun.call) of kind \(kind) threw \(error)")
    }
  }

  private func judgeDurability(_ begun: Begun, _ outcome: CrashOutcome) {
    let call = begun.call
    let file = CrashHistory.file(of: call.handle)
    let object = world.objects[file]
    var isDone = false
    if case .done = outcome { isDone = true }
    if case .skipped = outcome { return }
    if call.kind == .open {
      toldFlushes[call.handle] = world.failedFlushes[file]
      toldFailures[call.handle] = world.fired[file] + world.refusals[file]
      return
    }
    let isClosed = !handles.isOpen(call.handle)
    // A flush by the background may fail when the call has already looked: then another call tells of it.
    let isAlone = history.room == nil
    let failedFlushes = isAlone || !isDone ? world.failedFlushes[file] : begun.failedFlushes[file]
    if isDone, toldFlushes[call.handle] < failedFlushes, call.kind != .discard {
      world.note("untold", "\(call) told nothing of a flush that has failed")
    }
    toldFlushes[call.handle] = max(toldFlushes[call.handle], failedFlushes)
    toldFailures[call.handle] =
      isAlone || !isDone
      ? world.fired[file] + world.refusals[file]
      : max(toldFailures[call.handle], begun.fired[file] + begun.refusals[file])
    switch call.kind {
    case .sync where isDone:
      world.models.files[file].sync(since: begun.moment)
      if !object.durable.reads(as: world.models.files[file].current) {
        world.note(
          "sync",
          "\(call) succeeded, and the store safely has \(object.durable) where readers see "
            + "\(world.models.files[file].current)"
        )
      }
    case .flush where isDone: settle(call, file, begun)
    case .close where isClosed && handles.openHandles(of: file).isEmpty:
      if !object.present.reads(as: world.models.files[file].current) {
        world.note(
          "close",
          "\(call) has closed the file, and the store has \(object.present) of \(world.models.files[file].current)")
      }
    case .discard where isClosed && handles.openHandles(of: file).isEmpty:
      hasDiscarded = true
      world.models.files[file].adopt(object.present)
    default: break
    }
    if !isDone { judgeRefusal(begun, file, object) }
  }

  private func settle(_ call: CrashCall, _ file: Int, _ begun: Begun) {
    guard call.units.lowerBound < min(call.units.upperBound, world.models.files[file].current.size) else { return }
    var pages: UInt16 = 0
    for page in call.units.lowerBound / 4...(call.units.upperBound - 1) / 4 where page < 16 {
      pages |= 1 << UInt16(page)
    }
    let size = min(call.units.upperBound, world.models.files[file].current.size)
    world.models.files[file].begin([.settle(pages: pages, size: size)], isThrough: nil)
    world.models.files[file].finish(1, at: world.moment)
  }

  /// What lies behind a page that the store refuses is given to it all the same.
  private func judgeRefusal(_ begun: Begun, _ file: Int, _ object: CrashObject) {
    guard begun.call.kind == .sync || begun.call.kind == .close, world.refusals[file] > begun.refusals[file],
      world.fired == begun.fired, !world.models.holds.contains(where: { $0.file == file })
    else { return }
    let current = world.models.files[file].current
    for page in 0..<CrashUnits.pagesMax
    where world.refusedPages[file] & 1 << UInt16(page) == 0 && object.present.pages[page] != current.pages[page] {
      return world.note(
        "stops",
        "\(begun.call): the store refuses some pages, and page \(page), which it does not refuse, was not written")
    }
  }

  // MARK: The end

  /// With stores that do not fail any more, all can be made durable, read, and closed.
  private func finish() {
    step(CrashCall(.heal))
    for file in 0..<CrashHistory.fileCount where handles.openHandles(of: file).isEmpty {
      step(CrashCall(.open, file * CrashHistory.handlesPerFile))
    }
    syncAll()
    for file in 0..<CrashHistory.fileCount where !isOver {
      guard let handle = handles.openHandles(of: file).first else { continue }
      let all = CrashCall(.read, handle, 0, CrashUnits.most)
      step(all)
      for page in 0..<CrashUnits.pagesMax { _ = handles.handles[handle]?.evict(page: UInt64(page)) }
      if !isOver { step(all) }
      for handle in handles.openHandles(of: file) where !isOver {
        step(CrashCall(hasDiscarded ? .discard : .close, handle))
      }
    }
  }

  private func syncAll() {
    var failure: String?
    // The first time tells of failures that were before.
    for _ in 0..<3 {
      failure = nil
      for handle in 0..<CrashHistory.handleCount where handles.isOpen(handle) && !isOver {
        let call = CrashCall(.sync, handle, 0)
        let begun = begin(call)
        let outcome = handles.perform(call)
        end(begun, outcome)
        if case .threw(let error) = outcome { failure = "\(call) threw \(error)" }
      }
      if failure == nil { return }
    }
    guard let failure, !hasDiscarded else { return }
    world.locked { world.note("unsynced", "nothing fails any more, and still \(failure)") }
  }
}

extension CrashChange {
  /// The same bytes as they are in an image.
  func restoring(_ image: CrashImage) -> CrashChange {
    guard case .bytes(let page, let mask, _, let end) = self else { return self }
    return .bytes(page: page, mask: mask, value: image.pages[page] & mask, end: end)
  }
}
