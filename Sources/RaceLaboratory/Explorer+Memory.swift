// What C11 says of loads, stores and fences. The views of a thread are vector clocks: see "A promising semantics" (Kang et al., POPL 2017) for the same thing in
// terms of views, and loom (Rust) for the same data structure.
extension Explorer {
  /// The order that an operation has here, which a mutant may have weakened.
  @inline(__always)
  func effective(_ order: MemoryOrder, _ site: Site) -> MemoryOrder {
    if weakenedLine == site.line, let mutant = orderingMutant, mutant.file == site.file.description {
      let weaker = mutant.weaken(order)
      if weaker != order { hasWeakened = true }
      return weaker
    }
    if notesSites { noteSite(order, site) }
    return order
  }

  private func noteSite(_ order: MemoryOrder, _ site: Site) {
    func add(_ half: OrderingMutant.Half) {
      sites.insert(OrderingMutant(file: site.file.description, line: site.line, half: half))
    }
    if order.acquires { add(.acquire) }
    if order.releases { add(.release) }
    if order == .sequential { add(.sequential) }
  }

  private func place(_ address: UnsafeMutableRawPointer) -> Int {
    unsafe table.place(
      of: UInt(bitPattern: address), value: address.assumingMemoryBound(to: UInt64.self).pointee)
  }

  /// Whether memory holds what the laboratory knows of it.
  private func checkNewest(_ place: Int, _ address: UnsafeMutableRawPointer) {
    let newest = table.locations[place].stores[table.locations[place].stores.count - 1].value
    let actual = unsafe address.assumingMemoryBound(to: UInt64.self).pointee
    if newest != actual {
      fail(
        .laboratory,
        "memory was written past the laboratory: a word holds \(actual) where \(newest) was stored last")
    }
  }

  // MARK: Loads

  package func load(
    _ address: UnsafeMutableRawPointer, _ order: MemoryOrder, _ site: Site,
    as operation: TraceEntry.Operation = .load
  ) -> UInt64 {
    guard isExploring else { return unsafe address.assumingMemoryBound(to: UInt64.self).pointee }
    // What is read again after a round of spinning must get newer: see `ModelThread.round`.
    unsafe settle(at: address)
    let earlier = readBefore(UInt(bitPattern: address), site)
    step(UInt(bitPattern: address), earlier != nil ? .update : .load)
    if liberties.contains(.earlyStores), operation == .load {
      storeEarly(UInt(bitPattern: address), earlier != nil ? .update : .load, effective(order, site))
    }
    return unsafe loadHere(address, order, site, as: operation, earlier: earlier) { choose($0) }
  }

  /// Which store the running thread has read in an earlier round of its spinning.
  @inline(__always)
  private func readBefore(_ address: UInt, _ site: Site) -> Int? {
    guard current.round > 1, let place = table.known(address) else { return nil }
    return table.locations[place].readBefore(by: current, at: site)
  }

  /// Loads within the step that the running thread makes.
  /// - Parameters:
  ///   - earlier: what it has read in an earlier round.
  ///   - isAlone: whether it is no part of a step that loads several words, which does not tear them.
  ///   - choice: which of so many stores it returns, the newest being number 0.
  @inline(__always)
  private func loadHere(
    _ address: UnsafeMutableRawPointer, _ order: MemoryOrder, _ site: Site, as operation: TraceEntry.Operation,
    earlier: Int?, isAlone: Bool = true, _ choice: (Int) -> Int
  ) -> UInt64 {
    let order = effective(order, site)
    let me = current
    let place = unsafe place(address)
    unsafe checkNewest(place, address)
    let count = table.locations[place].stores.count
    let (first, oldest) = loadable(place, me, earlier: earlier)
    // Before the first newer store it would have returned what it did in the last round.
    if let earlier, oldest > earlier {
      race(with: table.locations[place].stores[oldest].mark, me)
    }
    let whole = count - first
    let canTear = isAlone && whole > 1 && operation == .copyOut && liberties.contains(.tornWords)
    let choice = choice(canTear ? whole + 2 * (whole - 1) : whole)
    // Behind the whole ones: torn between two that follow each other. It has read the newer of them, too.
    let torn = choice >= whole ? choice - whole : nil
    let chosen = count - 1 - (torn.map { $0 / 2 } ?? choice)
    if table.locations[place].stores[chosen].seen[me.number] == .max {
      table.locations[place].stores[chosen].seen[me.number] = me.clock[me.number]
    }
    table.locations[place].noteReading(chosen, by: me, at: site)
    me.looks.append(Int32(place))
    let store = table.locations[place].stores[chosen]
    var value = store.value
    if let torn {
      let newer: UInt64 = torn & 1 == 0 ? 0xFFFF_FFFF : 0xFFFF_FFFF << 32
      value = value & newer | table.locations[place].stores[chosen - 1].value & ~newer
    }
    if order.acquires { me.clock.join(store.released) } else { me.pendingAcquire.join(store.released) }
    me.past.join(store.past)
    note(earlier != nil ? .readOfNewest : .load, of: place, me)
    note(
      operation, order, address: UInt(bitPattern: address), value: value, other: UInt64(count - 1 - chosen), at: site,
      text: torn == nil ? nil : "torn")
    if !shared.isEmpty { unsafe checkReuse(address, "reads", me) }
    return value
  }

