import PageIndex
import Primitives
import ReadCopyUpdate

// Reading without a lock, without a system call, and without a store to shared memory (P2). One protocol for every length (L17):
//
//   1. enter a read section: no frame that is seen from here on is given to anybody else before the section ends (P5)
//   2. load the size, then each slot's word; acquire, so that the frames' bytes are not older than the words
//   3. copy from the frames straight to the caller
//   4. acquire fence, so that the words below are not older than the bytes; load each word and the size again: if all are as they were, the bytes
//      are those of one instant, the one between the last load of step 2 and the first of step 4
//   5. leave the section
//
// The size comes first and last (L6): a truncation inside the last folio removes nothing from the index, so only the size tells of it; and a
// reader that took the size last could pair words from before a change with a size from after it.
//
// `plain` serves what lies in one slot and needs no cold work, and `run` what lies in slots side by side whose memory lies side by side, which is
// what a sequential fill makes. `general` serves the rest: scattered slots, holes, first accesses.

/// A read that has not been served, and has written nothing to the caller's memory: the slow path must look.
let notServed = -1
/// A read that was overtaken by a change after it had written to the caller's memory. Whoever gets this is still in the read section, and takes a pass
/// of the file's gate before leaving it, so that the file cannot become shorter before the read has been done again (P3).
let overtaken = -2
/// A read that found something changing, and has written nothing: it will be over soon.
let beingChanged = -3

enum Hit {
  /// Copies up to `count` bytes that lie in one slot. The caller has entered the read section.
  /// - Returns: bytes copied, or `notServed`.
  /// - Cost: no store but to the destination; about a hundred instructions, call and return included, and the copy.
  @inline(__always)
  static func plain(
    _ active: borrowing InlineWord, offset: UInt64, to destination: UnsafeMutableRawPointer, count wanted: Int
  ) -> Int {
    // Relaxed: see `active`.
    let words = FileWords(word: active.loadRelaxed())
    let size = words.size.loadAcquire()
    // Also false for offsets that were negative.
    guard offset < size else { return notServed }
    let count = min(UInt64(truncatingIfNeeded: wanted), size &- offset)
    guard let location = PageIndex.locateCovered(root: words.root, slotMask: words.slotMask, key: offset) else {
      return notServed
    }
    let entry = location.entry
    guard entry.isPlainHit else { return notServed }
    let slotByteCount = (1 as UInt64) &<< location.shift
    let within = offset & (slotByteCount &- 1)
    guard count <= slotByteCount &- within else {
      return unsafe run(words, from: location, size: size, offset: offset, to: destination, count: count)
    }
    let source = unsafe UnsafeRawPointer(
      bitPattern: words.arena &+ UInt(truncatingIfNeeded: entry.arenaOffset &+ within)
    ).unsafelyUnwrapped
    unsafe racyCopy(to: destination, from: source, count: Int(truncatingIfNeeded: count))
    acquireFence()
    // The whole word, access bit and all: if reclaim cleared that meanwhile, `general` sets it again.
    // The words are found anew, which is a load instead of a register saved across the copy; a closed handle's file has no size.
    guard !keeps(.entriesCheckedAgain) || location.slot.loadRelaxed() == entry.word,
      !keeps(.sizeCheckedAgain) || FileWords(word: active.loadRelaxed()).size.loadRelaxed() == size
    else {
      return overtaken
    }
    return Int(truncatingIfNeeded: count)
  }

