extension FaultInjectingStore {
  package func status() throws(StoreError) -> StoreStatus {
    _ = try begin(.status, .status)
    return try store.status()
  }

  package func version() throws(StoreError) -> StoreVersion {
    _ = try begin(.status, .status)
    return try store.version()
  }

  package var readsOnCaller: Bool { store.readsOnCaller }

  package func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    let answer = StoreAnswer()
    unsafe read(StoreReadRequest(offset: offset, segments: [memory], execution: .caller)) { answer.set($0) }
    return try answer.wait().get()
  }

  package func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
    guard let limit = try begin(.write, .write, request.range) else { return try store.write(request) }
    let kept = Self.prefix(request, limit)
    return kept.count > 0 ? try store.write(kept) : 0
  }

  /// Of a `MemoryStore`, what is there when this is called: what is written while a fault holds it up is not covered.
  package func flush(dataOnly: Bool) throws(StoreError) {
    let memory = store as? MemoryStore
    let number = try? memory?.beginFlush()
    do throws(StoreError) { _ = try begin(.flush, .flush) } catch {
      if let number { memory?.abandonFlush(number) }
      throw error
    }
    if let memory, let number { memory.endFlush(number) } else { try store.flush(dataOnly: dataOnly) }
  }

  package func resize(to size: Int64) throws(StoreError) {
    _ = try begin(.resize, .resize)
    try store.resize(to: size)
  }

  package func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
    _ = try begin(.change(change), change.operation, range)
    try store.change(change, range)
  }

  package func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
    _ = try begin(.clone, .clone, range)
    try store.clone(range, of: Self.underneath(source), to: offset)
  }

  package func dedupe(
    _ range: Range<Int64>, with other: any BackingStore, at offset: Int64
  ) throws(StoreError) -> Bool {
    _ = try begin(.dedupe, .dedupe, range)
    return try store.dedupe(range, with: Self.underneath(other), at: offset)
  }

  package func extent(at offset: Int64) throws(StoreError) -> StoreExtent {
    _ = try begin(.extent, .extent)
    return try store.extent(at: offset)
  }

  package func prepareToWrite() throws(StoreError) {
    _ = try begin(.prepareToWrite, .open)
    try store.prepareToWrite()
  }

  package func claim(forWriting: Bool) throws(StoreError) {
    _ = try begin(.claim, .claim)
    try store.claim(forWriting: forWriting)
  }

  package func dropBehind(_ range: Range<Int64>) { store.dropBehind(range) }

  private static func underneath(_ other: any BackingStore) -> any BackingStore {
    (other as? FaultInjectingStore)?.store ?? other
  }

  private static func prefix(_ request: StoreWriteRequest, _ limit: Int) -> StoreWriteRequest {
    var left = max(0, limit)
    let segments = unsafe request.segments.map { segment in
      let part = unsafe UnsafeRawBufferPointer(rebasing: segment[..<min(left, segment.count)])
      left -= part.count
      return unsafe part
    }
    return unsafe StoreWriteRequest(offset: request.offset, segments: segments)
  }
}
