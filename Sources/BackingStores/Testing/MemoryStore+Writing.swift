internal import SystemPackage

extension MemoryStore {
  package func prepareToWrite() throws(StoreError) {
    try withState { state throws(StoreError) in
      guard !state.isClosed else { throw failure(.open, .system(.badFileDescriptor)) }
      state.isWritable = true
    }
  }

  package var maximumSize: Int64 {
    get { withState { $0.maximumSize } }
    set { withState { $0.maximumSize = newValue } }
  }

  package func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
    try changing(.write, request.range) { state throws(Refusal) in
      guard request.offset >= 0 else { throw Refusal(.system(.invalidArgument)) }
      guard !request.offset.addingReportingOverflow(Int64(request.count)).overflow else {
        throw Refusal(.system(.overflow))
      }
      guard request.count > 0 else { return 0 }
      let end = min(request.range.upperBound, state.maximumSize)
      guard end > request.offset else { throw Refusal(.system(.fileTooLarge)) }
      let written = state.affordable(request.offset..<end)
      guard !written.isEmpty else { throw Refusal(.system(.noSpace)) }
      state.grow(to: written.upperBound)
      var offset = written.lowerBound
      for index in unsafe request.segments.indices {
        let segment = unsafe request.segments[index]
        let count = Int(min(Int64(segment.count), written.upperBound - offset))
        unsafe state.write(UnsafeRawBufferPointer(rebasing: segment[..<count]), at: offset)
        offset += Int64(count)
      }
      return Int(offset - request.offset)
    }
  }

  package func resize(to size: Int64) throws(StoreError) {
    try changing(.resize, nil) { state throws(Refusal) in
      guard size >= 0 else { throw Refusal(.system(.invalidArgument)) }
      guard size <= state.maximumSize else { throw Refusal(.system(.fileTooLarge)) }
      state.restructure { $0.setSize(size) }
      state.dirty = state.dirty.filter { SparseImage.blockRange($0.key).lowerBound < size }
    }
  }

  package func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
    try changing(change.operation, range) { state throws(Refusal) in
      guard range.lowerBound >= 0 else { throw Refusal(.system(.invalidArgument)) }
      if !range.isEmpty { try state.change(change, range) }
    }
  }

  package func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
    guard let source = source as? MemoryStore else { throw failure(.clone, range, .unsupported) }
    // Not at the same time as this store's: two stores may be cloned from each other at once.
    let image = source.withState { $0.present }
    try changing(.clone, range) { state throws(Refusal) in
      guard range.lowerBound >= 0, offset >= 0, range.upperBound <= image.size else { throw Refusal(.unsupported) }
      guard !range.isEmpty else { return }
      let (end, overflow) = offset.addingReportingOverflow(Int64(range.count))
      guard !overflow else { throw Refusal(.system(.invalidArgument)) }
      let endsBoth = range.upperBound == image.size && end >= state.present.size
      guard [range.lowerBound, offset].allSatisfy(SparseImage.isAligned),
        endsBoth || SparseImage.isAligned(range.upperBound)
      else { throw Refusal(.unsupported) }
      guard end <= state.maximumSize else { throw Refusal(.system(.fileTooLarge)) }
      state.grow(to: end)
      let distance = (offset - range.lowerBound) / SparseImage.blockSize
      // What is shared is written back before: it is structure from there on.
      for block in SparseImage.blocks(of: range) {
        let bytes = image.bytes(ofBlock: block)
        state.restructure { $0.replace(block: block + distance, with: bytes) }
        state.dirty[block + distance] = nil
      }
    }
  }

  package func dedupe(
    _ range: Range<Int64>, with other: any BackingStore, at offset: Int64
  ) throws(StoreError) -> Bool {
    guard let other = other as? MemoryStore else { throw failure(.dedupe, range, .unsupported) }
    let (end, overflow) = offset.addingReportingOverflow(Int64(range.count))
    guard range.lowerBound >= 0, offset >= 0, !overflow, range.upperBound <= other.size, end <= size,
      [range.lowerBound, offset].allSatisfy(SparseImage.isAligned)
    else { throw failure(.dedupe, range, .unsupported) }
    // Sharing cannot be told from having the same bytes.
    return other.bytes(in: range) == bytes(in: offset..<end)
  }

  package func extent(at offset: Int64) throws(StoreError) -> StoreExtent {
    try withState { state throws(StoreError) in
      guard !state.isClosed else { throw failure(.extent, .system(.badFileDescriptor)) }
      return state.present.extent(at: offset)
    }
  }

  package func claim(forWriting: Bool) throws(StoreError) {
    if forWriting { try prepareToWrite() }
    try withState { state throws(StoreError) in
      guard !state.isClosed else { throw failure(.claim, .system(.badFileDescriptor)) }
      let (others, process) = state.othersClaim
      guard others < (forWriting ? .reading : .writing) else { throw failure(.claim, .claimed(byProcess: process)) }
      state.claim = max(state.claim, forWriting ? .writing : .reading)
    }
  }

  /// The body changes what the store holds. When it throws, nothing has changed.
  private func changing<Result>(
    _ operation: StoreError.Operation, _ range: Range<Int64>?,
    _ body: (inout State) throws(Refusal) -> Result
  ) throws(StoreError) -> Result {
    try withState { state throws(StoreError) in
      guard !state.isClosed, state.isWritable else { throw failure(operation, range, .system(.badFileDescriptor)) }
      do throws(Refusal) {
        let result = try body(&state)
        state.changes += 1
        return result
      } catch {
        throw failure(operation, range, error.cause)
      }
    }
  }
}

