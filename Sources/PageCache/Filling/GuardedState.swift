import BackingStores

/// What the file's lock guards.
struct GuardedState {
  var fills: FillTable = FillTable()
  var ranges: RangeTable = RangeTable()
  /// No call begins any more, but those that make the file durable.
  var isClosing: Bool = false
  /// Nor those.
  var isShut: Bool = false
  /// Claims of those who may change the store, or what is known of it, since the file was opened.
  var changesBegun: UInt64 = 0
  /// How many have closed the gate.
  var gateClosers: Int = 0
  var storeState: StoreState
  var durability: Durability = Durability()
  /// Pages that may not be written back before points of other files are durable.
  var holdBacks: HoldBacks<DurabilityPoint> = HoldBacks()
  /// What the background does for the file.
  var background: BackgroundState = BackgroundState()
  var waitingForTransfers: Int = 0
  /// Calls that use the store without a claim.
  var users: Int = 0
  /// Whether the background knows of the file.
  var isWatched: Bool = false

  init(_ status: StoreStatus) { storeState = StoreState(status) }
}

/// What the background does for a file.
struct BackgroundState {
  /// A job is under way, or asked for.
  var hasJob = false
  /// How many jobs have failed, and how the last one did.
  var failedJobs = 0
  var lastError: CacheError?
  /// Not before this time is it tried again, after a failure.
  var retryTime: UInt64 = 0
}

// Unsafe: only with the file's lock held.
extension FileCore {
  @unsafe var fills: FillTable {
    @inline(__always) _read { yield unsafe guarded.pointee.fills }
    @inline(__always) _modify { yield unsafe &guarded.pointee.fills }
  }
  @unsafe var ranges: RangeTable {
    @inline(__always) _read { yield unsafe guarded.pointee.ranges }
    @inline(__always) _modify { yield unsafe &guarded.pointee.ranges }
  }
  @unsafe var isClosing: Bool {
    @inline(__always) _read { yield unsafe guarded.pointee.isClosing }
    @inline(__always) _modify { yield unsafe &guarded.pointee.isClosing }
  }
  @unsafe var isShut: Bool {
    @inline(__always) _read { yield unsafe guarded.pointee.isShut }
    @inline(__always) _modify { yield unsafe &guarded.pointee.isShut }
  }
  @unsafe var changesBegun: UInt64 {
    @inline(__always) _read { yield unsafe guarded.pointee.changesBegun }
    @inline(__always) _modify { yield unsafe &guarded.pointee.changesBegun }
  }
  @unsafe var gateClosers: Int {
    @inline(__always) _read { yield unsafe guarded.pointee.gateClosers }
    @inline(__always) _modify { yield unsafe &guarded.pointee.gateClosers }
  }
  @unsafe var storeState: StoreState {
    @inline(__always) _read { yield unsafe guarded.pointee.storeState }
    @inline(__always) _modify { yield unsafe &guarded.pointee.storeState }
  }
  @unsafe var durability: Durability {
    @inline(__always) _read { yield unsafe guarded.pointee.durability }
    @inline(__always) _modify { yield unsafe &guarded.pointee.durability }
  }
  @unsafe var holdBacks: HoldBacks<DurabilityPoint> {
    @inline(__always) _read { yield unsafe guarded.pointee.holdBacks }
    @inline(__always) _modify { yield unsafe &guarded.pointee.holdBacks }
  }
  @unsafe var background: BackgroundState {
    @inline(__always) _read { yield unsafe guarded.pointee.background }
    @inline(__always) _modify { yield unsafe &guarded.pointee.background }
  }
  @unsafe var waitingForTransfers: Int {
    @inline(__always) _read { yield unsafe guarded.pointee.waitingForTransfers }
    @inline(__always) _modify { yield unsafe &guarded.pointee.waitingForTransfers }
  }
  @unsafe var users: Int {
    @inline(__always) _read { yield unsafe guarded.pointee.users }
    @inline(__always) _modify { yield unsafe &guarded.pointee.users }
  }
  @unsafe var isWatched: Bool {
    @inline(__always) _read { yield unsafe guarded.pointee.isWatched }
    @inline(__always) _modify { yield unsafe &guarded.pointee.isWatched }
  }
}
