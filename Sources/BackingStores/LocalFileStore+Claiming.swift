import Glibc
internal import SystemPackage

extension LocalFileStore {
  /// What was claimed, and by which descriptor.
  struct Claim {
    var isForWriting: Bool
    var descriptor: Int32
    /// A child that was forked has the open file description as well, but not the claim.
    var process: Int32
  }

  /// Claims the file by a lock of the open file description over all of it (`F_OFD_SETLK`): shared for reading,
  /// exclusive for writing.
  ///
  /// It keeps out other claims, of this process too, and whoever asks for POSIX locks or such ones: nobody who does not
  /// ask. It is held until `close`. A claim that is refused leaves what was claimed before.
  ///
  /// A file system without locks grants every claim for reading, and none for writing. A store that could not open its
  /// descriptor again claims nothing, as its locks would be the caller's.
  /// - Parameter forWriting: Also prepares for writing, with the errors of that.
  /// - Throws: `StoreError` of the operation `claim`: `.claimed`, with the process if it is a POSIX lock that is in the
  ///   way, `.unsupported`, ...
  /// - Cost: one to three system calls, one more for a refusal; one lock.
  public func claim(forWriting: Bool) throws(StoreError) {
    if forWriting { try prepareToWrite() }
    try changingDescriptors.withLock { () throws(StoreError) in
      guard primary.value >= 0 else { throw failure(.claim, .system(.badFileDescriptor)) }
      guard !isShared else { return }
      if forWriting { try claimForWriting() } else { try claimForReading() }
    }
  }

  /// Expects `changingDescriptors` held.
  private func claimForReading() throws(StoreError) {
    guard unsafe claimed == nil else { return }
    let descriptor = primary.value
    switch system.lock(descriptor, Int32(F_RDLCK)) {
    case nil: unsafe claimed = Claim(isForWriting: false, descriptor: descriptor, process: getpid())
    case .some(let errno):
      if Self.isConflict(errno) { throw conflict(descriptor, Int32(F_RDLCK)) }
    }
  }

  /// Expects `changingDescriptors` held.
  private func claimForWriting() throws(StoreError) {
    if let claimed = unsafe claimed, claimed.isForWriting { return }
    let descriptor = writing.value
    if let reading = unsafe claimed, reading.descriptor != descriptor {
      // Two descriptions of ours are in each other's way, but not with shared locks: first the claim moves over, so
      // that there is no moment without one. From there on the kernel makes it exclusive, or leaves it as it is.
      if let errno = system.lock(descriptor, Int32(F_RDLCK)) { throw failure(.claim, .ofOptional(errno)) }
      _ = system.lock(reading.descriptor, Int32(F_UNLCK))
      unsafe claimed = Claim(isForWriting: false, descriptor: descriptor, process: getpid())
    }
    if let errno = system.lock(descriptor, Int32(F_WRLCK)) {
      if Self.isConflict(errno) { throw conflict(descriptor, Int32(F_WRLCK)) }
      throw failure(.claim, errno == .invalidArgument || errno == .noLocks ? .unsupported : .ofOptional(errno))
    }
    unsafe claimed = Claim(isForWriting: true, descriptor: descriptor, process: getpid())
  }

  /// Expects `changingDescriptors` held.
  ///
  /// Not left to close(2): a child that was forked may have the open file description still, and with it the lock.
  func releaseClaim() {
    guard let claim = unsafe claimed else { return }
    unsafe claimed = nil
    if claim.process == getpid() { _ = system.lock(claim.descriptor, Int32(F_UNLCK)) }
  }

  private static func isConflict(_ errno: Errno) -> Bool {
    errno == .resourceTemporarilyUnavailable || errno == .permissionDenied
  }

  private func conflict(_ descriptor: Int32, _ type: Int32) -> StoreError {
    // The holder may have let go meanwhile, and others than POSIX locks have none.
    var process: Int32?
    if case .success(let holder) = system.conflictingLock(descriptor, type), holder > 0 { process = holder }
    return failure(.claim, .claimed(byProcess: process))
  }
}
