import Primitives

/// Something that must not be.
package struct CrashProblem: Sendable, Equatable {
  /// In few words, for whoever groups them.
  package let kind: String
  package let text: String
}

/// Bytes that must not be in a store before something else is durable.
struct CrashHold: Sendable {
  /// What is written, where no other write has it.
  let value: UInt8
  let file: Int
  /// All that had been done to this file before this moment.
  let pointFile: Int
  let moment: Int
}

/// What the files of a history are known to hold, and what of it is safe.
struct CrashModels: Sendable {
  var files: [CrashModel]
  var holds: [CrashHold] = []

  var current: [CrashImage] { files.map(\.current) }

  /// Looks for an image that no crash may leave, among some of each file.
  func problem(_ images: [[CrashImage]]) -> CrashProblem? {
    for (file, model) in files.enumerated() {
      for image in images[file] where !model.allows(image) {
        return CrashProblem(
          kind: "crash",
          text: "a crash can leave file \(file) as \(image), after \(model.base) was safe; readers see \(model.current)"
        )
      }
    }
    for hold in holds {
      for image in images[hold.file] where image.shows(hold.value) {
        let others = hold.pointFile == hold.file ? [image] : images[hold.pointFile]
        for other in others where !files[hold.pointFile].allows(other, since: hold.moment) {
          return CrashProblem(
            kind: "order",
            text: "a crash can leave \(hold.value) in file \(hold.file), \(image), "
              + "without what it waits for in file \(hold.pointFile), \(other)")
        }
      }
    }
    return nil
  }
}

/// What the stores, the threads and the judge of one history share.
final class CrashWorld: @unchecked Sendable {
  let number: UInt64
  let abilities: CrashHistory.Abilities
  let units: CrashUnits
  private let isShared: Bool
  let plant: CrashPlant
  let objects: [CrashObject]
  private let monitor = Monitor()

  // Guarded by the monitor, all of it.
  private(set) var moment = 0
  var models: CrashModels
  private(set) var problem: CrashProblem?
  /// Why nothing more can be said, if so.
  private(set) var exclusion: CrashExclusion?
  var isMoot: Bool { exclusion != nil }
  /// No images are looked at: what is under way may leave others.
  var isBlind = false
  private var random: RandomWords
  private var faults: [[CrashFault]]
  private(set) var refusedPages: [UInt16]
  /// Failures that have happened to each file: any, of a flush, and by pages that are refused.
  private(set) var fired: [Int]
  private(set) var failedFlushes: [Int]
  private(set) var refusals: [Int]
  /// When others last wrote to each file.
  private var outsideAt: [Int]
  /// What was looked at last.
  private var lookedAt: [Int]
  private var modelsLookedAt = -1
  /// Grows with each change of the models.
  var modelsVersion = 0
  private let imagesMax: Int
  private(set) var imageCount = 0

  /// While several threads are at it: those that have not ended, and what the stores could have left at some moments.
  private var activeThreads = 0
  private var waitingThreads = 0
  /// From their start until it is known what they have done: the background may go on behind them.
  private var isSampling = false
  private(set) var samples: [Sample] = []
  /// What has happened, if that is wanted.
  private(set) var events: [String] = []
  private let keepsEvents: Bool
  private var shares: [(file: Int, unit: Int, moment: Int)] = []

  struct Sample: Sendable {
    let moment: Int
    let images: [[CrashImage]]
  }

  init(
    _ history: CrashHistory, number: UInt64, seed: UInt64, imagesMax: Int, keepsEvents: Bool = false,
    plant: CrashPlant = .none
  ) {
    self.number = number
    self.keepsEvents = keepsEvents
    self.plant = plant
    self.imagesMax = imagesMax
    abilities = history.abilities
    isShared = history.isShared
    units = CrashUnits(cuts: history.cuts)
    objects = (0..<CrashHistory.fileCount).map { CrashObject(number: $0, history.firstImage($0)) }
    models = CrashModels(files: objects.map { CrashModel($0.present) })
    random = RandomWords(seed: seed)
    let none = [Int](repeating: 0, count: CrashHistory.fileCount)
    faults = none.map { _ in [] }
    refusedPages = none.map { _ in 0 }
    fired = none
    failedFlushes = none
    refusals = none
    outsideAt = none.map { _ in -1 }
    lookedAt = none.map { _ in -1 }
  }

