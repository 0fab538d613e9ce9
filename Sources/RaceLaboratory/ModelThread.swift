import CFibers
import CPrimitives

/// A thread of the model: a stack of its own, on the one thread of the system that all of them share.
@safe
final class ModelThread {
  enum State {
    case ready
    /// Waits for a signal.
    case waiting
    /// Waits for a signal, and not for ever.
    case waitingForTime
    case finished
  }

  let number: Int
  var name = ""
  var body: (() -> Void)?
  var state = State.finished
  /// The lock that it needs for its next step.
  var wantedLock: ModelMutex?
  /// What its next step touches, and how.
  var object: UInt = 0
  var kind = StepKind.alone
  /// It spins, and has not gone on since.
  var isYielding = false
  /// How often it has spun, plus one. What it reads at one place of the sources must get newer from one round to the next, if there is anything newer: stores
  /// are seen in the end. What it reads elsewhere, when it has given up, need not.
  var round: UInt32 = 1
  /// What it has looked at in this round, words and locks, and which of their states that was.
  var looks: [Int32] = []
  private(set) var lockLooks: [(mutex: ModelMutex, releases: Int)] = []
  /// How many steps each thread had made when this round began, and the last one.
  private var stepsAtThisRound = VectorClock.never
  private(set) var stepsAtLastRound = VectorClock.never

  // What C11 says it knows.
  var clock = VectorClock.zero
  /// What an acquire fence would add: released by what it has read relaxed.
  var pendingAcquire = VectorClock.zero
  /// What its relaxed stores release: what it knew at its last release fence.
  var fenceRelease = VectorClock.zero

  /// A store that it has made, and that comes later; and one that it has yet to make, and that has come.
  var late: MovedStore?
  var promised: MovedStore?
  /// The step of a load, if it was the last thing that it did.
  var lastLoad = -1
  /// How many words were known then.
  var placesAtLoad = 0
  /// How often it has used its liberties.
  var lateStores = 0
  var earlyStores = 0
  var idleWakeUps = 0

  // What the search says has to come before its next step.
  var past = VectorClock.zero
  var index: UInt32 = 0
  /// The step that it made last, and the one before.
  var lastNode = -1
  var previousNode = -1
  var barriersSeen = 0

  private(set) var fiber: OpaquePointer
  let records: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  static let recordCount = 2 * Int(PAGECACHE_DOMAIN_LIMIT)

  init(number: Int) {
    self.number = number
    unsafe records = .allocate(capacity: ModelThread.recordCount)
    unsafe records.initialize(repeating: nil, count: ModelThread.recordCount)
    unsafe fiber = ModelThread.makeFiber(number)
  }

  private static func makeFiber(_ number: Int) -> OpaquePointer {
    let context = unsafe UnsafeMutableRawPointer(bitPattern: number + 1)
    guard
      let fiber = unsafe pagecache_fiber_make(
        512 << 10,
        { Explorer.shared.runModelThread(Int(bitPattern: $0) - 1) }, context)
    else { giveUp("no memory for a stack") }
    return unsafe fiber
  }

  /// Gives up the stack as it is, and what is on it.
  func abandon() { unsafe fiber = ModelThread.makeFiber(number) }

  func prepare(_ name: String, _ body: @escaping () -> Void) {
    self.name = name
    self.body = body
    state = .ready
    wantedLock = nil
    object = 0
    kind = .alone
    isYielding = false
    round = 1
    stepsAtThisRound = .never
    stepsAtLastRound = .never
    beginRound()
    clock = .zero
    pendingAcquire = .zero
    fenceRelease = .zero
    past = .zero
    index = 0
    lastNode = -1
    previousNode = -1
    barriersSeen = 0
    late = nil
    promised = nil
    lastLoad = -1
    lateStores = 0
    earlyStores = 0
    idleWakeUps = 0
  }

  /// Whether it can make its next step now, unless it spins for nothing.
  @inline(__always)
  var canGoOn: Bool { state == .ready && (wantedLock.map { $0.isFree } ?? true) }

  func look(at mutex: ModelMutex) {
    lockLooks.removeAll { $0.mutex === mutex }
    lockLooks.append((mutex, mutex.releases.count))
  }

  func endRound(steps: VectorClock) {
    isYielding = true
    round += 1
    stepsAtLastRound = stepsAtThisRound
    stepsAtThisRound = steps
  }

  func beginRound() {
    looks.removeAll(keepingCapacity: true)
    lockLooks.removeAll(keepingCapacity: true)
  }

  /// Rounds in which it may find what it found before. More of them bring nothing new, and there would be no end; but it may give up after a few.
  private static var freeRounds: UInt32 { 2 }
  var hasFreeRounds: Bool { round <= 1 + ModelThread.freeRounds }
}