  /// The oldest store that a load may return, and the oldest that it could if the thread knew of none.
  @inline(__always)
  private func loadable(_ place: Int, _ me: ModelThread, earlier: Int?) -> (first: Int, oldest: Int) {
    let count = table.locations[place].stores.count
    let oldest = earlier.map { min($0 + 1, count - 1) } ?? 0
    // From the newest back to one that the thread is bound to know.
    var first = count - 1
    while first > oldest, !any(table.locations[place].stores[first].seen .<= me.clock) { first -= 1 }
    return (first, oldest)
  }

  /// Loads words that lie side by side in one step: the newest store of each, or the oldest of each that may be
  /// returned.
  func loadRun(_ start: UnsafeMutableRawPointer, words: Int, _ site: Site) -> [UInt64] {
    var earlier: [Int?] = []
    for word in 0..<words { earlier.append(readBefore(unsafe UInt(bitPattern: start + 8 * word), site)) }
    step(UInt(bitPattern: start), usesSleep ? .other : earlier.contains { $0 != nil } ? .update : .load)
    var hasOlder = false
    for word in 0..<words where !hasOlder {
      let place = unsafe place(start + 8 * word)
      hasOlder =
        loadable(place, current, earlier: earlier[word]).first + 1 < table.locations[place].stores.count
    }
    let isOld = hasOlder && choose(2) == 1
    return (0..<words).map { word in
      unsafe loadHere(start + 8 * word, .relaxed, site, as: .copyOut, earlier: earlier[word], isAlone: false) {
        isOld ? $0 - 1 : 0
      }
    }
  }

  // MARK: Stores

  package func store(
    _ address: UnsafeMutableRawPointer, _ value: UInt64, _ order: MemoryOrder, _ site: Site,
    as operation: TraceEntry.Operation = .store, mask: UInt64 = .max
  ) {
    guard isExploring else { return unsafe address.assumingMemoryBound(to: UInt64.self).pointee = value }
    if liberties.isDisjoint(with: [.lateStores, .earlyStores]) {
      step(UInt(bitPattern: address), .store)
      return unsafe storeHere(address, value, order, site, as: operation, mask: mask)
    }
    if operation != .store || effective(order, site).releases { settle() } else { unsafe settle(at: address) }
    let store = unsafe moved(address, value, order, site)
    if operation == .store, wasStoredEarly(store) { return }
    step(UInt(bitPattern: address), .store)
    if operation == .store, isLate(store) { return }
    unsafe storeHere(address, value, order, site, as: operation, mask: mask)
  }

  private func moved(_ address: UnsafeMutableRawPointer, _ value: UInt64, _ order: MemoryOrder, _ site: Site)
    -> MovedStore
  {
    let order = effective(order, site)
    return unsafe MovedStore(
      address: address, value: value, order: order, released: order.releases ? current.clock : current.fenceRelease,
      site: site)
  }

