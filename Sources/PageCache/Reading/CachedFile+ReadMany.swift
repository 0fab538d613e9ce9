import PageIndex
import Primitives
import ReadCopyUpdate

extension CachedFile {
  /// One read of a batch.
  @safe
  public struct ReadRequest {
    /// Bytes from the start of the file.
    public var offset: Int64
    /// Where the bytes go; its length is how many are wanted.
    public var buffer: UnsafeMutableRawBufferPointer
    /// Bytes read, once `readMany` has returned.
    public internal(set) var bytesRead: Int

    public init(offset: Int64, buffer: UnsafeMutableRawBufferPointer) {
      self.offset = offset
      unsafe self.buffer = buffer
      bytesRead = 0
    }
  }

  /// Reads a batch. Each request is atomic by itself, in no order; the batch as a whole is not of one instant.
  ///
  /// Many random reads of a large file wait for memory one after the other. A batch asks for all its index entries first, then for all its data, then
  /// copies: the waits overlap. A read section, too, is shared by a few reads.
  /// - Parameter requests: each gets its count in `bytesRead`.
  /// - Throws: `CacheError` as `read(fromAbsoluteOffset:into:)`, for the first request that fails; those before it in the array are done, those
  ///   behind it may be.
  /// - Cost: hit: as a read each; no lock, no system call, no allocation. Misses are served one after the other.
  public func readMany(_ requests: inout [ReadRequest]) throws(CacheError) {
    unsafe try requests.withUnsafeMutableBufferPointer { (requests) throws(CacheError) in
      for index in 0..<requests.count { unsafe requests[index].bytesRead = 0 }
      var start = 0
      while start < requests.count {
        let end = min(start + Hit.groupSize, requests.count)
        let group = unsafe UnsafeMutableBufferPointer(rebasing: requests[start..<end])
        // A pass for the requests that were overtaken lasts until they are done again.
        let pass = unsafe ReadPass(keepsWords, isTaken: readGroup(group))
        defer { extendLifetime(pass) }
        do throws(CacheError) {
          for index in 0..<group.count where unsafe group[index].bytesRead == notServed {
            unsafe group[index].bytesRead = try unsafe read(
              fromAbsoluteOffset: group[index].offset, into: group[index].buffer)
          }
        } catch {
          for index in 0..<group.count where unsafe group[index].bytesRead == notServed {
            unsafe group[index].bytesRead = 0
          }
          throw error
        }
        start = end
      }
    }
  }

  /// Serves what it can of a group in one read section; the rest is left `notServed`.
  /// - Returns: whether a pass was taken, for requests that were overtaken.
  private func readGroup(_ group: UnsafeMutableBufferPointer<ReadRequest>) -> Bool {
    guard let record = ThreadRecord.fast(slot: slotNumber) else {
      for index in 0..<group.count { unsafe group[index].bytesRead = notServed }
      return false
    }
    record.enter(clock)
    let isOvertaken = unsafe Hit.group(FileWords(word: active.loadRelaxed()), scratch: record.scratch, group)
    if isOvertaken { keepsWords.takePass() }
    record.exit()
    for index in 0..<group.count {
      let count = unsafe group[index].bytesRead
      if count != notServed {
        record.counter(Counter.hitSizes &+ Counter.sizeClass(UInt64(truncatingIfNeeded: count))).addAsOnlyWriter(1)
      }
    }
    return isOvertaken
  }
}

extension Hit {
  /// Reads that share a read section: enough to overlap their waits, few enough to keep a grace period short.
  static var groupSize: Int { 16 }

  /// Lines of a request's data that are asked for ahead; the processor's own prefetching takes over behind them.
  private static var prefetchedBytes: UInt64 { 512 }

