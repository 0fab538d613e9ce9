import PageCache
import Primitives

/// A call that a thread has made beside others.
struct CrashStep: Sendable {
  let call: CrashCall
  let begin: Int
  let end: Int
  let outcome: CrashOutcome
  /// The point that it waited for, if it did.
  var hold: CrashHold?
  /// It copied by sharing storage.
  var isShared = false
}

extension CrashRun {
  private final class Steps: @unchecked Sendable {
    // Guarded by the lock of the world.
    var lists: [[CrashStep]]
    init(_ count: Int) { lists = Array(repeating: [], count: count) }
  }

  func runThreads() {
    let threads = history.threads
    let steps = Steps(threads.count)
    world.start(threads: threads.count)
    onThreads(threads.count) { [self] thread in
      runThread(threads[thread]) { step in world.locked { steps.lists[thread].append(step) } }
      world.endOfThread()
    }
    // The background may still be at it.
    forgetUntold()
    guard world.locked({ world.problem }) == nil, !world.isMoot else { return }
    var lists = steps.lists
    for thread in lists.indices { lists[thread].sort { $0.begin < $1.begin } }
    judge(lists)
  }

  private func runThread(_ calls: [CrashCall], note: (CrashStep) -> Void) {
    _ = walk(
      calls, from: 0, stops: { false },
      begin: { [self] call -> (CrashCall, Int, CrashHold?) in
        world.breathe()
        return world.locked {
          world.tell("\(call)")
          var hold: CrashHold?
          if call.kind == .writeAfter, let point = handles.points[call[4]] {
            hold = CrashHold(
              value: UInt8(truncatingIfNeeded: call[3]), file: CrashHistory.file(of: call.handle), pointFile: call[4],
              moment: point.moment)
          }
          return (call, world.moment, hold)
        }
      },
      end: { [self] begun, outcome in
        let (end, isShared) = world.locked {
          world.tell("\(begun.0): \(outcome)")
          return (world.moment, self.isShared(begun.0, from: begun.1, through: world.moment))
        }
        note(
          CrashStep(
            call: begun.0, begin: begun.1, end: end, outcome: outcome, hold: begun.2, isShared: isShared))
      })
  }

  /// Finds the orders of the calls that explain what they came to, and what the files are in the end; then whether
  /// some of them explain what a crash could have left at each moment.
  private func judge(_ lists: [[CrashStep]]) {
    var search = CrashOrders(lists, meaning: meaning, first: world.locked { world.models.current })
    var images: [CrashImage] = []
    for file in 0..<CrashHistory.fileCount {
      guard let handle = handles.openHandles(of: file).first else {
        images.append(world.locked { world.models.files[file].current })
        continue
      }
      let call = CrashCall(.read, handle, 0, CrashUnits.most)
      var outcome = handles.perform(call)
      // A read of a page may be what was to fail next.
      if case .threw = outcome {
        _ = handles.perform(CrashCall(.heal))
        outcome = handles.perform(call)
      }
      guard case .bytes(let units) = outcome else {
        return world.locked { world.note("result of read", "in the end, \(call) came to \(outcome)") }
      }
      var image = CrashImage()
      for change in CrashChange.writing(0..<units.count, { units[$0] }) { change.apply(to: &image) }
      images.append(image)
    }
    search.run(last: images)
    world.locked {
      if search.orders.isEmpty {
        if search.isCutShort { return world.exclude(.tooManyOrders) }
        return world.note("no order", "no order of the calls explains " + explain(lists, images))
      }
      judgeSamples(search, lists, images)
      world.endSampling()
      for file in images.indices { world.models.files[file].adopt(images[file]) }
      world.models.holds = []
      world.modelsVersion += 1
    }
  }

  private func explain(_ lists: [[CrashStep]], _ images: [CrashImage]) -> String {
    let text = lists.map { list in
      list.map { "\($0.begin)-\($0.end) \($0.call): \($0.outcome)" }.joined(separator: "; ")
    }
    return "\(text.joined(separator: " / ")); in the end "
      + images.map(\.description).joined(separator: "; ") + ", from "
      + world.models.current.map(\.description).joined(separator: "; ")
  }

