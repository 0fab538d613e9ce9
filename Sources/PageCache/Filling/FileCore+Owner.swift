import BackingStores

// P10: nobody else changes the store of a file that is open `.exclusive`. The claim on it is advisory, so whoever does not ask is noticed here, as far as
// size and time of modification tell.
extension FileCore {
  /// Gets the store ready to be written to, and claims it for that.
  func prepareToWrite() throws(StoreError) {
    try store.prepareToWrite()
    if ownership == .exclusive { try store.claim(forWriting: true) }
  }

  /// An error if somebody else has changed the store since it was last asked, else nil. Reported until `invalidate` accepts what is there now.
  func changeByOthers(operation: StoreError.Operation, range: Range<Int64>?) -> StoreError? {
    // Whoever has a protocol with the others says himself when to look again. And while this cache changes the store, or until a sync has asked for
    // the stamp after that, it says nothing.
    guard ownership == .exclusive, let before = index.withLock({ quietChanges }), let status = try? store.status()
    else {
      return nil
    }
    return index.withLock {
      guard quietChanges == before, unsafe storeState.differs(from: status) else { return nil }
      return unsafe StoreError(
        operation: operation, store: name, range: range,
        cause: .changedByOthers(expectedSize: storeState.size, actualSize: status.size))
    }
  }

  /// The changes begun, if none is under way and the stamp is known. Expects the index lock held.
  private var quietChanges: UInt64? {
    unsafe isBeingChanged || storeState.stamp == nil ? nil : changesBegun
  }
}
