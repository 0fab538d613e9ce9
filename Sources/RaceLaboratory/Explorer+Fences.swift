// Fences, of one thread and of all.
extension Explorer {
  package func fence(_ order: MemoryOrder, _ site: Site) {
    guard isExploring else { return }
    if effective(order, site) == .sequential || effective(order, site).releases { settle() }
    let me = current
    me.lastLoad = -1
    if order == .sequential {
      step(1, .update)
      note(.fence, order, at: site)
      guard effective(order, site) != .relaxed else { return }
      race(withAll: fences, me)
      fences.append(mark(me))
      me.past.join(fencePast)
      fencePast = me.past
      fenceFully(me)
      return
    }
    note(.fence, order, at: site)
    guard effective(order, site) != .relaxed else { return }
    if order.acquires { me.clock.join(me.pendingAcquire) }
    if order.releases { me.fenceRelease = me.clock }
  }

  private func fenceFully(_ thread: ModelThread) {
    thread.clock.join(thread.pendingAcquire)
    thread.clock.join(sequentialClock)
    sequentialClock.join(thread.clock)
    thread.fenceRelease = thread.clock
  }

  /// Every other thread executes a full fence where it is now; the caller does before and after.
  package func barrier(_ site: Site) {
    guard isExploring else { return }
    settle()
    if liberties.contains(.staggeredBarriers) {
      let others = active.filter { $0 !== current && $0.state != .finished }
      if others.count > 1 { return barrier(reaching: others, site) }
    }
    step(0, .other)
    let me = current
    note(.barrier, at: site)
    if isBounded {
      race(
        withAll: nodes[..<(depth - 1)].enumerated().map { place, node in
          StepMark(thread: Int(node.thread), index: node.past[Int(node.thread)], node: place)
        }, me)
    } else {
      for other in active where other !== me && other.index > me.past[other.number] { tryBefore(other.lastNode) }
    }
    for other in active { me.past.join(other.past) }
    // The others' fences are somewhere between the caller's two, in no order.
    fenceFully(me)
    let before = sequentialClock
    for other in active where other !== me {
      other.clock.join(other.pendingAcquire)
      other.clock.join(before)
      other.fenceRelease = other.clock
      sequentialClock.join(other.clock)
    }
    fenceFully(me)
    me.past[me.number] = me.index
    barriers.append(Barrier(mark: mark(me), past: me.past, reached: nil))
    me.barriersSeen = barriers.count
  }

  /// The same, where each of the others has its fence in a step of its own.
  ///
  /// The caller's two fences are in the first and the last of these steps: between its first one and that of another
  /// thread, and between that of another and its last one, it does nothing.
  private func barrier(reaching others: [ModelThread], _ site: Site) {
    let me = current
    var left = others
    var before = VectorClock.zero
    while !left.isEmpty {
      step(0, .other)
      let other = left.remove(at: choose(left.count))
      note(.barrier, at: site, text: "reaches \(other.name)")
      if isBounded {
        let steps = nodes[..<(depth - 1)].enumerated().filter { Int($0.element.thread) == other.number }
        race(
          withAll: steps.map { place, node in
            StepMark(thread: other.number, index: node.past[other.number], node: place)
          }, me)
      } else if other.index > me.past[other.number] {
        tryBefore(other.lastNode)
      }
      race(withAll: fences, me)
      fences.append(mark(me))
      me.past.join(other.past)
      me.past.join(fencePast)
      fencePast = me.past
      let isFirst = left.count + 1 == others.count
      if isFirst {
        fenceFully(me)
        before = sequentialClock
      }
      // Those that have ended get theirs at once.
      for reached in active
      where reached === other || isFirst && reached !== me && !others.contains(where: { $0 === reached }) {
        me.past.join(reached.past)
        reached.clock.join(reached.pendingAcquire)
        reached.clock.join(before)
        reached.fenceRelease = reached.clock
        sequentialClock.join(reached.clock)
      }
      me.past[me.number] = me.index
      barriers.append(Barrier(mark: mark(me), past: me.past, reached: other.number))
      me.barriersSeen = barriers.count
    }
    fenceFully(me)
  }
}

/// A membarrier that has been.
struct Barrier {
  let mark: StepMark
  let past: VectorClock
  /// The thread that it has reached; nil for all.
  let reached: Int?
}
