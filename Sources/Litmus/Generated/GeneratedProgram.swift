#if RaceLaboratory
  import PageCache
  import RaceLaboratory

  /// A program spelled with the alphabet: `gen:back.cold/write+sync|read`. The features of the start stand before the
  /// slash, the letters of the threads behind it.
  struct GeneratedProgram: Hashable {
    var features: [String]
    /// Letters of each thread.
    var threads: [[String]]

    static let prefix = "gen:"

    var name: String {
      Self.prefix + features.joined(separator: ".") + "/"
        + threads.map { $0.joined(separator: "+") }.joined(separator: "|")
    }

    init(features: [String], threads: [[String]]) {
      // In one order, so that a program has one name.
      self.features = Feature.all.map(\.name).filter { features.contains($0) }
      self.threads = threads
    }

    /// Nil for what is no name of a program.
    init?(_ name: String) {
      guard name.hasPrefix(Self.prefix) else { return nil }
      let parts = name.dropFirst(Self.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      let features = parts[0].split(separator: ".").map(String.init)
      let threads = parts[1].split(separator: "|").map { $0.split(separator: "+").map(String.init) }
      guard features.allSatisfy({ Feature.named($0) != nil }), (1...4).contains(threads.count),
        threads.allSatisfy({ !$0.isEmpty && $0.allSatisfy { Letter.named($0) != nil } })
      else { return nil }
      self.init(features: features, threads: threads)
    }

    /// What the threads do. Each letter writes bytes of its own.
    func acts(size: Int) -> [[Act]] {
      threads.enumerated().map { thread, letters in
        letters.enumerated().flatMap { number, name in
          Letter.named(name)?.acts(Letter.Place(size: size, byte: UInt8(64 + thread * 8 + number))) ?? []
        }
      }
    }

    var start: Start {
      var start = Start()
      for name in features { Feature.named(name)?.apply(&start) }
      let all = start.before + acts(size: start.sizes[0]).joined()
      if all.contains(where: { $0.files.contains(1) }) {
        start.sizes.append(ModelStore.pageSize)
        start.cached.append([])
        start.holes.append([])
      }
      return start
    }

    /// - Parameter isTold: whether the trace is to tell of acts.
    func litmus(isTold: Bool) -> Litmus {
      let start = start
      let acts = acts(size: start.sizes[0])
      let names = ["one", "two", "three", "four"]
      return Litmus(name, "a generated program", bound: GeneratedSearch.bound, threads: threads.count) {
        let world = World(start, threads: acts.count)
        // Each store fails, and each handle is told.
        let failures = start.failures * start.sizes.count * (start.hasTwin ? 2 : 1)
        let history = History(threads: acts.count, failures: failures, isTold: isTold)
        history.begin(in: world)
        let verdict = Verdict()
        return Program(
          threads: acts.enumerated().map { thread, acts in
            guard thread == 0, start.isLent else { return (names[thread], { history.perform(acts, on: world) }) }
            return (
              names[thread],
              {
                do {
                  if try !world.lending({ history.perform(acts, on: world) }) {
                    verdict.complain("bytes that were lent have changed")
                  }
                } catch let error as CacheError {
                  // Another thread has closed the handle.
                  if case .closed = error.cause { return }
                  verdict.complain("nothing was lent: \(error)")
                } catch { verdict.complain("\(error)") }
              }
            )
          },
          check: { verdict.text ?? world.finish(history) })
      }
    }
  }

  /// How a generated program is searched: the same executions each time.
  enum GeneratedSearch {
    /// Preemptions in one execution, at most.
    static let bound = 2

    /// Every execution with few preemptions first, then with more, up to a number of executions. Where that has not
    /// come to its end, some more at random: a search that goes deep first stays in one place for long.
    static func explore(_ make: @escaping () -> Program, executions: Int, seconds: Double) -> RaceReport {
      let explorer = Explorer.shared
      var sum = RaceReport()
      func go(_ strategy: Strategy, _ share: Double) -> Bool {
        let left = Limits(
          executions: max(1, Int(Double(executions) * share)), seconds: max(0.001, seconds - sum.seconds))
        let report = explorer.explore(strategy, limits: left, make)
        sum.go(on: report)
        return report.failure != nil
      }
      for (preemptions, share) in [(0, 0.2), (1, 0.3), (bound, 0.3)]
      where go(.exhaustive(preemptions: preemptions), share) { return sum }
      if sum.isComplete { return sum }
      _ = go(.priorities(seed: 1, count: .max, depth: 3), 0.3)
      sum.isComplete = false
      return sum
    }
  }
#endif
