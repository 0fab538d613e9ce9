// Locks, and waiting. Nothing here is in C11's model: a lock's holder sees all that its last holder did.
extension Explorer {
  package func lock(_ mutex: ModelMutex, _ site: Site) {
    guard isExploring else {
      if !mutex.isFree { fatalError("a deadlock outside the execution") }
      mutex.owner = -2
      return
    }
    mutex.enter(execution: execution)
    let me = current
    me.wantedLock = mutex
    step(mutex.name, .update)
    take(mutex, me, site)
  }

  private func take(_ mutex: ModelMutex, _ me: ModelThread, _ site: Site) {
    me.wantedLock = nil
    race(with: mutex.lastLock, me)
    for attempt in mutex.failedTries { race(with: attempt, me) }
    mutex.owner = me.number
    mutex.lastLock = ReadMark(thread: me.number, index: me.index, node: depth - 1)
    me.past.join(mutex.past)
    me.clock.join(mutex.released)
    note(.lock, .acquire, address: mutex.name, at: site)
  }

  package func tryLock(_ mutex: ModelMutex, _ site: Site) -> Bool {
    guard isExploring else {
      guard mutex.isFree else { return false }
      mutex.owner = -2
      return true
    }
    mutex.enter(execution: execution)
    let me = current
    step(mutex.name, .update)
    race(with: mutex.lastLock, me)
    if mutex.isFree {
      // Between two steps of its last holder this could have come while he had it, which then makes no difference but that it fails.
      let last = mutex.lastLock
      let couldFail = last.thread >= 0 && last.thread != me.number && last.index > me.past[last.thread]
      if choose(couldFail ? 2 : 1) == 0 {
        take(mutex, me, site)
        return true
      }
      note(.tryLock, address: mutex.name, at: site)
      return false
    }
    mutex.failedTries.append(ReadMark(thread: me.number, index: me.index, node: depth - 1))
    note(.tryLock, address: mutex.name, at: site)
    return false
  }

  package func unlock(_ mutex: ModelMutex, _ site: Site) {
    guard isExploring else {
      mutex.owner = -1
      return
    }
    let me = current
    if mutex.owner != me.number { fail(.check, "\(me.name) gives up a lock that it has not got") }
    note(.unlock, .release, address: mutex.name, at: site)
    release(mutex, me)
  }

  private func release(_ mutex: ModelMutex, _ me: ModelThread) {
    for attempt in mutex.failedTries { race(with: attempt, me) }
    mutex.failedTries.removeAll(keepingCapacity: true)
    mutex.owner = -1
    mutex.released = me.clock
    mutex.past = me.past
    progress()
  }

  /// Gives the lock up until a signal.
  /// - Parameter isTimed: not for ever: when nobody else can go on, its time is up.
  package func wait(_ mutex: ModelMutex, isTimed: Bool, _ site: Site) {
    guard isExploring else {
      if isTimed { return }
      fatalError("a deadlock outside the execution")
    }
    let me = current
    note(.wait, address: mutex.name, at: site)
    release(mutex, me)
    me.state = isTimed ? .waitingForTime : .waiting
    me.wantedLock = mutex
    mutex.waiting.append(me)
    step(mutex.name, .update)
    take(mutex, me, site)
  }

  package func wake(_ mutex: ModelMutex, all: Bool, _ site: Site) {
    guard isExploring else { return }
    mutex.enter(execution: execution)
    guard !mutex.waiting.isEmpty else { return }
    note(.wake, address: mutex.name, at: site)
    let woken = all ? mutex.waiting : [mutex.waiting[0]]
    mutex.waiting.removeFirst(woken.count)
    for thread in woken { thread.state = .ready }
    progress()
  }

  /// A call that takes effect at one instant, and that others can notice: of a store.
  package func call(_ text: @autoclosure () -> String, _ object: ModelMutex, _ site: Site) {
    guard isExploring else { return }
    object.enter(execution: execution)
    step(object.name, .update)
    let me = current
    race(with: object.lastLock, me)
    object.lastLock = ReadMark(thread: me.number, index: me.index, node: depth - 1)
    me.past.join(object.past)
    object.past = me.past
    note(.call, address: object.name, at: site, text: text())
    progress()
  }
}

extension ModelMutex {
  /// For the trace.
  var name: UInt { unsafe UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()) }
}
