public import BackingStores
public import Folios
import PageIndex

extension PageCache {
  /// Every choice that a cache leaves to its owner, and what it costs.
  public struct Configuration: Sendable, Equatable {
    /// Bytes that frames, their metadata, index nodes and deferred frees may take together (P6). Resident memory grows up to it with use, in
    /// 2 MiB steps where the kernel gives huge pages. Up to 1 TiB. At most half of it
    /// holds what stores do not safely have, and half of that what one file's store has not, while there are others.
    public var memoryLimit: Int

    /// What the limit can become while the cache is in use (`PageCache.setMemoryLimit(_:)`): nil for no more than it is at the start. Up to 1 TiB. Costs address
    /// space, and nothing else until it is used.
    public var maximumMemoryLimit: Int?

    /// Orders of the folios that misses and writes make: an order-n folio is 2^n frames of 4 KiB, 0...9. The lower bound is tried at every miss, the
    /// upper one is for what is read ahead, and where misses follow one another in the file. Folios are smaller at the end of the file, beside pages that are cached
    /// already, where no block of frames is large enough, and where the pool would have fewer than 64 of them.
    ///
    /// Large folios cost a read of the whole folio from the store at each miss, and memory for bytes nobody asked for; they save index levels
    /// and address-translation misses: at 1 GiB a hit costs about half with order 9.
    public var folioOrders: ClosedRange<Int>

    /// Bytes that are read ahead at one time for each stream of accesses, at most; 0 for none. Up to 64 MiB. Also no more than an eighth of the limit.
    ///
    /// Streams are accesses of one handle that follow one another, or are the same distance apart, several of them at a time. A lone miss brings nothing but what was
    /// asked for, and the rest of its folio.
    public var readAheadLength: Int

    /// Bytes up to which a call is atomic (P1). Up to 4 MiB. A cache must be able to hold one such call, so a larger value needs a larger limit.
    public var maximumAtomicLength: Int

    /// What the arena's memory is. A shared memory object costs huge pages on most systems, and buys nothing yet: mappings will need it.
    public var arenaKind: ArenaKind

    /// Touch all memory when the cache is made, so that the system's shortage strikes then or never. Costs the whole limit at once, and about 0.1
    /// seconds a GiB.
    public var populatesArena: Bool

    /// Keep the arena from being swapped out. Needs `RLIMIT_MEMLOCK`; includes populating it.
    public var locksArena: Bool

    /// Threads that do the store's work for `async` reads. They start when the first such read misses. 1...64.
    public var ioThreads: Int

    /// Whether local files are read past the kernel's page cache.
    public var directIO: DirectIOPolicy

    /// How long the background lets changed bytes wait before it writes them back and flushes, and written ones before it flushes them. 1 millisecond to a
    /// day; rounded up to about a tenth of a second. It does not wait while more than a quarter of what may be owed is.
    public var writeBackAge: Duration

    /// Which folios go when frames are wanted.
    public var reclaim: Reclaim

    /// Policies of reclaim.
    public enum Reclaim: String, Sendable, CaseIterable, Codable {
      /// What is read once goes soon; what is read again stays: S3-FIFO (Yang and others, SOSP 2023). Scans do not displace what is in use.
      case s3FIFO = "s3-fifo"
      /// What has been read since the last look stays, in the order in which it came. To compare with.
      case secondChance = "second-chance"
    }

    /// Base-2 logarithm of the bytes in a frame.
    package var frameShift = 12
    /// Base-2 logarithm of the slots in an index node; nil chooses by the file's size.
    package var fanOutShift: Int?
    /// Whether folios are no larger than the pool can have many of.
    package var limitsOrders = true
    /// Bits of version in use.
    package var versionBits = 20
    /// Whether readers may rely on membarrier(2).
    package var usesMembarrier = true
    /// Whether a frame that has left the index waits for a grace period (P5). Without it, to measure what it costs, reads may be wrong.
    package var defersReuse = true

    public init(
      memoryLimit: Int, folioOrders: ClosedRange<Int> = 0...9, maximumAtomicLength: Int = 1 << 20,
      arenaKind: ArenaKind = .privateAnonymous, populatesArena: Bool = false, locksArena: Bool = false,
      ioThreads: Int = 4, directIO: DirectIOPolicy = .automatic, writeBackAge: Duration = .seconds(5),
      reclaim: Reclaim = .s3FIFO, maximumMemoryLimit: Int? = nil, readAheadLength: Int = 4 << 20
    ) {
      self.memoryLimit = memoryLimit
      self.maximumMemoryLimit = maximumMemoryLimit
      self.readAheadLength = readAheadLength
      self.folioOrders = folioOrders
      self.maximumAtomicLength = maximumAtomicLength
      self.arenaKind = arenaKind
      self.populatesArena = populatesArena
      self.locksArena = locksArena
      self.ioThreads = ioThreads
      self.directIO = directIO
      self.writeBackAge = writeBackAge
      self.reclaim = reclaim
    }
  }
}
