/// One store to a word, as the history of the word keeps it.
struct StoreRecord {
  let value: UInt64
  /// When each thread first saw it, by that thread's own count; `never` where it has not.
  var seen: VectorClock
  /// What an acquire that reads it learns.
  var released: VectorClock
  /// What came before it, for the search.
  let past: VectorClock
  let isSequential: Bool
}

/// A step that read a word, for finding the stores that could have come before it.
struct ReadMark {
  let thread: Int
  let index: UInt32
  let node: Int
  /// Of a read: whether it could only return the newest store.
  var isOfNewest = false
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
  var lastStore = ReadMark(thread: -1, index: 0, node: -1)
  /// All that must come before the next store.
  var past = VectorClock.zero
  var reads: [ReadMark] = []
  /// The store that each thread read last, and in which of its rounds: see `ModelThread.round`.
  var lastRead = SIMD8<Int32>(repeating: -1)
  var lastRound = SIMD8<UInt32>.zero
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

  func contains(_ address: UInt) -> Bool {
    let slot = slot(of: address)
    return stamps[slot] == stamp && places[slot] >= 0
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
      StoreRecord(value: value, seen: .zero, released: .zero, past: .zero, isSequential: false))
    locations[place].lastStore = ReadMark(thread: -1, index: 0, node: -1)
    locations[place].past = .zero
    locations[place].reads.removeAll(keepingCapacity: true)
    locations[place].lastRead = SIMD8(repeating: -1)
    locations[place].lastRound = .zero
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
