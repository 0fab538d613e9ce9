#if RaceLaboratory
  import CPrimitives
  import RaceLaboratory

  @usableFromInline package func acquireFence(file: StaticString = #fileID, line: UInt = #line) {
    Explorer.shared.fence(.acquire, Site(file, line))
  }

  @usableFromInline package func sequentialFence(file: StaticString = #fileID, line: UInt = #line) {
    Explorer.shared.fence(.sequential, Site(file, line))
  }

  /// Here it orders something only where a search lets stores be late.
  @usableFromInline package func compilerFence(file: StaticString = #fileID, line: UInt = #line) {
    Explorer.shared.compilerFence(Site(file, line))
  }

  /// Every other thread of the model executes a full fence where it is.
  @usableFromInline package func processFence(file: StaticString = #fileID, line: UInt = #line) -> Int32 {
    Explorer.shared.barrier(Site(file, line))
    return 0
  }

  /// The laboratory's time: it goes by with steps.
  @usableFromInline package func monotonicNanoseconds() -> UInt64 { Explorer.shared.time }

  /// Waits until somebody else has done something.
  @usableFromInline package func sleepNanoseconds(_ nanoseconds: Int, file: StaticString = #fileID, line: UInt = #line)
  {
    Explorer.shared.yield(Site(file, line))
  }

  @usableFromInline package func spinHint(file: StaticString = #fileID, line: UInt = #line) {
    Explorer.shared.yield(Site(file, line))
  }

  @usableFromInline package func racyCopy(
    to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int, file: StaticString = #fileID,
    line: UInt = #line
  ) {
    unsafe Explorer.shared.copy(to: destination, from: source, count: count, Site(file, line))
  }

  @usableFromInline package func racyStore(
    to destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int, file: StaticString = #fileID,
    line: UInt = #line
  ) {
    unsafe Explorer.shared.copy(to: destination, from: source, count: count, Site(file, line))
  }

  @usableFromInline package func racyZero(
    _ destination: UnsafeMutableRawPointer, count: Int, file: StaticString = #fileID, line: UInt = #line
  ) {
    unsafe Explorer.shared.zero(destination, count: count, Site(file, line))
  }

  @usableFromInline package func zeroBytes(
    _ destination: UnsafeMutableRawPointer, count: Int, file: StaticString = #fileID, line: UInt = #line
  ) {
    unsafe Explorer.shared.zero(destination, count: count, Site(file, line))
  }

  package final class SharedCounter: @unchecked Sendable {
    private let word = InlineWord(0)

    package init() {}

    package var value: Int { Int(bitPattern: UInt(word.loadRelaxed())) }
    @usableFromInline package func add(_ amount: Int) { _ = addReturningNew(amount) }
    @usableFromInline package func addReturningNew(_ amount: Int) -> Int {
      Int(bitPattern: UInt(word.fetchAddRelaxed(UInt64(UInt(bitPattern: amount))))) + amount
    }
  }

  /// There are no threads but the model's own: what could have one does without.
  package struct JoinableThread: ~Copyable, Sendable {
    package init?(name: String, _ body: @escaping @Sendable () -> Void) { return nil }
    package consuming func join() {}
    package consuming func detach() {}
  }

  @usableFromInline package func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    for index in 0..<count { body(index) }
  }

  @usableFromInline package func availableCores() -> Int { Int(pagecache_available_cores()) }
#endif
