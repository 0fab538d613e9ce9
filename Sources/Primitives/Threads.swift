#if !RaceLaboratory
  import CPrimitives
  import Glibc

  /// A thread of our own that never migrates to somebody else's pool: io_uring requests and read-domain records belong to threads.
  @safe
  package struct JoinableThread: ~Copyable, @unchecked Sendable {
    private let handle: pthread_t

    private final class Body {
      let run: @Sendable () -> Void
      init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread. Returns nil when the system has no more to give.
    package init?(name: String, _ body: @escaping @Sendable () -> Void) {
      var handle = pthread_t()
      let shortName = String(name.prefix(15))
      let box = unsafe Unmanaged.passRetained(
        Body {
          unsafe pagecache_name_thread(shortName)
          body()
        })
      // Safe: the box is retained once for the new thread, which takes that count over.
      let result = unsafe pthread_create(&handle, nil, { unsafe runBoxedBody($0) }, box.toOpaque())
      guard result == 0 else {
        unsafe box.release()
        return nil
      }
      self.handle = handle
    }

    private static func take(_ context: UnsafeMutableRawPointer) -> Body {
      unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue()
    }

    fileprivate static func run(_ context: UnsafeMutableRawPointer) { unsafe take(context).run() }

    package consuming func join() { pthread_join(handle, nil) }

    /// Gives up waiting for it: the system frees the thread's stack when it exits.
    package consuming func detach() { pthread_detach(handle) }
  }

  private func runBoxedBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context = unsafe context { unsafe JoinableThread.run(context) }
    return nil
  }

  /// Runs the body on `count` threads of their own and returns when all are done. Throws nothing: a thread that cannot be started is
  /// run on the caller's.
  package func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    func start(_ index: Int) {
      guard index < count else { return }
      if let thread = JoinableThread(name: "worker-\(index)", { body(index) }) {
        start(index + 1)
        thread.join()
      } else {
        start(index + 1)
        body(index)
      }
    }
    start(0)
  }

  /// Cores that this process may run on.
  package func availableCores() -> Int { Int(pagecache_available_cores()) }
#endif