  /// Plain hits for a group. The caller has entered the read section.
  ///
  /// The scratch space holds for each request the address of the slot that was reached, and the entry read there.
  /// - Returns: whether a request was overtaken after its buffer had been written to.
  static func group(
    _ words: FileWords, scratch: UnsafeMutablePointer<UInt64>,
    _ group: UnsafeMutableBufferPointer<CachedFile.ReadRequest>
  ) -> Bool {
    let size = words.size.loadAcquire()
    let top = Entry(word: words.root.loadAcquire())
    let count = group.count
    // The root's slot of each. What lies outside the file has none.
    for index in 0..<count {
      let offset = unsafe UInt64(bitPattern: group[index].offset)
      unsafe scratch[2 &* index &+ 1] = offset < size ? top.word : Entry.empty.word
    }
    // A level at a time: the slots of all, then the words in them.
    var isDescending = top.isNode
    while isDescending {
      isDescending = false
      for index in 0..<count {
        let entry = unsafe Entry(word: scratch[2 &* index &+ 1])
        guard entry.isNode else { continue }
        let offset = unsafe UInt64(bitPattern: group[index].offset)
        let number = offset &>> entry.nodeShift & words.slotMask
        let address = entry.nodeSlots &+ UInt(truncatingIfNeeded: number &<< 3)
        unsafe scratch[2 &* index] = UInt64(address)
        unsafe prefetch(UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped)
      }
      for index in 0..<count where unsafe Entry(word: scratch[2 &* index &+ 1]).isNode {
        // The level's shift goes where the request's count will be, until the descent is over.
        unsafe group[index].bytesRead = Int(Entry(word: scratch[2 &* index &+ 1]).nodeShift)
        let entry = unsafe Entry(word: slot(scratch[2 &* index]).loadAcquire())
        unsafe scratch[2 &* index &+ 1] = entry.word
        if entry.isNode { isDescending = true }
      }
    }
    // The data of all.
    for index in 0..<count {
      let entry = unsafe Entry(word: scratch[2 &* index &+ 1])
      let offset = unsafe UInt64(bitPattern: group[index].offset)
      let shift = unsafe UInt64(truncatingIfNeeded: group[index].bytesRead)
      let wanted = unsafe UInt64(group[index].buffer.count)
      let slotByteCount = (1 as UInt64) &<< shift
      let within = offset & (slotByteCount &- 1)
      guard entry.isPlainHit, wanted > 0, min(wanted, size &- offset) <= slotByteCount &- within else {
        unsafe group[index].bytesRead = notServed
        continue
      }
      let source = words.arena &+ UInt(truncatingIfNeeded: entry.arenaOffset &+ within)
      unsafe scratch[2 &* groupSize &+ index] = UInt64(source)
      var line = source & ~63
      let end = source &+ UInt(truncatingIfNeeded: min(wanted, prefetchedBytes))
      while line < end {
        unsafe prefetch(UnsafeRawPointer(bitPattern: line).unsafelyUnwrapped)
        line &+= 64
      }
      unsafe group[index].bytesRead = Int(truncatingIfNeeded: min(wanted, size &- offset))
    }
    for index in 0..<count where unsafe group[index].bytesRead != notServed {
      let source = unsafe UnsafeRawPointer(bitPattern: UInt(scratch[2 &* groupSize &+ index])).unsafelyUnwrapped
      // Safe: a request for bytes has a buffer, and the bytes lie in a frame that this section keeps.
      unsafe racyCopy(
        to: group[index].buffer.baseAddress.unsafelyUnwrapped, from: source, count: group[index].bytesRead)
    }
    acquireFence()
    let isSameSize = words.size.loadRelaxed() == size
    var isOvertaken = false
    for index in 0..<count where unsafe group[index].bytesRead != notServed {
      let isUnchanged =
        unsafe !keeps(.entriesCheckedAgain) || slot(scratch[2 &* index]).loadRelaxed() == scratch[2 &* index &+ 1]
      if !isUnchanged || !isSameSize {
        unsafe group[index].bytesRead = notServed
        isOvertaken = true
      }
    }
    return isOvertaken
  }

  @inline(__always)
  private static func slot(_ address: UInt64) -> SharedWord {
    // Safe: noted above as the address of a slot, in this read section.
    unsafe SharedWord(at: UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped)
  }
}