/// A cause that does not know its operation yet.
private struct Refusal: Error {
  let cause: StoreError.Cause

  init(_ cause: StoreError.Cause) { self.cause = cause }
}

// MARK: - What is done to the images

extension MemoryStore.State {
  /// How much of a range, from its start, there is storage for.
  fileprivate func affordable(_ range: Range<Int64>) -> Range<Int64> {
    guard capacity < .max else { return range }
    var left = (capacity - present.allocated) / SparseImage.blockSize
    for block in SparseImage.blocks(of: range) where present.isHole(block) {
      left -= 1
      if left < 0 { return range.clamped(to: range.lowerBound..<max(range.lowerBound, block * SparseImage.blockSize)) }
    }
    return range
  }

  fileprivate mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    var done = 0
    while done < bytes.count {
      let (block, start) = (offset + Int64(done)).quotientAndRemainder(dividingBy: SparseImage.blockSize)
      let count = min(bytes.count - done, Int(SparseImage.blockSize - start))
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
      present.edit(block: block, isReplaced: count == Int(SparseImage.blockSize)) { block in
        unsafe block.withUnsafeMutableBytes {
          unsafe UnsafeMutableRawBufferPointer(rebasing: $0[Int(start)...]).copyMemory(from: part)
        }
      }
      dirty[block] = flushesBegun
      done += count
    }
  }

  fileprivate mutating func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(Refusal) {
    switch change {
    case .allocate(let keepingSize), .zero(let keepingSize):
      guard keepingSize || range.upperBound <= maximumSize else { throw Refusal(.system(.fileTooLarge)) }
      guard affordable(range) == range else { throw Refusal(.system(.noSpace)) }
      if !keepingSize { grow(to: range.upperBound) }
      if case .zero = change { clear(range) }
      restructure { $0.allocate(range) }
    case .punchHole:
      clear(range)
    case .collapse:
      guard SparseImage.isAligned(range.lowerBound), SparseImage.isAligned(range.upperBound),
        range.upperBound < present.size
      else { throw Refusal(.system(.invalidArgument)) }
      writeBack(from: range.lowerBound)
      restructure { $0.shift(from: range.upperBound, by: -Int64(range.count)) }
    case .insert:
      guard SparseImage.isAligned(range.lowerBound), SparseImage.isAligned(range.upperBound),
        range.lowerBound < present.size
      else { throw Refusal(.system(.invalidArgument)) }
      guard Int64(range.count) <= maximumSize - present.size else { throw Refusal(.system(.fileTooLarge)) }
      writeBack(from: range.lowerBound)
      restructure { $0.shift(from: range.lowerBound, by: Int64(range.count)) }
    case .unshare: break
    }
  }

  /// Makes a range read as zero: its whole blocks become holes, which is structure. What it covers of other blocks is
  /// written in memory, like any bytes: a flush that fails can lose it.
  private mutating func clear(_ range: Range<Int64>) {
    let whole = present.wholeBlocks(of: range)
    let blocks = SparseImage.blocks(of: range)
    let edges = [blocks.lowerBound, blocks.upperBound - 1].filter { !whole.contains($0) && !present.isHole($0) }
    present.punch(range)
    restructure { $0.punch(SparseImage.range(ofBlocks: whole)) }
    dirty = dirty.filter { !whole.contains($0.key) }
    for block in edges { dirty[block] = flushesBegun }
  }

  fileprivate mutating func grow(to size: Int64) {
    if size > present.size { restructure { $0.setSize(size) } }
  }
}
