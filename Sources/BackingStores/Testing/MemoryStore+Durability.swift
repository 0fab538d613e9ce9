extension MemoryStore {
  /// What reads see, all of it. Of an object that fits into memory.
  package func bytes() -> [UInt8] { withState { $0.present }.allBytes }

  /// What reads see in a range, up to the size.
  package func bytes(in range: Range<Int64>) -> [UInt8] { withState { $0.present }.bytes(in: range) }

  /// What a power cut would leave now: what was there at the last flush, all of it.
  package func crashed() -> [UInt8] { withState { $0.durable }.allBytes }

  /// A power cut that came while the kernel was writing back: of the blocks (of 4096 bytes) that were written since the
  /// last flush, these made it.
  ///
  /// The object is as large as it was at the last flush, or as far as the last of them reaches.
  package func crashed(keeping survives: (_ block: Int64) -> Bool) -> [UInt8] {
    let (durable, present, dirty) = withState { ($0.durable, $0.present, $0.dirty) }
    var image = durable
    for block in dirty.keys.sorted() where survives(block) {
      let end = min(present.size, SparseImage.blockRange(block).upperBound)
      image.setSize(max(image.size, end))
      image.replace(block: block, with: present.bytes(ofBlock: block))
    }
    return image.allBytes
  }

  /// Which blocks were written that no flush has covered, in order.
  package var unflushedBlocks: [Int64] { withState { $0.dirty.keys.sorted() } }

  /// The power is cut and comes back: the store goes on with what is durable, unprepared and unclaimed.
  package func crash() {
    withState {
      $0.setAll($0.durable)
      $0.isWritable = false
      $0.claim = .none
      $0.changes += 1
    }
  }

  /// What a kernel does that could not write back: it drops the bytes that were written since the last flush, and reads
  /// find those that were there before. Structure stays as it is. What flushes are under way cover nothing any more.
  package func loseUnflushedWrites() {
    withState { state in
      let end = state.present.size
      for block in state.dirty.keys where SparseImage.blockRange(block).lowerBound < end {
        state.present.replace(block: block, with: state.surviving.bytes(ofBlock: block))
      }
      state.dirty = [:]
      state.flushing = [:]
      state.changes += 1
    }
  }

  package func flush(dataOnly: Bool) throws(StoreError) { endFlush(try beginFlush()) }

  /// Begins a flush: it covers what is there now, and nothing that comes before its end.
  /// - Returns: its number, for its end.
  package func beginFlush() throws(StoreError) -> Int {
    try withState { state throws(StoreError) in
      guard !state.isClosed else { throw failure(.flush, .system(.badFileDescriptor)) }
      state.flushesBegun += 1
      state.flushing[state.flushesBegun] = (state.present, state.present)
      return state.flushesBegun
    }
  }

  /// A flush succeeds. Nothing if bytes were lost since it began.
  package func endFlush(_ number: Int) {
    withState { state in
      // One that began later, and has ended, covers more.
      guard let flushed = state.flushing.removeValue(forKey: number), number > state.flushCovered else { return }
      state.flushCovered = number
      (state.durable, state.surviving) = flushed
      state.dirty = state.dirty.filter { $0.value >= number }
    }
  }

  /// A flush fails, and loses nothing.
  package func abandonFlush(_ number: Int) { withState { $0.flushing[number] = nil } }
}

extension MemoryStore.State {
  /// All of it is durable.
  mutating func setAll(_ image: SparseImage) {
    (present, durable, surviving) = (image, image, image)
    dirty = [:]
    flushing = [:]
  }

  /// Changes structure, which no flush that fails loses.
  mutating func restructure(_ body: (inout SparseImage) -> Void) {
    body(&present)
    body(&surviving)
    for (number, var flush) in flushing {
      body(&flush.surviving)
      flushing[number] = flush
    }
  }

  /// File systems write back what they are about to move. It is not durable by that, but it cannot fail to be written
  /// any more.
  mutating func writeBack(from offset: Int64) {
    for block in dirty.keys where SparseImage.blockRange(block).upperBound > offset {
      let bytes = present.bytes(ofBlock: block)
      restructure { $0.replace(block: block, with: bytes) }
      dirty[block] = nil
    }
  }
}

// MARK: - What others do to the object

extension MemoryStore {
  /// Which object this is. Setting it makes this store another object, as a path that was renamed over.
  package var identity: StoreIdentity {
    get { withState { $0.identity } }
    set { withState { $0.identity = newValue } }
  }

  /// Bytes. Setting it changes the change stamp, too, and is durable at once.
  package var size: Int64 {
    get { withState { $0.present.size } }
    set {
      precondition(newValue >= 0, "a store of \(newValue) bytes")
      withState {
        $0.restructure { $0.setSizeFromOutside(newValue) }
        $0.durable.setSizeFromOutside(newValue)
        $0.changes += 1
      }
    }
  }

  /// What the object was made with. Setting it replaces whatever was written, durably, and changes the change stamp,
  /// not the size.
  package var contents: Contents {
    get { withState { $0.present.contents } }
    set {
      withState {
        $0.setAll(SparseImage(newValue, size: $0.present.size))
        $0.changes += 1
      }
    }
  }

  /// What the status says about the object's name.
  package var isReplaced: Bool {
    get { withState { $0.isReplaced } }
    set { withState { $0.isReplaced = newValue } }
  }

  /// Bytes of storage that there are for the object. What would need more fails with `noSpace`, or writes less.
  package var capacity: Int64 {
    get { withState { $0.capacity } }
    set { withState { $0.capacity = newValue } }
  }

  /// How the object is claimed through this store.
  package var claim: Claim { withState { $0.claim } }

  /// From now on somebody else has the object claimed. What this store has claimed stays.
  package func claimForOthers(_ claim: Claim, byProcess process: Int32? = nil) {
    withState { $0.othersClaim = (claim, process) }
  }
}
