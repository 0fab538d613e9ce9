import Glibc

/// Memory that threads share without saying so at each access: frames.
@safe
struct SharedRegion {
  let start: UInt
  let end: UInt
  var blocks: [Block]

  /// 256 bytes.
  struct Block {
    /// Who was given them last in this execution, and when by his own count.
    var owner: Int8 = -1
    var time: UInt32 = 0
    /// Who has touched them since: he could have come later.
    var touches: [StepMark] = []
    /// What came before they were given away.
    var past = VectorClock.zero
  }

  static let blockShift: UInt = 8
}

// Copies of bytes that others may be changing, a word at a time: each word is a relaxed load or store, so that a copy can be overtaken in the middle, and can see
// some words old and some new.
extension Explorer {
  /// Notes that threads share some memory. Until the execution ends.
  package func share(_ start: UnsafeMutableRawPointer, count: Int) {
    let first = UInt(bitPattern: start)
    let blocks = (count + 255) >> Int(SharedRegion.blockShift)
    shared.append(
      SharedRegion(
        start: first, end: first + UInt(count), blocks: Array(repeating: SharedRegion.Block(), count: blocks)))
  }

  private func region(of address: UInt) -> Int? { shared.firstIndex { address >= $0.start && address < $0.end } }

  private func isShared(_ address: UInt) -> Bool { region(of: address) != nil || table.known(address) != nil }

  /// Notes that some shared memory has a new owner: whoever touches it without knowing that touches what is not his.
  package func handOver(_ start: UnsafeMutableRawPointer, count: Int) {
    guard isExploring, count > 0, let region = region(of: UInt(bitPattern: start)) else { return }
    settle()
    let first = (UInt(bitPattern: start) - shared[region].start) >> SharedRegion.blockShift
    let last = (UInt(bitPattern: start) + UInt(count) - 1 - shared[region].start) >> SharedRegion.blockShift
    // From its next step on, others can know of it.
    let me = current
    let time = me.clock[me.number] + 1
    for block in first...last {
      race(withAll: shared[region].blocks[Int(block)].touches, me)
      for touch in shared[region].blocks[Int(block)].touches {
        me.past[touch.thread] = max(me.past[touch.thread], touch.index)
      }
      shared[region].blocks[Int(block)] = SharedRegion.Block(owner: Int8(me.number), time: time, past: me.past)
    }
    let (start, end) = (shared[region].start, shared[region].end)
    for sleeper in active where sleeper.object >= start && sleeper.object < end {
      asleep &= ~(1 << UInt8(sleeper.number))
    }
  }

  func checkReuse(_ address: UnsafeMutableRawPointer, _ access: String, _ me: ModelThread) {
    let address = UInt(bitPattern: address)
    guard let region = region(of: address) else { return }
    let block = Int((address - shared[region].start) >> SharedRegion.blockShift)
    shared[region].blocks[block].touches.append(mark(me))
    me.past.join(shared[region].blocks[block].past)
    let (owner, time) = (shared[region].blocks[block].owner, shared[region].blocks[block].time)
    guard owner >= 0, Int(owner) != me.number, me.clock[Int(owner)] < time else { return }
    fail(
      .reuse,
      "\(me.name) \(access) memory that \(active[Int(owner)].name) has been given meanwhile, and knows nothing of it")
  }

  /// Copies bytes that others may be changing.
  package func copy(
    to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int, _ site: Site
  ) {
    guard isExploring, count > 0 else {
      unsafe _ = memcpy(destination, source, count)
      return
    }
    var done = 0
    while done < count {
      if let words = unsafe middle(destination, source, done, count) {
        unsafe copyRun(to: destination + done, from: source + done, words: words, site)
        done += 8 * words
        continue
      }
      let from = UInt(bitPattern: source) + UInt(done)
      let piece = min(count - done, 8 - Int(from & 7))
      let word = unsafe UnsafeMutableRawPointer(bitPattern: from & ~7).unsafelyUnwrapped
      let value =
        isShared(UInt(from & ~7))
        ? unsafe load(word, .relaxed, site, as: .copyOut) : unsafe loadPartly(word, from & 7, piece)
      unsafe put(value >> (UInt64(from & 7) * 8), piece, at: destination + done, site)
      done += piece
    }
  }

