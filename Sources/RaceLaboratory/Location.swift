/// One store to a word, as the history of the word keeps it.
struct StoreRecord {
  let value: UInt64
  /// When each thread first saw it, by that thread's own count; `never` where it has not.
  var seen: VectorClock
  /// What an acquire that reads it learns.
  var released: VectorClock
  /// What came before it, for the search, and itself.
  let past: VectorClock
  let mark: StepMark
}

/// A step that others could have come before.
struct StepMark {
  enum Kind {
    case store
    /// A load: what comes later can still be tried before it, or be there and not be seen.
    case load
    /// A load that could only return what it did, or a read-modify-write that stored nothing.
    case readOfNewest
    /// A lock was let go.
    case release
  }

  let thread: Int
  let index: UInt32
  let node: Int
  var kind = Kind.store

  static var none: StepMark { StepMark(thread: -1, index: 0, node: -1) }
}

/// A word of shared memory: all that was stored there in this execution, in the order in which it was.
///
/// The order of stores is the order in which they are executed. What C11 allows beyond that, two threads that each see their own stores to
/// two words in opposite orders, is not explored.
struct Location {
  var address: UInt = 0
  /// Its memory was given back.
  var isGone = false
  var stores: [StoreRecord] = []
  /// The last store: by whom, and which step of the execution it was.
  var lastStore = StepMark.none
  /// All that must come before the next store.
  var past = VectorClock.zero
  /// Reads since the last store.
  var reads: [StepMark] = []
  /// All steps, where the search is bounded: see `Explorer.race(withAll:_:)`.
  var steps: [StepMark] = []
  /// The store that each thread read last.
  var lastRead = SIMD8<Int32>(repeating: -1)
  /// The same for each place in the sources where it did, and in which of its rounds: see `ModelThread.round`.
  var readings: [Reading] = []
  /// Spinning threads that had looked at it and went on because of news: those are the nodes.
  var resumed: [StepMark] = []
  /// Each thread's own last store.
  var lastStored = SIMD8<Int32>(repeating: -1)

  /// What was read last by a thread at a place in the sources.
  struct Reading {
    let thread: Int32
    let line: UInt32
    var round: UInt32
    var store: Int32
  }

  /// What a thread has read in an earlier round, and at the same place. Elsewhere it reads after its spinning, or before: what
  /// it finds there may be as old as it was.
  func readBefore(by thread: ModelThread, at site: Site) -> Int? {
    for reading in readings where reading.thread == thread.number && reading.line == site.line {
      return reading.round != thread.round ? Int(reading.store) : nil
    }
    return nil
  }

  mutating func noteReading(_ store: Int, by thread: ModelThread, at site: Site) {
    lastRead[thread.number] = Int32(store)
    for place in readings.indices
    where readings[place].thread == thread.number && readings[place].line == site.line {
      readings[place].round = thread.round
      readings[place].store = Int32(store)
      return
    }
    readings.append(
      Reading(thread: Int32(thread.number), line: UInt32(site.line), round: thread.round, store: Int32(store)))
  }

  /// The first store that is newer than what a thread has read, or stored.
  func news(for thread: Int) -> StoreRecord? {
    let next = Int(max(lastRead[thread], lastStored[thread])) + 1
    return next < stores.count ? stores[next] : nil
  }
}

/// The words that threads have touched in this execution, by address.
@safe
struct LocationTable {
  private var keys: [UInt]
  private var places: [Int32]
  private var stamps: [UInt32]
  private var stamp: UInt32 = 1
  private var mask: Int
  var locations: [Location] = []
  private(set) var count = 0

  init() {
    let size = 1 << 12
    keys = Array(repeating: 0, count: size)
    places = Array(repeating: 0, count: size)
    stamps = Array(repeating: 0, count: size)
    mask = size - 1
  }

  /// Forgets all words; keeps the memory.
  mutating func removeAll() {
    stamp &+= 1
    count = 0
  }

  private func slot(of address: UInt) -> Int {
    var slot = Int(truncatingIfNeeded: (address >> 3 &* 0x9E37_79B9_7F4A_7C15) >> 40) & mask
    while stamps[slot] == stamp, keys[slot] != address { slot = (slot + 1) & mask }
    return slot
  }

  /// The place of a word that was touched before.
  func known(_ address: UInt) -> Int? {
    let slot = slot(of: address)
    return stamps[slot] == stamp && places[slot] >= 0 ? Int(places[slot]) : nil
  }

  /// Forgets a word whose memory is given back.
  mutating func remove(_ address: UInt) {
    let slot = slot(of: address)
    guard stamps[slot] == stamp, places[slot] >= 0 else { return }
    locations[Int(places[slot])].isGone = true
    places[slot] = -1
  }

  /// The place of a word in `locations`; a new one has one store, that of before the execution.
  mutating func place(of address: UInt, value: @autoclosure () -> UInt64) -> Int {
    let slot = slot(of: address)
    if stamps[slot] == stamp, places[slot] >= 0 { return Int(places[slot]) }
    let place = count
    count += 1
    if place == locations.count { locations.append(Location()) }
    locations[place].address = address
    locations[place].isGone = false
    reset(place, value: value())
    stamps[slot] = stamp
    keys[slot] = address
    places[slot] = Int32(place)
    if count * 2 > mask { grow() }
    return place
  }

  /// Gives a word that is known the history of a new one.
  mutating func renew(_ address: UInt, value: UInt64) {
    let slot = slot(of: address)
    if stamps[slot] == stamp, places[slot] >= 0 { reset(Int(places[slot]), value: value) }
  }

  private mutating func reset(_ place: Int, value: UInt64) {
    locations[place].stores.removeAll(keepingCapacity: true)
    locations[place].stores.append(
      StoreRecord(value: value, seen: .zero, released: .zero, past: .zero, mark: .none))
    locations[place].lastStore = .none
    locations[place].past = .zero
    locations[place].reads.removeAll(keepingCapacity: true)
    locations[place].steps.removeAll(keepingCapacity: true)
    locations[place].lastRead = SIMD8(repeating: -1)
    locations[place].readings.removeAll(keepingCapacity: true)
    locations[place].resumed.removeAll(keepingCapacity: true)
    locations[place].lastStored = SIMD8(repeating: -1)
  }

  private mutating func grow() {
    let size = (mask + 1) * 2
    keys = Array(repeating: 0, count: size)
    places = Array(repeating: 0, count: size)
    stamps = Array(repeating: 0, count: size)
    mask = size - 1
    stamp = 1
    for place in 0..<count where !locations[place].isGone {
      let slot = slot(of: locations[place].address)
      stamps[slot] = stamp
      keys[slot] = locations[place].address
      places[slot] = Int32(place)
    }
  }
}
