#if RaceLaboratory
  import FoundationEssentials
  import Glibc
  import RaceLaboratory

  /// Runs this program again with other arguments, in several processes at a time: a mutant may trap, or run out of
  /// its stack.
  struct ProcessPool {
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

    /// What is left of a process.
    struct Ended {
      let output: Data
      /// As waitpid(2) has it.
      let status: Int32

      /// Nil if it has ended as it should.
      var failure: JobResult? {
        if status == 0 { return nil }
        let signal = status & 0x7F
        // What was stopped from outside, by its own alarm or for want of memory, has shown nothing.
        let isTrap = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV, SIGFPE].contains(signal)
        return JobResult(
          kind: isTrap ? "trap" : RaceFailure.Kind.laboratory.rawValue,
          message: signal == 0
            ? "the search ended with status \(status >> 8)" : "\(isTrap ? "trapped" : "stopped"): signal \(signal)")
      }
    }

    /// Runs jobs, as many at a time as there may be.
    /// - Parameters:
    ///   - next: the next job and its arguments, or nil if there is none now: asked again when one has ended.
    ///   - done: called with what is left of each, here.
    func run<Job>(next: () throws -> (job: Job, arguments: [String])?, done: (Job, Ended) throws -> Void) throws {
      var running: [pid_t: Job] = [:]
      while true {
        while running.count < parallel, let (job, arguments) = try next() { running[try start(arguments)] = job }
        if running.isEmpty { return }
        var status: Int32 = 0
        let child = unsafe waitpid(-1, &status, 0)
        guard child > 0 else {
          if errno == EINTR { continue }
          throw RunningError("waitpid failed: errno \(errno)")
        }
        guard let job = running.removeValue(forKey: child) else { continue }
        let file = output(child)
        defer { unsafe unlink(file) }
        try done(job, Ended(output: (try? Data(contentsOf: URL(filePath: file))) ?? Data(), status: status))
      }
    }

    private func output(_ child: pid_t) -> String { "\(directory)/\(child)" }

    private func start(_ arguments: [String]) throws -> pid_t {
      let words = ["/proc/self/exe"] + arguments
      var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
      defer { unsafe arguments.forEach { unsafe free($0) } }
      var actions = unsafe posix_spawn_file_actions_t()
      unsafe posix_spawn_file_actions_init(&actions)
      defer { unsafe posix_spawn_file_actions_destroy(&actions) }
      let name = "\(directory)/next"
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
      unsafe rename(name, output(child))
      return child
    }

    func cleanUp() { unsafe rmdir(directory) }
  }
#endif
