// Who goes on.
extension Explorer {
  /// A thread is about to do something that others could notice: whoever is chosen goes on, and this returns when it is the caller.
  /// - Parameters:
  ///   - object: what it touches.
  func step(_ object: UInt, _ kind: StepKind) {
    let me = current
    me.object = object
    me.kind = kind
    if let next = chooseThread(previous: me), next !== me { go(to: next) }
    begin(me)
  }

  /// Counts a step of the thread that has just been chosen.
  private func begin(_ me: ModelThread) {
    me.index += 1
    me.past[me.number] = me.index
    me.clock[me.number] &+= 1
    me.previousNode = me.lastNode
    me.lastNode = depth - 1
    if asleep != 0 { wakeSleepers(me) }
    if me.barriersSeen < barriers.count { seeBarriers(me) }
  }

  /// Whoever sleeps and depends on this step has something new to try.
  private func wakeSleepers(_ me: ModelThread) {
    for sleeper in active where asleep & 1 << UInt8(sleeper.number) != 0 && sleeper !== me {
      let depends: Bool
      switch (sleeper.kind, me.kind) {
      case (.alone, _), (_, .alone): depends = false
      case (.other, _), (_, .other): depends = true
      // A load that comes first can also come second, and return what it would have.
      case (_, .load): depends = false
      default: depends = sleeper.object == me.object
      }
      if depends { asleep &= ~(1 << UInt8(sleeper.number)) }
    }
  }

  /// Every step could have come before the barriers of others that came since the thread's last one.
  private func seeBarriers(_ me: ModelThread) {
    for number in me.barriersSeen..<barriers.count {
      let (mark, past) = (barriers[number].mark, barriers[number].past)
      if let reached = barriers[number].reached, reached != me.number { continue }
      if mark.thread != me.number, mark.index > me.past[mark.thread] { tryBefore(mark.node) }
      me.past.join(past)
    }
    me.barriersSeen = barriers.count
  }

  /// Gives the processor away: the thread waits for something that somebody else does.
  package func yield(_ site: Site) {
    guard isExploring else { return }
    settle()
    note(.yield, at: site)
    current.endRound(steps: active.reduce(into: .zero) { $0[$1.number] = $1.index })
    step(0, .alone)
    current.beginRound()
  }

  /// The first news of each thing that a spinning thread looked at in its last round.
  private func news(for thread: ModelThread) -> [Release] {
    thread.looks.compactMap { table.locations[Int($0)].news(for: thread.number).map { Release($0.mark.node, $0.past) } }
      + thread.lockLooks.compactMap { $0.releases < $0.mutex.releases.count ? $0.mutex.releases[$0.releases] : nil }
  }

  private func hasNews(_ thread: ModelThread) -> Bool {
    thread.looks.contains { table.locations[Int($0)].news(for: thread.number) != nil }
      || thread.lockLooks.contains { $0.releases < $0.mutex.releases.count }
  }

  /// Whether a spinning thread would go on again before one that does not spin, could go on, and has made no step in
  /// the whole of its last round. The news is then of threads that spin as well: two that look under one lock are news to
  /// each other, and would go on for ever without the one that both wait for.
  private func keepsOthersBack(_ thread: ModelThread) -> Bool {
    active.contains { $0 !== thread && !$0.isYielding && $0.canGoOn && thread.stepsAtLastRound[$0.number] == $0.index }
  }

  /// Whoever could not go on without news comes after the first of them. If there are others, or will be, one of those could have been the first.
  private func joinNews(_ thread: ModelThread) {
    let news = news(for: thread)
    guard let first = news.min(by: { $0.node < $1.node }), first.node >= 0 else { return }
    thread.past.join(first.past)
    if news.contains(where: { $0.node != first.node }) { tryAll(at: first.node) }
    let mark = StepMark(thread: thread.number, index: thread.index + 1, node: first.node)
    for place in thread.looks { table.locations[Int(place)].resumed.append(mark) }
    for look in thread.lockLooks { look.mutex.resumed.append(mark) }
  }

  /// The running thread has made news, too late for whoever went on because of others.
  func raceWithNews(_ resumed: [StepMark], _ me: ModelThread) {
    for mark in resumed where mark.thread != me.number && mark.index > me.past[mark.thread] { tryAll(at: mark.node) }
  }

  private func tryAll(at node: Int) {
    guard isSearching, !isRedundant else { return }
    nodes[node].wanted |= nodes[node].enabled
    // As in `addWish`.
    let start = Int(nodes[node].runStart)
    if start != node, preemptionBound != .max { nodes[start].wanted |= nodes[start].enabled }
  }

