import PageCache

/// A cache's statistics as lines of text.
package enum StatisticsReport {
  package static func lines(_ statistics: PageCache.Statistics) -> [String] {
    let frameBytes = statistics.frameByteCount
    func frames(_ count: Int) -> String { "\(count) (\(count * frameBytes / 1024) KiB)" }
    var lines = [
      "hits \(statistics.hits), slow reads \(statistics.slowReads), misses \(statistics.misses), "
        + "retries \(statistics.retries)",
      "fills \(statistics.fills) (\(statistics.filledBytes) bytes), joined \(statistics.joinedFills), "
        + "failed \(statistics.failedFills)",
      "evictions \(statistics.evictions), of frames \(frames(statistics.evictedFrames.clamped)); came back \(statistics.refaults)",
      "writes \(statistics.writes) (\(statistics.writtenBytes) bytes), written back \(statistics.writtenBackBytes) bytes, "
        + "flushes \(statistics.flushes), failed \(statistics.failedFlushes), "
        + "owed \(frames(statistics.owedFrames)) of at most \(frames(statistics.mostOwedFrames))",
      "loans \(statistics.borrows), with a copy \(statistics.borrowCopies)",
      "frames \(frames(statistics.frames)), free \(frames(statistics.freeFrames)), "
        + "of index nodes \(frames(statistics.nodeFrames))",
      "deferred frames \(statistics.deferredFrames), at most \(statistics.peakDeferredFrames); "
        + "grace periods \(statistics.gracePeriods)",
      "huge pages: \(statistics.hugePages)",
    ]
    for (order, count) in statistics.cachedFramesByOrder.enumerated() where count > 0 {
      lines.append("cached in folios of order \(order): \(frames(count))")
    }
    for size in statistics.hitsBySize.indices where statistics.hitsBySize[size] + statistics.slowReadsBySize[size] > 0 {
      let from = size == 0 ? 1 : 1 << size + 1
      lines.append(
        "reads of \(from) to \(2 << size) bytes: \(statistics.hitsBySize[size]) hits, "
          + "\(statistics.slowReadsBySize[size]) slow")
    }
    return lines
  }
}

extension UInt64 {
  fileprivate var clamped: Int { Int(Swift.min(self, UInt64(Int32.max))) }
}