  /// Runs a body with the lock held, at a moment of its own.
  func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    monitor.lock()
    moment += 1
    defer {
      if activeThreads > 0 { monitor.broadcast() }
      monitor.unlock()
    }
    return try body()
  }

  // MARK: With the lock held

  func note(_ kind: String, _ text: @autoclosure () -> String) { note(CrashProblem(kind: kind, text: text())) }

  func note(_ problem: CrashProblem) {
    if self.problem == nil, !isMoot { self.problem = problem }
  }

  /// A range has come to share storage: it begins with this unit of the file.
  func noteShare(_ object: CrashObject, at unit: Int) { shares.append((object.number, unit, moment)) }

  /// Whether a call of which the source and the target are known has shared storage, between two moments.
  func hasShared(_ file: Int, at unit: Int, from begin: Int, through end: Int) -> Bool {
    shares.contains { $0.file == file && $0.unit == unit && begin <= $0.moment && $0.moment <= end }
  }

  func exclude(_ exclusion: CrashExclusion) {
    if self.exclusion == nil { self.exclusion = exclusion }
  }

  func tell(_ event: @autoclosure () -> String) {
    if keepsEvents { events.append("\(moment)  \(event())") }
  }

  func record(_ change: CrashChange, in object: CrashObject) {
    tell("    file \(object.number): \(change)")
    object.record(change, at: moment)
  }

  /// Whether a call of the store fails, and how.
  func fails(_ object: CrashObject, _ operation: CrashFault.Operation) -> CrashFault.Manner? {
    let file = object.number
    guard let place = faults[file].firstIndex(where: { $0.operation == operation }) else { return nil }
    if faults[file][place].skips > 0 {
      faults[file][place].skips -= 1
      return nil
    }
    fired[file] += 1
    tell("    file \(file): \(operation) fails")
    return faults[file].remove(at: place).manner
  }

  func noteRefusal(_ object: CrashObject) { refusals[object.number] += 1 }

  func flushFailed(_ object: CrashObject, through end: Int, _ manner: CrashFault.Manner) {
    failedFlushes[object.number] += 1
    let pages: UInt16 =
      switch manner {
      case .error, .noSpace: 0
      case .short: .max
      case .shortSometimes: UInt16(truncatingIfNeeded: random.next() >> 20)
      }
    guard pages != 0, let oldest = object.lose(through: end, pages: pages) else { return }
    models.files[object.number].loosen()
    modelsVersion += 1
    tell("    file \(object.number): is \(object.present)")
    // What was written before the last close, or by others, is in no cache.
    if oldest <= object.closedAt { exclude(.beforeLastClose) }
    if oldest <= outsideAt[object.number] { exclude(.fromOutside) }
  }

  func arm(_ fault: CrashFault, file: Int) { faults[file].append(fault) }
  func refuse(page: Int, file: Int) { refusedPages[file] |= 1 << UInt16(min(page, 15)) }

  func heal() {
    for file in faults.indices {
      faults[file] = []
      refusedPages[file] = 0
    }
  }

  /// Looks at what a crash could leave now: judges it at once, or keeps it until it is known what the threads have
  /// done.
  func look() {
    guard problem == nil, !isMoot, !isBlind else { return }
    if isSampling {
      guard samples.count < 200 else { return }
      let images = objects.map { $0.images(atMost: 3, &random) }
      samples.append(Sample(moment: moment, images: images))
      return
    }
    let isNewModel = modelsLookedAt != modelsVersion
    var images: [[CrashImage]] = []
    for (file, object) in objects.enumerated() {
      let isNew = isNewModel || lookedAt[file] != object.version
      images.append(isNew || !models.holds.isEmpty ? object.images(atMost: imagesMax, &random) : [])
      lookedAt[file] = object.version
      imageCount += images[file].count
    }
    modelsLookedAt = modelsVersion
    if let problem = models.problem(images) { note(problem) }
  }

  /// Another program writes to a file, if it can be told what comes of it. Without the lock.
  func writeFromOutside(_ call: CrashCall) -> Bool {
    locked {
      let file = CrashHistory.file(of: call.handle)
      // The call itself is all that may be under way.
      let pages = models.files[file].log.filter { $0.end != .max }
      guard isShared, !isSampling, pages.isEmpty, problem == nil else { return false }
      outsideAt[file] = moment
      for change in CrashChange.writing(call.units, { _ in UInt8(truncatingIfNeeded: call[3]) }) {
        record(change, in: objects[file])
      }
      return true
    }
  }

  // MARK: Several threads

  func start(threads: Int) {
    monitor.withLock {
      activeThreads = threads
      isSampling = true
    }
  }

  /// It is known what the threads have done. Expects the lock held.
  func endSampling() { isSampling = false }

  func endOfThread() {
    monitor.withLock {
      activeThreads -= 1
      monitor.broadcast()
    }
  }

  /// Lets others go first, now and then: until one of them has taken some steps, or cannot. Without the lock.
  func breathe() {
    monitor.lock()
    defer { monitor.unlock() }
    // One goes on at least. Of those that do, some may wait for the ones that wait here: so none waits for long.
    guard activeThreads > waitingThreads + 1 else { return }
    let draw = Int(random.next(below: 12))
    guard draw < 7 else { return }
    // A few steps, or as many as they can take.
    let wanted = draw < 5 ? moment + 1 + draw : moment + 12
    let end = monotonicNanoseconds() + 200_000
    waitingThreads += 1
    defer { waitingThreads -= 1 }
    while moment < wanted, activeThreads > waitingThreads, monotonicNanoseconds() < end {
      monitor.wait(nanoseconds: 60_000)
    }
  }
}