  /// Copies bytes that begin in one slot and go on in the next ones of the same node, if these name the memory that follows on, at the same
  /// version: then each word is the one before it plus the slot's bytes, before the copy and after it, and no word needs to be noted.
  /// - Cost: as `plain`, and about six instructions a slot.
  @inline(never)
  private static func run(
    _ words: FileWords, from first: PageIndex.Location, size: UInt64, offset: UInt64,
    to destination: UnsafeMutableRawPointer,
    count: UInt64
  ) -> Int {
    let shift = first.shift
    let slotByteCount = (1 as UInt64) &<< shift
    let within = offset & (slotByteCount &- 1)
    let more = Int(truncatingIfNeeded: (within &+ count &- 1) &>> shift)
    guard offset &>> shift & words.slotMask &+ UInt64(more) <= words.slotMask else { return notServed }
    let slots = unsafe first.slot.address
    // Loops by hand: a range is checked, and the check stays.
    var number = 1
    while number <= more {
      let word = unsafe SharedWord(at: slots + number &* 8).loadAcquire()
      guard word == first.entry.word &+ UInt64(truncatingIfNeeded: number) &<< shift else { return notServed }
      number &+= 1
    }
    let source = unsafe UnsafeRawPointer(
      bitPattern: words.arena &+ UInt(truncatingIfNeeded: first.entry.arenaOffset &+ within)
    ).unsafelyUnwrapped
    unsafe racyCopy(to: destination, from: source, count: Int(truncatingIfNeeded: count))
    acquireFence()
    number = keeps(.entriesCheckedAgain) ? 0 : more &+ 1
    while number <= more {
      let word = unsafe SharedWord(at: slots + number &* 8).loadRelaxed()
      guard word == first.entry.word &+ UInt64(truncatingIfNeeded: number) &<< shift else { return overtaken }
      number &+= 1
    }
    return !keeps(.sizeCheckedAgain) || words.size.loadRelaxed() == size ? Int(truncatingIfNeeded: count) : overtaken
  }

  /// Copies up to `count` bytes, which may cross any number of slots. The caller has entered the read section.
  /// - Parameters:
  ///   - limit: the word that says how far the file goes: `FileWords.size`, or `FileWords.length` for a reader whom the gate does not concern.
  ///   - count: at most the atomic length, so that the words fit the thread's scratch space.
  /// - Returns: bytes copied; `notServed` if something is missing, `beingChanged` if something is changing; `overtaken` if the sink was written to and
  ///   what it got may be no more.
  /// - Cost: as `plain`, for each slot; a compare-and-exchange for each slot that is read for the first time since reclaim passed.
  static func general<S: Sink>(
    _ words: FileWords, limit: SharedWord, record: ThreadRecord, offset: UInt64, count wanted: Int, into sink: inout S
  ) -> Int {
    serve(words, limit: limit, record: record, offset: offset, count: wanted, into: &sink, isAccess: true)
  }

  /// The same without setting access bits: for a read that has noted its accesses, and brought the rest.
  static func unnoted<S: Sink>(
    _ words: FileWords, limit: SharedWord, record: ThreadRecord, offset: UInt64, count wanted: Int, into sink: inout S
  ) -> Int {
    serve(words, limit: limit, record: record, offset: offset, count: wanted, into: &sink, isAccess: false)
  }

  @inline(__always)
  private static func serve<S: Sink>(
    _ words: FileWords, limit: SharedWord, record: ThreadRecord, offset: UInt64, count wanted: Int, into sink: inout S,
    isAccess: Bool
  ) -> Int {
    var failure = notServed
    for _ in 0..<attempts {
      // Acquire pairs with the release in `FileCore.publishLocked(length:)`: the root covers what the length says.
      let size = limit.loadAcquire()
      guard offset < size, wanted > 0 else { return failure }
      let count = min(UInt64(wanted), size - offset)
      let slots = unsafe gather(words, scratch: record.scratch, offset: offset, count: count, isAccess: isAccess)
      guard slots > 0 else { return failure == overtaken ? overtaken : slots }
      sink.rewind()
      unsafe copy(words, scratch: record.scratch, slots: slots, offset: offset, count: count, into: &sink)
      acquireFence()
      // Acquire pairs with the release in `FileCore.publishLocked(length:)`. A length, unlike the size, can go away and come back within one section: T1 reads 256 bytes beside a closed gate,
      // T2 cuts the file to 100 and makes it 256 again. The words below are then not older than that: T1 sees that the slots have changed (D19).
      if !keeps(.sizeCheckedAgain) || limit.loadAcquire() == size,
        unsafe !keeps(.entriesCheckedAgain) || areUnchanged(record.scratch, slots: slots)
      {
        return Int(count)
      }
      failure = overtaken
      record.counter(Counter.retries).addAsOnlyWriter(1)
    }
    return failure
  }

  private static var attempts: Int { patience(4) }

