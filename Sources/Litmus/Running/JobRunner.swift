#if RaceLaboratory
  import FoundationEssentials
  import Glibc
  import RaceLaboratory

  /// Runs searches in processes of their own, several at a time: a mutant may trap, or run out of its stack.
  struct JobRunner {
    let parallel: Int
    let directory: String

    init(parallel: Int) throws {
      self.parallel = parallel
      var template = Array("/tmp/litmus.XXXXXX".utf8CString)
      guard let made = unsafe template.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) }) else {
        throw RunningError("no directory for results: errno \(errno)")
      }
      directory = unsafe String(cString: made)
    }

    struct RunningError: Error, CustomStringConvertible {
      let description: String
      init(_ description: String) { self.description = description }
    }

    /// Runs jobs, as many at a time as there may be.
    /// - Parameters:
    ///   - next: the next job, or nil if there is none now: asked again when one has ended.
    ///   - done: called with each result, here.
    func run(next: () -> Job?, done: (Job, JobResult) -> Void) throws {
      var running: [pid_t: Job] = [:]
      while true {
        while running.count < parallel, let job = next() { running[try start(job)] = job }
        if running.isEmpty { return }
        var status: Int32 = 0
        let child = unsafe waitpid(-1, &status, 0)
        guard child > 0 else {
          if errno == EINTR { continue }
          throw RunningError("waitpid failed: errno \(errno)")
        }
        if let job = running.removeValue(forKey: child) { done(job, result(of: child, status)) }
      }
    }

    func run(_ jobs: [Job], done: (Job, JobResult) -> Void) throws {
      var left = Array(jobs.reversed())
      try run(next: { left.popLast() }, done: done)
    }

    private func output(_ child: String) -> String { "\(directory)/\(child)" }

    private func start(_ job: Job) throws -> pid_t {
      let words = ["/proc/self/exe", "explore"] + job.arguments
      var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
      defer { unsafe arguments.forEach { unsafe free($0) } }
      var actions = unsafe posix_spawn_file_actions_t()
      unsafe posix_spawn_file_actions_init(&actions)
      defer { unsafe posix_spawn_file_actions_destroy(&actions) }
      let name = output("next")
      unsafe posix_spawn_file_actions_addopen(&actions, 1, name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
      // A trap says so at length.
      unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
      var child: pid_t = 0
      // A set's order must not differ from one execution to the next, nor a symbolic trace take seconds.
      unsafe setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
      unsafe setenv("SWIFT_BACKTRACE", "enable=no", 1)
      let error = unsafe posix_spawn(&child, words[0], &actions, nil, &arguments, environ)
      guard error == 0 else { throw RunningError("posix_spawn failed: errno \(error)") }
      // The child opens its file by this name before it is another program, and posix_spawn returns after that.
      unsafe rename(name, output("\(child)"))
      return child
    }

    private func result(of child: pid_t, _ status: Int32) -> JobResult {
      let file = output("\(child)")
      defer { unsafe unlink(file) }
      if status != 0 {
        let signal = status & 0x7F
        // Whoever was stopped from outside, by its own alarm or for want of memory, has shown nothing.
        let isTrap = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV, SIGFPE].contains(signal)
        return JobResult(
          kind: isTrap ? "trap" : RaceFailure.Kind.laboratory.rawValue,
          message: signal == 0
            ? "the search ended with status \(status >> 8)" : "\(isTrap ? "trapped" : "stopped"): signal \(signal)")
      }
      guard let text = try? Data(contentsOf: URL(filePath: file)),
        let result = try? JSONDecoder().decode(JobResult.self, from: text)
      else { return JobResult(kind: "laboratory", message: "the search has written no result") }
      return result
    }

    func cleanUp() { unsafe rmdir(directory) }
  }
#endif
