/// A store that takes effect at another time than its thread makes it.
@safe
struct MovedStore {
  let address: UnsafeMutableRawPointer
  let value: UInt64
  let order: MemoryOrder
  /// What an acquire that reads it learns: what its thread knew where the program has it.
  let released: VectorClock
  let site: Site

  func isSame(_ other: MovedStore) -> Bool {
    unsafe address == other.address && value == other.value && order == other.order && site.line == other.site.line
  }
}

/// A store behind a load, for executions whose memory may lie elsewhere.
struct StoreBehind {
  /// Which of the words that were known at the load, in the order in which they were touched; nil if it was not.
  let place: Int?
  /// Else: so many bytes behind the word that is loaded, and near it.
  let offset: Int
  let value: UInt64
  let site: Site

  static var nearby: Int { 64 }
}

// Stores that change places with other operations of their thread, where C11 and so a compiler may have it so: what the
// order in which a program executes does not show. Two kinds, both only where they are asked for.
//
// Late: the store is executed where something orders it, or the thread ends: a compiler's fence, a fence that releases,
// a read-modify-write, a store that releases, a lock, a wait, a call, another access to the same word. So later loads
// and relaxed stores come before it, and a membarrier may be between.
//
// Early: the store is executed before the load that stands in front of it. Which store that is, is known from the
// execution in which it was not: it must come to the same one after the load, whatever that returns, or there was no
// such execution. So nothing comes out of thin air.
extension Explorer {
  // MARK: Late

  /// Whether a store of the running thread, in the step that it makes, takes effect later.
  func isLate(_ store: @autoclosure () -> MovedStore) -> Bool {
    let me = current
    guard liberties.contains(.lateStores), me.late == nil, me.promised == nil, me.lateStores < Liberties.most,
      choose(2, cost: 1) == 1
    else { return false }
    me.lateStores += 1
    let store = store()
    me.late = store
    note(.note, at: store.site, text: "store is late")
    return true
  }

  /// The late store of the running thread comes now, if there is one.
  @inline(__always)
  func settle() {
    if current.late != nil || current.promised != nil { settleHere() }
  }

  /// The same before another access to a word.
  @inline(__always)
  func settle(at address: UnsafeMutableRawPointer) {
    if let late = current.late, unsafe late.address == address { settleHere() }
  }

  private func settleHere() {
    let me = current
    // What was stored early comes after the load, and nothing between.
    if me.promised != nil { giveUpExecution() }
    guard let late = me.late else { return }
    me.late = nil
    unsafe step(UInt(bitPattern: late.address), .store)
    makeMoved(late)
  }

  /// Orders what the compiler emits, and nothing else.
  package func compilerFence(_ site: Site) {
    guard isExploring, liberties.contains(.lateStores) || liberties.contains(.earlyStores) else { return }
    if weakenedLine == site.line, let mutant = orderingMutant, mutant.file == site.file.description,
      mutant.half == .compiler
    {
      hasWeakened = true
      return
    }
    note(.note, at: site, text: "compiler fence")
    settle()
    current.lastLoad = -1
  }

  // MARK: Early

  /// The running thread makes a load: a store that stands behind it comes first, if this execution is the one for that.
  func storeEarly(_ object: UInt, _ kind: StepKind, _ order: MemoryOrder) {
    let me = current
    me.lastLoad = -1
    guard me.promised == nil, me.late == nil, !order.acquires, me.earlyStores < Liberties.most else { return }
    guard nodes[depth - 1].isEarly else {
      me.lastLoad = depth - 1
      me.placesAtLoad = table.count
      return
    }
    guard let behind = nodes[depth - 1].behind else {
      fail(.laboratory, "step \(depth - 1) does not repeat: there is no store behind the load")
      return
    }
    let word =
      behind.place.map { table.locations[$0].address } ?? UInt(bitPattern: Int(bitPattern: object) + behind.offset)
    let address = unsafe UnsafeMutableRawPointer(bitPattern: word).unsafelyUnwrapped
    let store = unsafe MovedStore(
      address: address, value: behind.value, order: .relaxed, released: me.fenceRelease, site: behind.site)
    me.earlyStores += 1
    makeMoved(store)
    step(object, kind)
    me.promised = store
  }

  /// The running thread comes to a store: notes that it stands behind a load.
  /// - Returns: whether it was made before that load.
  func wasStoredEarly(_ store: MovedStore) -> Bool {
    let me = current
    if let promised = me.promised {
      me.promised = nil
      if promised.isSame(store) { return true }
      giveUpExecution()
      return false
    }
    if me.lastLoad >= 0, me.lastLoad == me.lastNode, store.order == .relaxed, nodes[me.lastLoad].behind == nil {
      nodes[me.lastLoad].behind = behind(store, me)
    }
    return false
  }

  private func behind(_ store: MovedStore, _ me: ModelThread) -> StoreBehind? {
    let offset = unsafe Int(bitPattern: store.address) - Int(bitPattern: me.object)
    guard offset != 0 else { return nil }
    let place = unsafe table.known(UInt(bitPattern: store.address)).flatMap { $0 < me.placesAtLoad ? $0 : nil }
    guard place != nil || abs(offset) <= StoreBehind.nearby else { return nil }
    return StoreBehind(place: place, offset: offset, value: store.value, site: store.site)
  }

  /// There is no such execution: it is brought to its end, and counts for nothing.
  private func giveUpExecution() {
    current.promised = nil
    isImpossible = true
    isRedundant = true
  }
}
