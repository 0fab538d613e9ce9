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
    guard ownership == .exclusive, let before = index.withLock({ quietChanges }), let version = try? store.version()
    else {
      return nil
    }
    return index.withLock {
      guard quietChanges == before, unsafe storeState.differs(from: version) else { return nil }
      return unsafe changeError(storeState.size, version.size, operation: operation, range)
    }
  }

  /// What is known of changes by others before the lock is taken.
  enum OwnerLook {
    /// Nothing is to be compared: it has been, or it would say nothing.
    case done
    /// The store was asked. What it said counts if the changes begun are still so many.
    case asked(StoreVersion, changes: UInt64)
    /// The changes begun were not known, or the store has not been asked since.
    case needed
  }

  enum OwnerVerdict {
    case unchanged
    case changed(expectedSize: Int64, actualSize: Int64)
    /// The store has to be asked, by `changeByOthers`.
    case unclear
  }

  /// Asks the store as `changeByOthers` does, for somebody who has had the lock, and will have it again, anyway.
  /// - Parameter changes: `quietChanges` as it was then.
  func lookAtOwner(since changes: UInt64?) -> OwnerLook {
    guard ownership == .exclusive else { return .done }
    guard let changes else { return .needed }
    guard let version = try? store.version() else { return .done }
    return .asked(version, changes: changes)
  }

  /// What a look tells. Expects the index lock held.
  func ownerVerdict(_ look: OwnerLook) -> OwnerVerdict {
    switch look {
    case .done: return .unchanged
    // As long as the stamp is not known, asking says nothing.
    case .needed: return quietChanges == nil ? .unchanged : .unclear
    case .asked(let version, let changes):
      guard let now = quietChanges else { return .unchanged }
      guard now == changes else { return .unclear }
      return unsafe storeState.differs(from: version)
        ? .changed(expectedSize: storeState.size, actualSize: version.size) : .unchanged
    }
  }

  func changeError(
    _ expectedSize: Int64, _ actualSize: Int64, operation: StoreError.Operation, _ range: Range<Int64>?
  ) -> StoreError {
    StoreError(
      operation: operation, store: name, range: range,
      cause: .changedByOthers(expectedSize: expectedSize, actualSize: actualSize))
  }

  /// The changes begun, if none is under way and the stamp is known. Expects the index lock held.
  var quietChanges: UInt64? {
    unsafe isBeingChanged || storeState.stamp == nil ? nil : changesBegun
  }
}
