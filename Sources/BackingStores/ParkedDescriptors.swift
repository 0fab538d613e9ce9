import Glibc
import Primitives

/// Descriptors that must not be closed yet, of the whole process.
///
/// close(2) of any descriptor of a file drops all POSIX locks that the process holds on the file, by whichever
/// descriptor they were set: a data base in the same process would lose its locks because somebody read its file. So
/// the descriptors of a file on which the process holds such locks are kept, until the next store that is closed finds
/// the locks gone.
///
/// A store that is opened meanwhile takes them instead of opening the file again. So there are never more of one file
/// than stores had it open at one time, and files are bounded by those that the process holds locks on.
final class ParkedDescriptors: Sendable {
  static let shared = ParkedDescriptors()

  struct Descriptor: Equatable {
    var rawValue: Int32
    /// The access mode and `O_DIRECT` that it was opened with. Nil if its open file description is somebody else's as
    /// well.
    var flags: Int32?
  }

  private let monitor = Monitor()
  // Guarded by `monitor`.
  private nonisolated(unsafe) var parked: [StoreIdentity: [Descriptor]] = [:]

  /// Whether there are any, of any file.
  var hasAny: Bool { monitor.withLock { unsafe !parked.isEmpty } }

  /// How many there are of a file.
  func count(of identity: StoreIdentity) -> Int { monitor.withLock { unsafe parked[identity]?.count ?? 0 } }

  /// Takes a descriptor of the file that was opened with these flags. The caller has seen to it that the process may
  /// open one.
  /// - Cost: one lock.
  func take(of identity: @autoclosure () -> StoreIdentity, flags: Int32) -> Int32? {
    monitor.withLock {
      guard unsafe !parked.isEmpty else { return nil }
      let identity = identity()
      guard let index = unsafe parked[identity]?.firstIndex(where: { $0.flags == flags }) else { return nil }
      let descriptor = unsafe parked[identity]?.remove(at: index)
      if unsafe parked[identity]?.isEmpty == true { unsafe parked[identity] = nil }
      return descriptor?.rawValue
    }
  }

  /// Closes all descriptors of a file that a store had, or parks them; and closes what was parked and need not be any
  /// more.
  ///
  /// A POSIX lock that another thread sets during the call may be lost, as it may be with any close(2).
  /// - Cost: close(2) for each and one fcntl(2), reading `/proc/locks` where others hold locks on the file, and one
  ///   fcntl(2) for each file of which descriptors are parked; one lock.
  func close(_ descriptors: [Descriptor], of identity: StoreIdentity, system: FileSystemCalls) {
    let free = monitor.withLock {
      unsafe parked[identity, default: []] += descriptors
      // With the lock held, so that nobody opens one of the files once more meanwhile: there would be more of it each
      // time.
      let free = unsafe parked.filter { _, descriptors in
        descriptors.first.map { !ProcessLocks.areHeld(on: $0.rawValue, system: system) } ?? true
      }
      for identity in free.keys { unsafe parked[identity] = nil }
      return free.values.joined()
    }
    // What was written by them has been flushed, or nobody was told that it is durable: an error of close(2) has
    // nothing to say.
    for descriptor in free { Glibc.close(descriptor.rawValue) }
  }
}
