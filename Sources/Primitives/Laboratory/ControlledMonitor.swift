#if RaceLaboratory
  import RaceLaboratory

  /// As outside the laboratory, where who gets the lock, and when, is explored.
  public struct Monitor: ~Copyable, @unchecked Sendable {
    private let mutex = ModelMutex()

    package init() {}

    @usableFromInline
    package func lock(file: StaticString = #fileID, line: UInt = #line) {
      Explorer.shared.lock(mutex, Site(file, line))
    }

    package func tryLock(file: StaticString = #fileID, line: UInt = #line) -> Bool {
      Explorer.shared.tryLock(mutex, Site(file, line))
    }

    @usableFromInline
    package func unlock(file: StaticString = #fileID, line: UInt = #line) {
      Explorer.shared.unlock(mutex, Site(file, line))
    }

    package func wait(file: StaticString = #fileID, line: UInt = #line) {
      Explorer.shared.wait(mutex, isTimed: false, Site(file, line))
    }

    package func wait(nanoseconds: Int, file: StaticString = #fileID, line: UInt = #line) {
      Explorer.shared.wait(mutex, isTimed: true, Site(file, line))
    }

    package func signal(file: StaticString = #fileID, line: UInt = #line) {
      Explorer.shared.wake(mutex, all: false, Site(file, line))
    }

    package func broadcast(file: StaticString = #fileID, line: UInt = #line) {
      Explorer.shared.wake(mutex, all: true, Site(file, line))
    }

    @usableFromInline
    package func withLock<Result: ~Copyable, Failure: Error>(
      _ body: () throws(Failure) -> Result, file: StaticString = #fileID, line: UInt = #line
    ) throws(Failure) -> Result {
      lock(file: file, line: line)
      defer { unlock(file: file, line: line) }
      return try body()
    }
  }
#endif
