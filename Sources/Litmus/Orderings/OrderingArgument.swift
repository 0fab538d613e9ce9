#if RaceLaboratory
  import RaceLaboratory

  /// Why nobody would notice if an ordering were weaker.
  struct OrderingArgument {
    /// Module and file.
    let file: String
    /// A part of the line in which it stands.
    let line: String
    let half: OrderingMutant.Half
    let why: String

    init(_ file: String, _ line: String, _ half: OrderingMutant.Half, _ why: String) {
      self.file = file
      self.line = line
      self.half = half
      self.why = why
    }

    static let all: [OrderingArgument] = [
      OrderingArgument(
        "PageCache/FileCore.swift", "durableWord.storeRelease(.max)", .release,
        "what the closer did before is ordered by the grace period that a last close waits for; what came after it is the store's own business"
      ),
      // A read with a pass, and the shorter file after it.
      OrderingArgument("PageCache/ReadPass.swift", "passes.fetchSubtractRelease", .release, loadsFromTheFuture),
      OrderingArgument("PageCache/ReadPass.swift", "passes.loadAcquire", .acquire, loadsFromTheFuture),
      // Slots are of the process, and records of slots.
      OrderingArgument(
        "ReadCopyUpdate/DomainSlot.swift", "leased.compareExchangeAcquire", .acquire, outlivesExecutions),
      OrderingArgument("ReadCopyUpdate/DomainSlot.swift", "leased.storeRelease", .release, outlivesExecutions),
      OrderingArgument("ReadCopyUpdate/DomainSlot.swift", "owned.compareExchangeAcquire", .acquire, ordersCounters),
      OrderingArgument("ReadCopyUpdate/ThreadRegistration.swift", "owned.storeRelease", .release, ordersCounters),
      OrderingArgument("ReadCopyUpdate/ReadDomain+GracePeriods.swift", "sanitizerWords", .acquire, sanitizerOnly),
      OrderingArgument("ReadCopyUpdate/ThreadRecord.swift", "sanitizerWords", .release, sanitizerOnly),
    ]

    private static let loadsFromTheFuture =
      "keeps the loads of a read before what is stored when it is over; the laboratory returns no store that is yet to come"
    private static let outlivesExecutions =
      "slots live as long as the process, so that no execution begins with a free one that it could see too old; ThreadSanitizer sees their records handed on"
    private static let ordersCounters =
      "orders a record's counters, which one owner after the other adds to, and which are no steps in the laboratory; ThreadSanitizer sees them"
    private static let sanitizerOnly = "only in builds for ThreadSanitizer, which does not understand fences"
  }
#endif