  /// How many words of a copy are moved in one step from here on, where copies are to be short; nil for one at a time.
  /// Both ends of a copy are moved word by word, so a change can still come in the middle of it, and it can see some
  /// words old and some new. What is left out are copies that are torn anywhere else.
  private func middle(
    _ destination: UnsafeMutableRawPointer, _ source: UnsafeRawPointer?, _ done: Int, _ count: Int
  ) -> Int? {
    guard copiesBriefly, done == 16, count >= 48, UInt(bitPattern: destination) & 7 == 0,
      UInt(bitPattern: source) & 7 == 0
    else { return nil }
    return (count - done) / 8 - 1
  }

  private func copyRun(
    to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer, words: Int, _ site: Site
  ) {
    let from = unsafe UnsafeMutableRawPointer(mutating: source)
    var values: [UInt64] = []
    if isShared(UInt(bitPattern: source)) {
      values = unsafe loadRun(from, words: words, site)
    } else {
      for word in 0..<words { values.append(unsafe from.load(fromByteOffset: 8 * word, as: UInt64.self)) }
    }
    if isShared(UInt(bitPattern: destination)) {
      unsafe storeRun(destination, values, site)
    } else {
      for (word, value) in values.enumerated() {
        unsafe destination.storeBytes(of: value, toByteOffset: 8 * word, as: UInt64.self)
      }
    }
  }

  /// Bytes of memory that nobody shares: not more of them than there are.
  private func loadPartly(_ word: UnsafeMutableRawPointer, _ offset: UInt, _ count: Int) -> UInt64 {
    var value: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &value) { bytes in
      unsafe _ = memcpy(bytes.baseAddress.unsafelyUnwrapped + Int(offset), word + Int(offset), count)
    }
    return value
  }

  /// Fills bytes with zero where others may be reading.
  package func zero(_ destination: UnsafeMutableRawPointer, count: Int, _ site: Site) {
    guard isExploring, count > 0 else {
      unsafe _ = memset(destination, 0, count)
      return
    }
    var done = 0
    while done < count {
      if let words = unsafe middle(destination, nil, done, count), isShared(UInt(bitPattern: destination)) {
        unsafe storeRun(destination + done, Array(repeating: 0, count: words), site)
        done += 8 * words
        continue
      }
      let piece = unsafe min(count - done, 8 - Int(UInt(bitPattern: destination + done) & 7))
      unsafe put(0, piece, at: destination + done, site)
      done += piece
    }
  }

  /// Stores up to eight bytes inside one word.
  private func put(_ value: UInt64, _ count: Int, at destination: UnsafeMutableRawPointer, _ site: Site) {
    // A piece that crosses a word of the destination is two.
    let address = UInt(bitPattern: destination)
    let room = 8 - Int(address & 7)
    if count > room {
      unsafe put(value, room, at: destination, site)
      unsafe put(value >> UInt64(room * 8), count - room, at: destination + room, site)
      return
    }
    let aligned = address & ~7
    let word = unsafe UnsafeMutableRawPointer(bitPattern: aligned).unsafelyUnwrapped
    guard isShared(aligned) else {
      unsafe withUnsafeBytes(of: value) { bytes in
        unsafe _ = memcpy(destination, bytes.baseAddress.unsafelyUnwrapped, count)
      }
      return
    }
    let shift = UInt64(address & 7) * 8
    let mask: UInt64 = count == 8 ? .max : (1 << UInt64(count * 8) - 1) << shift
    unsafe store(word, value << shift, .relaxed, site, as: .copyIn, mask: mask)
  }
}