  /// Chooses who makes the next step; nil when all have ended.
  /// - Parameter previous: who made the last one, if it is still there.
  func chooseThread(previous: ModelThread?) -> ModelThread? {
    if depth > 0 { settleRaces() }
    // Who would go on, and who could: one that spins could as well, a few times.
    var willing: UInt8 = 0
    var enabled: UInt8 = 0
    var isAnyLeft = false
    for thread in active {
      if thread.state != .finished { isAnyLeft = true }
      guard thread.canGoOn else { continue }
      let isSpinning = thread.isYielding && (!hasNews(thread) || keepsOthersBack(thread))
      if !isSpinning { willing |= 1 << UInt8(thread.number) }
      if !isSpinning || thread.hasFreeRounds { enabled |= 1 << UInt8(thread.number) }
    }
    let isStuck = enabled == 0
    if isStuck {
      guard isAnyLeft else { return nil }
      // Who goes on then keeps the others from doing so, for all that is known: each is tried.
      enabled = wakeSomebody()
      asleep = 0
    }
    if willing == 0 { willing = enabled }
    if depth >= limits.steps { fail(.livelock, "no end after \(limits.steps) steps") }
    let goesOn = previous.map { !$0.isYielding && enabled & 1 << UInt8($0.number) != 0 } ?? false
    let before = depth > 0 ? nodes[depth - 1] : nil
    let preemptions = before?.preemptionsAfter ?? 0
    let number: Int
    if depth < known {
      number = Int(nodes[depth].thread)
      guard enabled & 1 << UInt8(number) != 0, !isSearching || nodes[depth].enabled == enabled else {
        fail(.laboratory, "step \(depth) does not repeat: the program does not do the same each time")
        return nil
      }
    } else {
      let isOpen = !isSearching || willing & ~asleep == 0
      number = pick(isOpen ? enabled : willing, previous: goesOn ? previous : nil)
      if depth < nodes.count { nodes.removeLast(nodes.count - depth) }
      nodes.append(
        PathNode(
          thread: Int8(number), enabled: enabled, wanted: reduces && !isStuck ? 0 : enabled,
          tried: 1 << UInt8(number), asleep: asleep, previous: Int8(previous?.number ?? -1),
          previousGoesOn: goesOn, preemptions: preemptions, runStart: Int32(depth)))
    }
    if let before, Int(before.thread) == number, goesOn {
      nodes[depth].runStart = before.runStart
    } else {
      nodes[depth].runStart = Int32(depth)
    }
    if usesSleep, !isStuck { asleep = (nodes[depth].asleep | nodes[depth].tried) & ~(1 << UInt8(number)) }
    depth += 1
    let chosen = threads[number]
    if chosen.isYielding {
      if !chosen.hasFreeRounds { joinNews(chosen) }
      chosen.isYielding = false
    }
    return chosen
  }

  /// Nobody can go on by himself: those who spin do, then those whose time is up.
  private func wakeSomebody() -> UInt8 {
    var enabled: UInt8 = 0
    for thread in active where thread.isYielding && thread.canGoOn {
      enabled |= 1 << UInt8(thread.number)
    }
    if enabled != 0 {
      fruitlessYields += 1
      if fruitlessYields > Explorer.mostFruitlessYields {
        fail(.livelock, "all that is left spins, and nothing changes")
      }
      return enabled
    }
    // Their time is up at one time.
    for thread in active where thread.state == .waitingForTime {
      thread.wantedLock?.waiting.removeAll { $0 === thread }
      thread.state = .ready
      if thread.canGoOn { enabled |= 1 << UInt8(thread.number) }
    }
    if enabled != 0 { return enabled }
    let stuck = active.filter { $0.state != .finished }.map { thread in
      "\(thread.name) " + (thread.state == .ready ? "wants a lock" : "waits for a signal")
    }
    fail(.deadlock, "nobody can go on: " + stuck.joined(separator: ", "))
    return 0
  }

  private static var mostFruitlessYields: Int { 1000 }

  // MARK: Choosing

  private func pick(_ enabled: UInt8, previous: ModelThread?) -> Int {
    switch strategy {
    case .exhaustive, .replay:
      let awake = enabled & ~asleep
      // All that could go on has been tried before: this execution brings nothing new, and is only brought to its end.
      if awake == 0 { isRedundant = true }
      if let previous, awake == 0 || awake & 1 << UInt8(previous.number) != 0 { return previous.number }
      return (awake == 0 ? enabled : awake).trailingZeroBitCount
    case .random:
      if let previous, draw(below: 5) > 0 { return previous.number }
      var left = draw(below: UInt64(enabled.nonzeroBitCount))
      var bits = enabled
      while left > 0 {
        bits &= bits - 1
        left -= 1
      }
      return bits.trailingZeroBitCount
    case .priorities:
      func highest() -> Int {
        (0..<8).filter { enabled & 1 << UInt8($0) != 0 }.max { priorities[$0] < priorities[$1] } ?? 0
      }
      let best = highest()
      guard changePoints.contains(depth) else { return best }
      priorities[best] = UInt64(changePoints.count) - UInt64(changePoints.filter { $0 >= depth }.count)
      return highest()
    }
  }

  func drawPriorities(depth: Int, length: Int) {
    priorities = (0..<8).map { _ in draw(below: 1 << 32) + 1000 }
    changePoints = Set((1..<max(2, depth)).map { _ in Int(draw(below: UInt64(length))) })
  }

  func draw(below bound: UInt64) -> UInt64 {
    random &+= 0x9E37_79B9_7F4A_7C15
    var word = random
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return (word ^ word >> 31).multipliedFullWidth(by: bound).high
  }