  private func judgeSamples(_ search: CrashOrders, _ lists: [[CrashStep]], _ last: [CrashImage]) {
    let all = lists.flatMap(\.self)
    // An exchange leaves much while it is under way, and so does one that has failed.
    let exchanges = all.filter { $0.call.kind == .exchange }.map { step in
      if case .threw = step.outcome { return step.begin...Int.max }
      return step.begin...step.end
    }
    for sample in world.samples where !exchanges.contains(where: { $0.contains(sample.moment) }) {
      var first: CrashProblem?
      var isExplained = false
      for order in search.orders {
        let models = search.models(order, from: world.models, at: sample.moment)
        guard let problem = models.problem(sample.images) else {
          isExplained = true
          break
        }
        first = first ?? problem
      }
      // Of many orders not all were kept: then nothing is said.
      guard !isExplained, !search.isCutShort, let first else { continue }
      return world.note(first.kind, "\(first.text), at \(sample.moment) of \(explain(lists, last))")
    }
  }
}

/// The orders in which calls of several threads can have taken place, each between its beginning and its end.
struct CrashOrders {
  private let lists: [[CrashStep]]
  private let meaning: CrashMeaning
  private let first: [CrashImage]
  /// Each with what its calls changed.
  private(set) var orders: [[(step: CrashStep, changes: CrashMeaning.Changes)]] = []
  /// There may be more.
  private(set) var isCutShort = false
  private var looks = 0

  private static let ordersMax = 48
  private static let looksMax = 30_000

  init(_ lists: [[CrashStep]], meaning: CrashMeaning, first: [CrashImage]) {
    self.lists = lists
    self.meaning = meaning
    self.first = first
  }

  mutating func run(last: [CrashImage]) {
    var taken = lists.map { _ in 0 }
    var order: [(step: CrashStep, changes: CrashMeaning.Changes)] = []
    go(&taken, first, &order, last)
  }

  private mutating func go(
    _ taken: inout [Int], _ files: [CrashImage],
    _ order: inout [(step: CrashStep, changes: CrashMeaning.Changes)], _ last: [CrashImage]
  ) {
    looks += 1
    guard orders.count < Self.ordersMax, looks < Self.looksMax else {
      isCutShort = true
      return
    }
    let next = lists.indices.filter { taken[$0] < lists[$0].count }
    if next.isEmpty {
      if files.indices.allSatisfy({ files[$0].reads(as: last[$0]) }) { orders.append(order) }
      return
    }
    // A call cannot come after one that began when it had ended.
    let end = next.map { lists[$0][taken[$0]].end }.min() ?? 0
    for thread in next where lists[thread][taken[thread]].begin <= end {
      let step = lists[thread][taken[thread]]
      guard var changes = meaning.changes(of: step.call, step.outcome, files) else { continue }
      if step.isShared { changes = CrashMeaning.shared(changes, files) }
      var after = files
      for (file, list) in changes { for change in list { change.apply(to: &after[file]) } }
      taken[thread] += 1
      order.append((step, changes))
      go(&taken, after, &order, last)
      order.removeLast()
      taken[thread] -= 1
      // What neither changes nor sees anything can as well come at once.
      if changes.isEmpty, !CrashMeaning.looksAtFiles(step.call.kind) { return }
    }
  }

  /// What is known at a moment, if the calls took place in an order.
  func models(
    _ order: [(step: CrashStep, changes: CrashMeaning.Changes)], from first: CrashModels, at moment: Int
  ) -> CrashModels {
    var models = first
    for (step, changes) in order where step.begin <= moment {
      let settles = step.call.kind == .collapse || step.call.kind == .insert
      for (file, list) in changes where !list.isEmpty {
        models.files[file].begin(list, isThrough: CrashHistory.isThrough(step.call.handle))
        if step.end <= moment { models.files[file].finish(list.count, at: step.end, settlesBehind: settles) }
      }
      if let hold = step.hold { models.holds.append(hold) }
    }
    for (step, _) in order where step.call.kind == .sync && step.end <= moment {
      if case .done = step.outcome { models.files[CrashHistory.file(of: step.call.handle)].sync(since: step.begin) }
    }
    return models
  }
}
