#if RaceLaboratory
  import RaceLaboratory

  /// Runs one task on the stack of a thread of the model, which waits where the task is suspended.
  ///
  /// The runtime keeps the current task by thread of the system, and all threads of the model share one. So one thread
  /// of a program may run tasks, and no more.
  final class FiberExecutor: TaskExecutor, @unchecked Sendable {
    // Everything here happens on one thread of the system.
    private var jobs: [UnownedJob] = []
    private let waiting = ModelMutex()

    func enqueue(_ job: consuming ExecutorJob) {
      let site = Site(#fileID, #line)
      let job = UnownedJob(job)
      Explorer.shared.lock(waiting, site)
      jobs.append(job)
      Explorer.shared.wake(waiting, all: false, site)
      Explorer.shared.unlock(waiting, site)
    }

    private func next() -> UnownedJob {
      let site = Site(#fileID, #line)
      Explorer.shared.lock(waiting, site)
      while jobs.isEmpty { Explorer.shared.wait(waiting, isTimed: false, site) }
      let job = jobs.removeFirst()
      Explorer.shared.unlock(waiting, site)
      return job
    }

    private final class Box<Value>: @unchecked Sendable {
      var result: Result<Value, any Error>?
      let body: () async throws -> Value
      init(_ body: @escaping () async throws -> Value) { self.body = body }

      func run() async {
        do { result = .success(try await body()) } catch { result = .failure(error) }
      }
    }

    /// Runs a body to its end.
    static func run<Value>(_ body: @escaping () async throws -> Value) throws -> Value {
      let executor = FiberExecutor()
      let box = Box(body)
      Task(executorPreference: executor) { await box.run() }
      while true {
        unsafe executor.next().runSynchronously(on: executor.asUnownedTaskExecutor())
        if let result = box.result { return try result.get() }
      }
    }
  }
#endif
