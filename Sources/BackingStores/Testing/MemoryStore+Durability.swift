extension MemoryStore {
  /// What reads see, all of it. Of an object that fits into memory.
  package func bytes() -> [UInt8] { withState { $0.present }.allBytes }

  /// What reads see in a range, up to the size.
  package func bytes(in range: Range<Int64>) -> [UInt8] { withState { $0.present }.bytes(in: range) }

  /// What a power cut would leave now: what was there at the last flush, all of it.
  package func crashed() -> [UInt8] { withState { $0.durable }.allBytes }

  /// A power cut that came while the kernel was writing back: of the blocks (of 4096 bytes) that were written since the last flush, these made it.
  ///
  /// The object is as large as it was at the last flush, or as far as the last of them reaches.
  package func crashed(keeping survives: (_ block: Int64) -> Bool) -> [UInt8] {
    let (durable, present, dirty) = withState { ($0.durable, $0.present, $0.dirty) }
    var image = durable
    for block in dirty.sorted() where survives(block) {
      let end = min(present.size, SparseImage.blockRange(block).upperBound)
      image.setSize(max(image.size, end))
      image.replace(block: block, with: present.bytes(ofBlock: block))
    }
    return image.allBytes
  }

  /// Which blocks were written since the last flush, in order.
  package var unflushedBlocks: [Int64] { withState { $0.dirty.sorted() } }

  /// The power is cut and comes back: the store goes on with what is durable, unprepared and unclaimed.
  package func crash() {
    withState {
      $0.present = $0.durable
      $0.dirty = []
      $0.isWritable = false
      $0.claim = .none
      $0.changes += 1
    }
  }

  /// What a kernel does that could not write back: it drops what was written since the last flush, and reads find what is durable, where that reaches.
  /// The size stays.
  package func loseUnflushedWrites() {
    withState { state in
      let end = state.present.size
      for block in state.dirty where SparseImage.blockRange(block).lowerBound < end {
        state.present.replace(block: block, with: state.durable.bytes(ofBlock: block))
      }
      state.dirty = []
      state.changes += 1
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
        $0.present.setSizeFromOutside(newValue)
        $0.durable.setSizeFromOutside(newValue)
        $0.changes += 1
      }
    }
  }

  /// What the object was made with. Setting it replaces whatever was written, durably, and changes the change stamp, not the size.
  package var contents: Contents {
    get { withState { $0.present.contents } }
    set {
      withState {
        $0.present = SparseImage(newValue, size: $0.present.size)
        $0.durable = $0.present
        $0.dirty = []
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
