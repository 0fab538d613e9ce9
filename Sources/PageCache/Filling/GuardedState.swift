import BackingStores

/// What the file's lock guards.
struct GuardedState {
  var fills: FillTable = FillTable()
  var ranges: RangeTable = RangeTable()
  var isClosing: Bool = false
  /// Claims of those who may change the store, or what is known of it, since the file was opened.
  var changesBegun: UInt64 = 0
  /// How many have closed the gate.
  var gateClosers: Int = 0
  var storeState: StoreState
  var debt: Debt = Debt()
  var failures: FailureLog = FailureLog()
  /// Pages that may not be written back before points of other files are durable.
  var holdBacks: [UInt64: HoldBack] = [:]
  /// What has been taken over for the store, and is on its way there.
  var transfers: Transfers = Transfers()
  var waitingForTransfers: Int = 0
  /// Calls that use the store without a claim.
  var users: Int = 0
  /// Whether the background knows of the file.
  var isWatched: Bool = false

  init(_ status: StoreStatus) { storeState = StoreState(status) }
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
  @unsafe var debt: Debt {
    @inline(__always) _read { yield unsafe guarded.pointee.debt }
    @inline(__always) _modify { yield unsafe &guarded.pointee.debt }
  }
  @unsafe var failures: FailureLog {
    @inline(__always) _read { yield unsafe guarded.pointee.failures }
    @inline(__always) _modify { yield unsafe &guarded.pointee.failures }
  }
  @unsafe var holdBacks: [UInt64: HoldBack] {
    @inline(__always) _read { yield unsafe guarded.pointee.holdBacks }
    @inline(__always) _modify { yield unsafe &guarded.pointee.holdBacks }
  }
  @unsafe var transfers: Transfers {
    @inline(__always) _read { yield unsafe guarded.pointee.transfers }
    @inline(__always) _modify { yield unsafe &guarded.pointee.transfers }
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