  /// Stores, within the step that the running thread makes, what stands elsewhere in its program.
  func makeMoved(_ store: MovedStore) {
    let address = unsafe store.address
    let place = unsafe place(address)
    unsafe checkNewest(place, address)
    unsafe write(place, address, store.value, store.order, continuing: .zero, released: store.released)
    note(.store, store.order, address: UInt(bitPattern: address), value: store.value, at: store.site)
    if !shared.isEmpty { unsafe checkReuse(address, "writes to", current) }
  }

  /// Stores within the step that the running thread makes.
  private func storeHere(
    _ address: UnsafeMutableRawPointer, _ value: UInt64, _ order: MemoryOrder, _ site: Site,
    as operation: TraceEntry.Operation, mask: UInt64
  ) {
    let order = effective(order, site)
    let place = unsafe place(address)
    unsafe checkNewest(place, address)
    // The other bits are what they are now.
    let value = unsafe value & mask | address.assumingMemoryBound(to: UInt64.self).pointee & ~mask
    unsafe write(place, address, value, order, continuing: .zero)
    note(operation, order, address: UInt(bitPattern: address), value: value, at: site)
    if !shared.isEmpty { unsafe checkReuse(address, "writes to", current) }
  }

  /// Stores words that lie side by side in one step.
  func storeRun(_ start: UnsafeMutableRawPointer, _ values: [UInt64], _ site: Site) {
    settle()
    step(UInt(bitPattern: start), usesSleep ? .other : .store)
    for (word, value) in values.enumerated() {
      unsafe storeHere(start + 8 * word, value, .relaxed, site, as: .copyIn, mask: .max)
    }
  }

  /// Reads the newest store and, in the same step, makes another.
  /// - Parameter change: nil for no store.
  /// - Returns: what was there.
  package func update(
    _ address: UnsafeMutableRawPointer, _ order: MemoryOrder, _ site: Site, as operation: TraceEntry.Operation,
    _ change: (UInt64) -> UInt64?
  ) -> UInt64 {
    guard isExploring else {
      let word = unsafe address.assumingMemoryBound(to: UInt64.self)
      let old = unsafe word.pointee
      if let new = change(old) { unsafe word.pointee = new }
      return old
    }
    settle()
    step(UInt(bitPattern: address), .update)
    let me = current
    let order = effective(order, site)
    let place = unsafe place(address)
    unsafe checkNewest(place, address)
    raceWithStores(place, me)
    let newest = table.locations[place].stores.count - 1
    let old = table.locations[place].stores[newest]
    if old.seen[me.number] == .max { table.locations[place].stores[newest].seen[me.number] = me.clock[me.number] }
    table.locations[place].noteReading(newest, by: me, at: site)
    me.looks.append(Int32(place))
    if order.acquires { me.clock.join(old.released) } else { me.pendingAcquire.join(old.released) }
    let new = change(old.value)
    if let new {
      // It continues the release sequence that it has read.
      unsafe write(place, address, new, order, continuing: old.released)
    } else {
      me.past.join(table.locations[place].past)
      note(.readOfNewest, of: place, me)
    }
    note(
      operation, order, address: UInt(bitPattern: address), value: new ?? old.value, other: old.value, at: site)
    if !shared.isEmpty { unsafe checkReuse(address, "changes", me) }
    return old.value
  }

  private func write(
    _ place: Int, _ address: UnsafeMutableRawPointer, _ value: UInt64, _ order: MemoryOrder,
    continuing sequence: VectorClock, released known: VectorClock? = nil
  ) {
    let me = current
    raceWithStores(place, me)
    raceWithReads(place, me)
    raceWithNews(table.locations[place].resumed, me)
    // What comes before this store: the last one, and whoever has read since.
    var past = table.locations[place].past
    for read in table.locations[place].reads { past[read.thread] = max(past[read.thread], read.index) }
    me.past.join(past)
    var released = known ?? (order.releases ? me.clock : me.fenceRelease)
    released.join(sequence)
    var seen = VectorClock.never
    seen[me.number] = me.clock[me.number]
    let mark = mark(me)
    table.locations[place].stores.append(
      StoreRecord(value: value, seen: seen, released: released, past: me.past, mark: mark))
    table.locations[place].lastStored[me.number] = Int32(table.locations[place].stores.count - 1)
    table.locations[place].past = me.past
    table.locations[place].lastStore = mark
    if isBounded { table.locations[place].steps.append(mark) }
    table.locations[place].reads.removeAll(keepingCapacity: true)
    unsafe address.assumingMemoryBound(to: UInt64.self).pointee = value
    fruitlessYields = 0
  }

