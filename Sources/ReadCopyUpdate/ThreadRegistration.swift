import CPrimitives
import Glibc
import Primitives

/// What has to happen once in a process, and once in a thread, before read sections work.
enum ThreadRegistration {
  /// Whether membarrier(2) lets readers do without a fence. Where it is missing (old kernels, some sandboxes), readers take one.
  static let membarrierWorks: Bool = pagecache_membarrier_register() == 0 && pagecache_membarrier() == 0

  /// How many forks lie between the first process and this one. Arenas are not inherited, so a cache of another generation may not be used.
  private static let forks: SharedWord = {
    let word = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
    unsafe word.initializeMemory(as: UInt8.self, repeating: 0, count: 128)
    return unsafe SharedWord(at: word)
  }()

  static var generation: UInt64 { forks.loadRelaxed() }

  /// Gives a thread's records back when it ends; forgets them in a forked child.
  private static let exitKey: pthread_key_t = {
    var key = pthread_key_t()
    // Safe: the destructor runs on the ending thread, whose records are its own until it gives them back.
    unsafe pthread_key_create(&key) { _ in ThreadRegistration.releaseAllRecords() }
    // The word exists before the handler can run: a lazy initialiser could deadlock in the child.
    forks.storeRelaxed(0)
    pthread_atfork(nil, nil) { ThreadRegistration.becomeForkedChild() }
    return key
  }()

  /// Makes the process-wide arrangements. Called when a domain is made, so that a fork is noticed from then on.
  static func prepareProcess() {
    _ = exitKey
    _ = membarrierWorks
  }

  /// Arranges for `releaseAllRecords` at the end of the calling thread.
  static func watchThreadExit() {
    // Any value but nil makes the destructor run.
    unsafe pthread_setspecific(exitKey, UnsafeRawPointer(bitPattern: 1))
  }

  private static func releaseAllRecords() {
    for slot in 0..<Int(PAGECACHE_DOMAIN_LIMIT) { releaseRecord(slot) }
  }

  /// Gives back the record that the calling thread has in a domain, if it has one.
  static func releaseRecord(_ slot: Int) {
    guard let base = unsafe pagecache_thread_record(slot) else { return }
    pagecache_set_thread_record(slot, nil, 0)
    let record = unsafe ThreadRecord(base: base)
    assert(!record.isInside, "a thread ended inside a read section")
    // Release pairs with the acquire of the next owner's claim.
    record.owned.storeRelease(0)
  }

  private static func becomeForkedChild() {
    forks.addAsOnlyWriter(1)
    // The registration belongs to the address space, and this is a new one.
    _ = pagecache_membarrier_register()
    // Without records the next read leaves the hit path, and the slow path finds the mark above. Nothing is given back: the
    // list, and any lock on it, belong to the parent.
    for slot in 0..<Int(PAGECACHE_DOMAIN_LIMIT) { pagecache_set_thread_record(slot, nil, 0) }
  }
}

/// Grows by one in a child made by fork(2) once a read domain has existed. What was made under another number cannot be used.
package func forkGeneration() -> UInt64 { ThreadRegistration.generation }