  /// Which of so many things a step does: of the stores that a load returns, the newest being number 0.
  /// - Parameter cost: of anything but number 0, as preemptions are counted.
  func choose(_ count: Int, cost: Int16 = 0) -> Int {
    guard count > 1 else { return 0 }
    if count >= Int(PathNode.early) { fail(.laboratory, "a load may return more than 254 stores") }
    let node = depth - 1
    nodes[node].choiceCost = cost
    if depth <= known {
      let choice = Int(nodes[node].choice)
      if choice >= count { fail(.laboratory, "step \(node) does not repeat: it had more stores to choose from") }
      nodes[node].choices = UInt8(count)
      return choice
    }
    if isRedundant { return 0 }
    var choice = 0
    if !isSearching { choice = draw(below: 3) > 0 ? 0 : Int(draw(below: UInt64(count))) }
    nodes[node].choices = UInt8(count)
    nodes[node].choice = UInt8(choice)
    return choice
  }

  // MARK: Going back

  /// Notes that the running thread's step must be tried before an earlier one, when all is known of the step.
  func tryBefore(_ node: Int) {
    if isSearching, node >= 0, !isRedundant { raced.append(node) }
  }

  /// What the last step has raced with.
  private func settleRaces() {
    let thread = Int(nodes[depth - 1].thread)
    if nodes[depth - 1].choice >= nodes[depth - 1].choices {
      fail(.laboratory, "step \(depth - 1) does not repeat: it has no stores to choose from")
    }
    nodes[depth - 1].past = threads[thread].past
    guard !raced.isEmpty else { return }
    for node in raced { if usesSleep { addSource(node) } else { addWish(node, thread) } }
    raced.removeAll(keepingCapacity: true)
  }

  private func addWish(_ node: Int, _ thread: Int) {
    add(1 << UInt8(thread), at: node)
    guard preemptionBound != .max else { return }
    // If there it costs a preemption, which may be one too many now or later, where the interrupted run began it may not.
    let start = Int(nodes[node].runStart)
    if start != node, nodes[node].cost(of: thread) > 0 { add(1 << UInt8(thread), at: start) }
  }

  private func add(_ bit: UInt8, at node: Int) {
    var wished = nodes[node].enabled & bit
    // It could not go on there: whoever can may make it possible.
    if wished == 0 { wished = nodes[node].enabled }
    nodes[node].wanted |= wished
  }

  /// Sees to it that the steps since a node that do not depend on the step there can come before it: one of those with which they can begin must be tried
  /// there (source sets: Abdulla et al., POPL 2014).
  private func addSource(_ node: Int) {
    let thread = Int(nodes[node].thread)
    let index = nodes[node].past[thread]
    var first = VectorClock.never
    var firstNode = SIMD8<Int32>(repeating: -1)
    for later in node + 1..<depth where nodes[later].past[thread] < index {
      let other = Int(nodes[later].thread)
      if first[other] == .max {
        first[other] = nodes[later].past[other]
        firstNode[other] = Int32(later)
      }
    }
    var initials: UInt8 = 0
    for other in active.indices where first[other] != .max {
      var past = nodes[Int(firstNode[other])].past
      past[other] = 0
      if !any(past .>= first) { initials |= 1 << UInt8(other) }
    }
    let there = nodes[node].wanted | nodes[node].tried | nodes[node].asleep
    guard initials & there == 0 else { return }
    let last = nodes[depth - 1].thread
    let bit: UInt8 = initials & 1 << UInt8(last) != 0 ? 1 << UInt8(last) : initials & (~initials &+ 1)
    add(bit, at: node)
  }

  /// Makes the path of the next execution; false when there is none.
  func chooseNext() -> Bool {
    while let last = nodes.indices.last {
      if nodes[last].choice + 1 < nodes[last].choices,
        nodes[last].preemptions + nodes[last].cost(of: Int(nodes[last].thread)) + nodes[last].choiceCost
          <= preemptionBound
      {
        nodes[last].choice += 1
        known = nodes.count
        return true
      }
      if nodes[last].behind != nil, !nodes[last].isEarly,
        nodes[last].preemptions + nodes[last].cost(of: Int(nodes[last].thread)) < preemptionBound
      {
        nodes[last].isEarly = true
        nodes[last].choice = 0
        nodes[last].choices = 1
        known = nodes.count
        return true
      }
      var left = nodes[last].wanted & ~nodes[last].tried & ~nodes[last].asleep
      while left != 0 {
        let thread = left.trailingZeroBitCount
        left &= left - 1
        nodes[last].tried |= 1 << UInt8(thread)
        guard nodes[last].preemptions + nodes[last].cost(of: thread) <= preemptionBound else { continue }
        nodes[last].thread = Int8(thread)
        nodes[last].choice = 0
        nodes[last].choices = 1
        nodes[last].choiceCost = 0
        nodes[last].isEarly = false
        nodes[last].behind = nil
        known = nodes.count
        return true
      }
      nodes.removeLast()
    }
    return false
  }
}
