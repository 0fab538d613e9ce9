// Locks, and waiting. Nothing here is in C11's model: a lock's holder sees all that its last holder did.
extension Explorer {
  package func lock(_ mutex: ModelMutex, _ site: Site) {
    guard isExploring else {
      if !mutex.isFree { giveUp("a deadlock outside the execution") }
      mutex.owner = -2
      return
    }
    settle()
    mutex.enter(execution: execution)
    let me = current
    me.wantedLock = mutex
    step(mutex.name, .update)
    take(mutex, me, site)
  }

  private func take(_ mutex: ModelMutex, _ me: ModelThread, _ site: Site, isTry: Bool = false) {
    me.wantedLock = nil
    // Who wants it cannot have it before it is let go. Who tries can try; and with a bound it may pay to be there, and wait.
    race(withAll: mutex.steps, me) { isTry || isBounded || $0 != .release }
    mutex.steps.append(mark(me))
    mutex.owner = me.number
    me.past.join(mutex.past)
    mutex.past = me.past
    me.clock.join(mutex.released)
    note(.lock, .acquire, address: mutex.name, at: site)
  }

  package func tryLock(_ mutex: ModelMutex, _ site: Site) -> Bool {
    guard isExploring else {
      guard mutex.isFree else { return false }
      mutex.owner = -2
      return true
    }
    settle()
    mutex.enter(execution: execution)
    let me = current
    step(mutex.name, .update)
    if mutex.isFree {
      take(mutex, me, site, isTry: true)
      return true
    }
    race(withAll: mutex.steps, me)
    mutex.failedTries.append(mark(me))
    mutex.steps.append(mark(me, .readOfNewest))
    me.look(at: mutex)
    me.past.join(mutex.past)
    note(.tryLock, address: mutex.name, at: site)
    return false
  }

  package func unlock(_ mutex: ModelMutex, _ site: Site) {
    guard isExploring else {
      mutex.owner = -1
      return
    }
    settle()
    let me = current
    if mutex.owner != me.number { fail(.check, "\(me.name) gives up a lock that it has not got") }
    step(mutex.name, .update)
    note(.unlock, .release, address: mutex.name, at: site)
    release(mutex, me)
  }

  private func release(_ mutex: ModelMutex, _ me: ModelThread) {
    // Who tried it when somebody had it could have tried it when nobody had; and the other way round.
    race(withAll: mutex.failedTries, me)
    for attempt in mutex.failedTries { me.past[attempt.thread] = max(me.past[attempt.thread], attempt.index) }
    mutex.failedTries.removeAll(keepingCapacity: true)
    raceWithNews(mutex.resumed, me)
    mutex.steps.append(mark(me, .release))
    mutex.owner = -1
    mutex.releases.append(Release(depth - 1, me.past))
    me.look(at: mutex)
    mutex.released = me.clock
    mutex.past = me.past
    fruitlessYields = 0
  }

  /// Gives the lock up until a signal.
  /// - Parameter isTimed: not for ever: when nobody else can go on, its time is up.
  package func wait(_ mutex: ModelMutex, isTimed: Bool, _ site: Site) {
    guard isExploring else {
      if isTimed { return }
      giveUp("a deadlock outside the execution")
    }
    settle()
    let me = current
    // A signal that comes between these two steps is for this thread already.
    touchQueue(of: mutex, me)
    note(.wait, address: mutex.name, at: site)
    mutex.waiting.append(me)
    step(mutex.name, .update)
    release(mutex, me)
    if mutex.waiting.contains(where: { $0 === me }), !wakesIdly(mutex, me, site) {
      me.state = isTimed ? .waitingForTime : .waiting
    }
    me.wantedLock = mutex
    step(mutex.name, .update)
    take(mutex, me, site)
  }

  /// Whether the wait that begins with this step ends without a signal: some time after it, when the thread is chosen.
  private func wakesIdly(_ mutex: ModelMutex, _ me: ModelThread, _ site: Site) -> Bool {
    guard liberties.contains(.idleWakeUps), me.idleWakeUps < Liberties.most, choose(2, cost: 1) == 1 else {
      return false
    }
    me.idleWakeUps += 1
    note(.note, at: site, text: "will wake for no reason")
    mutex.waiting.removeAll { $0 === me }
    // A signal that came before this step would have been for this thread.
    race(withAll: mutex.queueSteps, me)
    mutex.queueSteps.append(mark(me))
    me.past.join(mutex.queuePast)
    mutex.queuePast = me.past
    for sleeper in active where sleeper.object == mutex.name + 1 { asleep &= ~(1 << UInt8(sleeper.number)) }
    return true
  }

  /// A step that depends on who waits, or changes it.
  private func touchQueue(of mutex: ModelMutex, _ me: ModelThread) {
    step(mutex.name + 1, .update)
    race(withAll: mutex.queueSteps, me)
    mutex.queueSteps.append(mark(me))
    me.past.join(mutex.queuePast)
    mutex.queuePast = me.past
  }

  package func wake(_ mutex: ModelMutex, all: Bool, _ site: Site) {
    guard isExploring else { return }
    settle()
    mutex.enter(execution: execution)
    touchQueue(of: mutex, current)
    guard !mutex.waiting.isEmpty else { return }
    note(.wake, address: mutex.name, at: site)
    // The kernel promises no order: any of them, and who came first is tried first.
    let woken = all ? mutex.waiting : [mutex.waiting[choose(mutex.waiting.count)]]
    mutex.waiting.removeAll { waiter in woken.contains { $0 === waiter } }
    for thread in woken {
      thread.state = .ready
      thread.past.join(current.past)
    }
    fruitlessYields = 0
  }

  /// A call that takes effect at one instant, and that others can notice: of a store.
  package func call(_ text: @autoclosure () -> String, _ object: ModelMutex, _ site: Site) {
    guard isExploring else { return }
    settle()
    object.enter(execution: execution)
    step(object.name, .update)
    let me = current
    race(withAll: object.steps, me)
    object.steps.append(mark(me))
    me.past.join(object.past)
    object.past = me.past
    note(.call, address: object.name, at: site, text: text())
    raceWithNews(object.resumed, me)
    object.releases.append(Release(depth - 1, me.past))
    me.look(at: object)
    fruitlessYields = 0
  }
}

extension ModelMutex {
  /// For the trace.
  var name: UInt { unsafe UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()) }
}
