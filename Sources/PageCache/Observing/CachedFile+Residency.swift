import PageIndex

extension CachedFile {
  /// Which bytes of the file are cached, in order, adjacent ranges joined.
  ///
  /// A moment's picture: fills and evictions go on meanwhile.
  /// - Throws: `CacheError` with cause `.closed` or `.forkedChild`.
  /// - Cost: a step for each cached folio; no lock; an allocation for the result.
  public func residency() throws(CacheError) -> [Range<Int64>] {
    let file = try file(.residency)
    let shift = UInt64(engine.pool.frameShift)
    let size = file.length
    var ranges: [Range<Int64>] = []
    var page: UInt64 = 0
    var isDone = false
    while !isDone {
      // A section for a thousand folios at a time, so that no grace period waits for all of a large file.
      engine.domain.read {
        for _ in 0..<1000 {
          guard let found = file.index.next(from: page, through: IndexGeometry.maximumPage) else {
            isDone = true
            return
          }
          page = found.lastPage + 1
          guard found.entry.isStable else { continue }
          let start = Int64(found.page << shift)
          let end = min(size, Int64(page << shift))
          guard start < end else { continue }
          if let last = ranges.last, last.upperBound == start {
            ranges[ranges.count - 1] = last.lowerBound..<end
          } else {
            ranges.append(start..<end)
          }
        }
      }
    }
    return ranges
  }
}

// For tests: what can otherwise only be brought about by the right memory limit.
extension CachedFile {
  /// Evicts the folio that covers a page, if nobody holds it and nothing is owed for it.
  /// - Parameter sparingAccessed: not if it has been read since reclaim passed; then only its access bit is cleared.
  package func evict(page: UInt64, sparingAccessed: Bool = false) -> Bool {
    engine.evict(keepsWords, page: page, sparingAccessed: sparingAccessed)
  }

  /// Leaves a read-ahead mark. For tests.
  package func markForReadAhead(page: UInt64) {
    let index = keepsWords.index
    index.withLock { if let location = index.locate(page) { index.setReadAheadMark(location) } }
  }

  /// Whether the calling thread was the first to reach a mark, if the handle reads nothing ahead. For tests.
  package func takeNoteOfMark() -> Bool { engine.domain.record().takeNote() != 0 }

  /// Moves the folio that covers a page to another frame, as compaction does. For tests.
  /// - Returns: false if somebody has a reference to it, its file owes it, or it is not there.
  package func move(page: UInt64) -> Bool {
    let found = engine.domain.read { keepsWords.index.locate(page)?.entry }
    guard let found, found.isFolio else { return false }
    return engine.move(found.headFrame(shift: engine.pool.frameShift))
  }

  /// What reclaim knows of the folio that covers a page; nil if none does.
  package func heat(page: UInt64) -> (isProven: Bool, isAccessed: Bool)? {
    engine.domain.read {
      guard let found = keepsWords.index.locate(page), found.entry.isFolio else { return nil }
      let queue = engine.pool.queues.queue(of: found.entry.headFrame(shift: engine.pool.frameShift))
      return (queue.map { engine.policy.isProven(in: $0) } ?? false, found.entry.isAccessed)
    }
  }
}
