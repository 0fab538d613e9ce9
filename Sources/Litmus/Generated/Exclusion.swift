#if RaceLaboratory
  /// Programs that are not explored, and why.
  struct Exclusion: Sendable {
    let reason: String
    let applies: @Sendable (GeneratedProgram) -> Bool

    /// The first reason against a program; nil if it can be judged.
    static func of(_ program: GeneratedProgram) -> Exclusion? { all.first { $0.applies(program) } }

    static let all: [Exclusion] = [
      Exclusion(reason: "a message needs a thread that sends it and another that waits for it") { program in
        let senders = program.threads.indices.filter { program.threads[$0].contains("send") }
        let receivers = program.threads.indices.filter { program.threads[$0].contains("receive") }
        if senders.isEmpty, receivers.isEmpty { return false }
        return senders.isEmpty || receivers.isEmpty || senders == receivers
      },
      Exclusion(reason: "nothing comes before the message, or nothing behind it") { program in
        program.threads.contains { $0.first == "send" || $0.last == "receive" }
      },
      Exclusion(reason: "no thread changes a file, a store or the cache: every outcome is right") { program in
        let start = program.start
        return program.acts(size: start.sizes[0]).joined().allSatisfy(\.onlyReads) && start.failures == 0
          && start.cached.allSatisfy { $0 == nil } && !start.isLent
      },
      Exclusion(reason: "the first file has no second page to be a hole") { program in
        program.features.contains("holeSecond") && program.start.sizes[0] <= ModelStore.pageSize
      },
      Exclusion(reason: "the runtime knows one task at a time on the one thread of the system that there is") {
        program in
        program.threads.count { $0.contains { $0.hasPrefix("async") } } > 1
      },
      Exclusion(reason: "what was written before the last close of a file is not held: a flush that fails may lose it")
      {
        program in
        program.threads.joined().contains { $0.hasPrefix("cycle") }
          && program.features.contains { $0 == "badFlush" || $0 == "badSecondFlush" }
      },
      Exclusion(reason: "the loan itself may be refused") {
        $0.features.contains("lent") && ($0.features.contains("badRead") || $0.features.contains("badSecondRead"))
      },
    ]
  }
#endif