  /// Adds to a word that only one thread writes: no step of its own.
  package func addUnseen(_ address: UnsafeMutableRawPointer, _ amount: UInt64) {
    if isExploring { unsafe settle(at: address) }
    let word = unsafe address.assumingMemoryBound(to: UInt64.self)
    unsafe word.pointee &+= amount
    unsafe forget(address)
  }

  /// A word begins anew: what was stored at its address before was something else.
  package func forget(_ address: UnsafeMutableRawPointer) {
    guard isExploring else { return }
    unsafe settle(at: address)
    unsafe table.renew(UInt(bitPattern: address), value: address.assumingMemoryBound(to: UInt64.self).pointee)
  }

  /// A word's memory is given back.
  package func remove(_ address: UnsafeMutableRawPointer) {
    guard isExploring else { return }
    unsafe settle(at: address)
    table.remove(UInt(bitPattern: address))
  }

  /// Nanoseconds that go by with steps.
  package var time: UInt64 { isExploring ? UInt64(depth) * 1000 + 1 : 1 }

  // MARK: Races

  /// Two steps of different threads of which neither has to come first: the later is tried before the earlier.
  func race(with earlier: StepMark, _ me: ModelThread) {
    guard earlier.thread >= 0, earlier.thread != me.number, earlier.index > me.past[earlier.thread] else { return }
    tryBefore(earlier.node)
  }

  /// The same for several, oldest first. With a bound, it is not enough to try a step before the last one that it depends on, and from there before the one before
  /// that: the way there may take more preemptions than there are. So it is tried before each that has come since it was due (Coons et al. look at each
  /// step that is due, at every step), and of each thread before the last one that came earlier.
  func race(withAll marks: [StepMark], _ me: ModelThread, where depends: (StepMark.Kind) -> Bool = { _ in true }) {
    var seen: UInt8 = 0
    for mark in marks.reversed() where depends(mark.kind) && mark.thread != me.number {
      let bit: UInt8 = 1 << UInt8(mark.thread)
      guard seen & bit == 0 else { continue }
      if mark.index <= me.past[mark.thread] {
        seen |= bit
        continue
      }
      tryBefore(mark.node)
      if !isBounded || mark.node < me.previousNode { seen |= bit }
    }
  }

  private func raceWithStores(_ place: Int, _ me: ModelThread) {
    if isBounded {
      race(withAll: table.locations[place].steps, me) { $0 == .store }
    } else {
      race(with: table.locations[place].lastStore, me)
    }
  }

  /// A mark of the running thread's step.
  func mark(_ me: ModelThread, _ kind: StepMark.Kind = .store) -> StepMark {
    StepMark(thread: me.number, index: me.index, node: depth - 1, kind: kind)
  }

  private func note(_ kind: StepMark.Kind, of place: Int, _ me: ModelThread) {
    let mark = mark(me, kind)
    table.locations[place].reads.append(mark)
    if isBounded { table.locations[place].steps.append(mark) }
  }

  /// A store is tried before the reads that it could have come before. Of each thread, before the last that could only return the newest store: those before
  /// that follow from it. And before the first behind that: those that follow can still return what was there before.
  private func raceWithReads(_ place: Int, _ me: ModelThread) {
    if isBounded { return race(withAll: table.locations[place].steps, me) { $0 != .store } }
    for thread in active where thread !== me {
      var newest = -1
      var first = -1
      for read in table.locations[place].reads
      where read.thread == thread.number && read.index > me.past[read.thread] {
        if read.kind == .readOfNewest {
          newest = read.node
          first = -1
        } else if first < 0 {
          first = read.node
        }
      }
      if newest >= 0 { tryBefore(newest) }
      if first >= 0 { tryBefore(first) }
    }
  }
}
