import Folios
import Primitives

extension Engine {
  /// Bytes, as it is now.
  var memoryLimit: Int { Int(limit.loadRelaxed()) }

  /// How long nothing may come free before lowering the limit is given up.
  private static var patienceNanoseconds: UInt64 { 2_000_000_000 }

  /// Changes the limit: gives frames back to the system, evicting and having files cleaned, or puts more into circulation.
  func setLimit(_ bytes: Int) throws(CacheError) {
    func refuse(_ cause: CacheError.Cause) -> CacheError { CacheError(operation: .setLimit, file: "", cause: cause) }
    let most = max(configuration.maximumMemoryLimit ?? 0, configuration.memoryLimit)
    guard bytes <= most else { throw refuse(.configuration([.memoryLimitTooLarge(given: bytes, largest: most)])) }
    limitTurn.take()
    defer { limitTurn.end() }
    let target = pool.usableFrames(limit: max(0, bytes))
    let least = max(configuration.leastFrames, 2 * reservedFrames.value)
    guard target >= least else {
      throw refuse(.configuration([.memoryLimitTooSmall(given: bytes, needed: self.bytes(ofFrames: least))]))
    }
    if target >= pool.usableFrames {
      do { try pool.extend(upTo: target) } catch {
        note(limit: max(memoryLimit, self.bytes(ofFrames: pool.usableFrames)))
        throw refuse(.memory(call: error.operation, errno: .init(rawValue: error.code), byteCount: error.byteCount))
      }
      return note(limit: bytes)
    }
    // Fewer for calls and debts first, so that they do not take what comes free.
    setBudgets(of: target)
    isLowering.storeRelaxed(1)
    defer { isLowering.storeRelaxed(0) }
    guard lower(to: target) else {
      let held = self.bytes(ofFrames: pool.usableFrames)
      try? pool.extend(upTo: pool.usableFrames(limit: memoryLimit))
      note(limit: memoryLimit)
      throw refuse(.limitNotReached(bytes, held: held))
    }
    note(limit: bytes)
  }

  /// With the metadata of all frames that were ever in use.
  private func bytes(ofFrames frames: Int) -> Int {
    frames << pool.frameShift + pool.frontier * FolioMetadata.byteCount
  }

  private func note(limit bytes: Int) {
    limit.storeRelaxed(UInt64(bytes))
    setBudgets(of: pool.usableFrames)
  }

  private func setBudgets(of frames: Int) {
    let budgets = configuration.budgets(of: frames)
    budget.setCapacity(budgets.calls)
    dirtyBudget.setCapacity(budgets.owed)
  }

  /// - Returns: false if something that cannot go kept some frames.
  private func lower(to target: Int) -> Bool {
    var lastProgress = monotonicNanoseconds()
    var left = pool.usableFrames
    while true {
      let now = pool.withdraw(downTo: target)
      if now <= target { return true }
      let owed = dirtyBudget.used
      var evicted = evict(frames: min(now - target, 1024), sparingAccessed: true)
      if evicted == 0 { evicted = evict(frames: min(now - target, 1024), sparingAccessed: false) }
      var freed = pool.reclaimRetired(waiting: true)
      if evicted + freed == 0 { freed = shedShadows(olderThan: nil) + shedHoles() }
      if evicted + freed == 0, owed > 0 {
        for file in openFiles where file.index.withLock({ !file.owesNothing }) { writeback.start(file) }
      }
      if evicted + freed > 0 || now < left || dirtyBudget.used < owed {
        lastProgress = monotonicNanoseconds()
      } else if monotonicNanoseconds() - lastProgress > Engine.patienceNanoseconds {
        return false
      } else {
        sleepNanoseconds(1_000_000)
      }
      left = now
    }
  }
}

extension PageCache {
  /// Bytes that the cache may take at this moment (P6).
  public var memoryLimit: Int { engine.memoryLimit }

  /// Changes how much memory the cache may take, while it is in use.
  ///
  /// A lower limit is reached when this returns: folios are evicted, what is owed to stores is written back, and the memory goes back to the system. A higher one can be
  /// as high as `Configuration.maximumMemoryLimit`. One caller at a time; others wait.
  /// - Parameter bytes: frames, their metadata, index nodes and deferred frees together. The metadata of all frames that were ever in use stays.
  /// - Throws: `CacheError` with cause `.configuration` for a limit that is too high, or too low to serve one call of the atomic length, or for twice what is set aside for tenants: nothing
  ///   has changed.
  ///   `.limitNotReached` if readers, borrowers or stores that fail keep some frames for two seconds: the limit is as before then.
  ///   `.memory` if the system refuses to lock more memory. `.forkedChild`.
  /// - Cost: lowering takes as long as evicting and writing back do, and a system call for each block of free frames.
  public func setMemoryLimit(_ bytes: Int) throws(CacheError) {
    guard !engine.isInForkedChild else { throw CacheError(operation: .setLimit, file: "", cause: .forkedChild) }
    try engine.setLimit(bytes)
  }
}
