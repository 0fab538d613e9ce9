import Primitives

extension CachedFile {
  /// What the owner of a handle knows of the accesses to come. Advice: it changes what is cached and when, and never what is read.
  public enum Advice: Sendable, CaseIterable {
    /// Nothing: read-ahead goes by what it sees, and reads and writes leave in the cache what they bring.
    case normal
    /// One access behind the other: read-ahead begins with the first.
    case sequential
    /// No order: nothing is read ahead, also where it looks like a stream.
    case random
    /// The range will be read soon: it is brought in the background, as far as frames and threads are to be had.
    case willNeed
    /// The range will not be read soon: what is cached of it goes, but for what readers or borrowers hold. What is owed to the store is written back, and stays until
    /// then.
    case dontNeed
    /// What this handle reads and writes leaves nothing behind (L19): what a read brought goes with it, unless somebody else has read it meanwhile, and what others have in
    /// use is read without counting as use. What a write brought goes with the next `sync` or `flush` of this handle that succeeds.
    case noReuse
  }

  /// Says what is known of the accesses to come.
  ///
  /// `normal`, `sequential`, `random` and `noReuse` are about this handle, from now on, each instead of the others. `willNeed` and `dontNeed` are about what is cached at this
  /// moment, whoever uses it.
  /// - Parameter range: bytes of the file, for `willNeed` and `dontNeed`; the whole file if nil. What lies outside of the file counts for nothing.
  /// - Throws: `CacheError` with cause `.badRange`, `.closed` or `.forkedChild`.
  /// - Cost: a lock of the handle's own; `willNeed` a lock and an allocation for each MiB, `dontNeed` a few locks for each folio.
  public func advise(_ advice: Advice, _ range: Range<Int64>? = nil) throws(CacheError) {
    let file = try file(.advise, range)
    if let range, range.lowerBound < 0 { throw error(.advise, range, .badRange(range)) }
    switch advice {
    case .normal, .sequential, .random, .noReuse:
      readAhead?.announce(advice == .sequential ? .sequential : advice == .random ? .random : .unknown)
      leavings.storeRelaxed(advice == .noReuse ? 1 : 0)
    case .willNeed, .dontNeed:
      let wanted = (range ?? 0..<Int64.max).clamped(to: 0..<file.length)
      guard !wanted.isEmpty else { return }
      let pages = file.pages(offset: UInt64(wanted.lowerBound), count: UInt64(wanted.count))
      if advice == .willNeed { return file.readAhead(pages, mark: nil) }
      if file.drop(pages, sparingAccessed: false) { engine.writeback.start(file) }
    }
  }

  /// Whether what this handle reads and writes is to leave nothing behind.
  var leavesNothing: Bool { leavings.loadRelaxed() != 0 }

  /// Has go what a read has brought, or read ahead has brought for it.
  func dropBehind(offset: UInt64, count: Int) {
    // Not the last page, if the next read may go on in it.
    let end = offset + UInt64(max(0, count))
    let shift = UInt64(engine.pool.frameShift)
    let endPage = Int64(end) >= keepsWords.length ? keepsWords.pageCount(Int64(end)) : end >> shift
    guard endPage > offset >> shift else { return }
    _ = keepsWords.drop(offset >> shift...endPage - 1, sparingAccessed: true)
  }

  /// Notes what a write has brought.
  func noteLeft(_ range: Range<Int64>) {
    guard leavesNothing, !range.isEmpty else { return }
    noteLeft(keepsWords.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count)))
  }

  private func noteLeft(_ pages: ClosedRange<UInt64>) {
    left.withLock {
      let before = unsafe leftPages ?? pages
      unsafe leftPages = min(before.lowerBound, pages.lowerBound)...max(before.upperBound, pages.upperBound)
    }
  }

  /// Has go what was written and is durable now.
  func dropLeft() {
    let pages = left.withLock { () -> ClosedRange<UInt64>? in
      defer { unsafe leftPages = nil }
      return unsafe leftPages
    }
    // Something of it may still be owed.
    if let pages, keepsWords.drop(pages, sparingAccessed: true) { noteLeft(pages) }
  }
}

extension FileCore {
  /// Evicts the folios that end in a range of pages, but for those that somebody holds, or that are owed. Nothing of them is remembered.
  /// - Returns: whether some stayed because they are owed.
  func drop(_ pages: ClosedRange<UInt64>, sparingAccessed: Bool) -> Bool {
    var hasOwed = false
    var page = pages.lowerBound
    while page <= pages.upperBound {
      let step = index.withLock { () -> (next: UInt64, goes: UInt64?) in
        guard let found = index.next(from: page, through: pages.upperBound) else { return (.max, nil) }
        guard found.entry.isFolio else { return (found.lastPage + 1, nil) }
        let folio = folio(of: found)
        guard folio.upperBound <= pages.upperBound else { return (.max, nil) }
        var isSpared = false
        var slot = folio.lowerBound
        while slot <= folio.upperBound, let found = index.next(from: slot, through: folio.upperBound) {
          if isOwed(found.location, page: found.page) {
            hasOwed = true
            isSpared = true
          }
          if sparingAccessed, found.entry.isAccessed { isSpared = true }
          slot = found.lastPage + 1
        }
        return (folio.upperBound + 1, isSpared ? nil : folio.lowerBound)
      }
      if let page = step.goes { _ = engine.evict(self, page: page, remembers: false) }
      if step.next == .max { break }
      page = step.next
    }
    return hasOwed
  }

  /// Takes the read-ahead marks of a range off, for a reader who notes nothing else.
  /// - Returns: the last page that bore one.
  func takeMarks(offset: UInt64, count: Int) -> UInt64? {
    let size = UInt64(length)
    guard count > 0, offset < size else { return nil }
    let pages = pages(offset: offset, count: min(UInt64(count), size - offset))
    return domain.read {
      var marked: UInt64?
      var page = pages.lowerBound
      while page <= pages.upperBound, let found = index.next(from: page, through: pages.upperBound) {
        if found.entry.isFolio, found.entry.hasReadAheadMark, found.location.takeMark() { marked = found.page }
        page = found.lastPage + 1
      }
      return marked
    }
  }
}