  /// Notes every slot of the range in two words: its address, with its shift in the eight bits that user addresses do not use, and its entry.
  /// - Returns: how many slots, or `notServed` or `beingChanged` if one cannot be read.
  @inline(__always)
  private static func gather(
    _ words: FileWords, scratch: UnsafeMutablePointer<UInt64>, offset: UInt64, count: UInt64, isAccess: Bool
  ) -> Int {
    let slotMask = words.slotMask
    let last = offset + count - 1
    var position = offset
    var number = 0
    var known: PageIndex.Location?
    while true {
      let location: PageIndex.Location
      if let next = known {
        location = next
      } else {
        guard let found = PageIndex.locateCovered(root: words.root, slotMask: slotMask, key: position) else {
          return notServed
        }
        location = found
      }
      var entry = location.entry
      guard entry.isStable || entry.isHole else { return entry.isChanging ? beingChanged : notServed }
      if isAccess, entry.wantsNote {
        unsafe note(location, position, scratch)
        entry = entry.clearing(Entry.readAheadBit)
      }
      assert(number < ThreadRecord.scratchCount / 2)
      unsafe scratch[2 &* number] = UInt64(UInt(bitPattern: location.slot.address)) | location.shift &<< 56
      unsafe scratch[2 &* number &+ 1] = entry.word
      number &+= 1
      position = (position | (1 &<< location.shift &- 1)) &+ 1
      if position > last { return number }
      // The next slot of the same node is the next word, if it is no node itself.
      known = nil
      if position &>> location.shift & slotMask != 0 {
        let slot = unsafe SharedWord(at: location.slot.address + 8)
        let next = Entry(word: slot.loadAcquire())
        if !next.isNode { known = PageIndex.Location(slot: slot, entry: next, shift: location.shift) }
      }
    }
  }

  /// Whoever takes a read-ahead mark off has more brought (L16): nobody else will.
  @inline(never)
  private static func note(
    _ location: PageIndex.Location, _ position: UInt64, _ scratch: UnsafeMutablePointer<UInt64>
  ) {
    if location.noteAccess() { unsafe ThreadRecord.leaveNote(position &+ 1, behind: scratch) }
  }

  /// Copies what the gathered slots name, joining pieces that lie side by side in the arena.
  private static func copy<S: Sink>(
    _ words: FileWords, scratch: UnsafeMutablePointer<UInt64>, slots: Int, offset: UInt64, count: UInt64,
    into sink: inout S
  ) {
    var position = offset
    let end = offset + count
    var runStart: UInt = 0
    var runCount: UInt = 0
    for number in 0..<slots {
      let shift = unsafe scratch[2 &* number] &>> 56
      let entry = unsafe Entry(word: scratch[2 &* number &+ 1])
      let slotByteCount = (1 as UInt64) &<< shift
      let within = position & (slotByteCount &- 1)
      let piece = min(slotByteCount &- within, end &- position)
      position &+= piece
      let length = UInt(truncatingIfNeeded: piece)
      // A hole has no address: zero stands for it.
      let start = entry.isFolio ? words.arena &+ UInt(truncatingIfNeeded: entry.arenaOffset &+ within) : 0
      if number > 0, start == 0 ? runStart == 0 : runStart != 0 && runStart &+ runCount == start {
        runCount &+= length
      } else {
        if runCount > 0 { flush(runStart, runCount, into: &sink) }
        runStart = start
        runCount = length
      }
    }
    flush(runStart, runCount, into: &sink)
  }

  @inline(__always)
  private static func flush<S: Sink>(_ start: UInt, _ count: UInt, into sink: inout S) {
    if let source = unsafe UnsafeRawPointer(bitPattern: start) {
      unsafe sink.copy(from: source, count: Int(count))
    } else {
      sink.zero(count: Int(count))
    }
  }

  private static func areUnchanged(_ scratch: UnsafeMutablePointer<UInt64>, slots: Int) -> Bool {
    for number in 0..<slots {
      let address = unsafe UInt(truncatingIfNeeded: scratch[2 &* number] & 0x00FF_FFFF_FFFF_FFFF)
      let slot = unsafe SharedWord(at: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
      guard unsafe Entry(word: slot.loadRelaxed()).isSame(as: Entry(word: scratch[2 &* number &+ 1])) else {
        return false
      }
    }
    return true
  }
}
