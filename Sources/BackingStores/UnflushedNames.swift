import Glibc
import Primitives
package import SystemPackage

/// Names of files that opening has made and that no flush has covered yet, of the whole process.
///
/// A name is in its directory's blocks, not in the file's: fsync(2) of the file promises nothing about it, and after a
/// power cut a file without a name is no file. So the first flush of a file that was made flushes its directory, too.
///
/// What is owed belongs to the file and not to the store that made it. That store may be closed before the first flush,
/// or the cache may keep it aside and flush another store of the same file (D12).
///
/// An entry has the directory's path and no descriptor of it: a file that is never flushed would keep the descriptor
/// for as long as the process lives. The path may lead to another directory by the time of the flush. So the directory
/// that is found there is flushed only if it has the file under its name; otherwise the whole file system is
/// (syncfs(2)).
package final class UnflushedNames: Sendable {
  package static let shared = UnflushedNames(limit: 4096)

  private struct Entry {
    /// Inode numbers are used again: a file with the same number and another stamp is another file.
    var created: StoreStatus.ChangeStamp?
    var directory: FilePath
    var name: FilePath.Component
    /// Which entry it is: another one may take its place while it is flushed.
    var number: UInt64

    /// Whether it is of a file with this stamp, as far as the file system tells.
    func isOf(_ other: StoreStatus.ChangeStamp?) -> Bool { created == other || created == nil || other == nil }
  }

  private struct Making {
    /// Of the directory.
    var realm: String
    /// In a child that was forked meanwhile the thread that makes the file does not go on.
    var process: Int32
  }

  /// The process must not keep more: a program may make files for ever and flush none.
  private let limit: Int
  private let monitor = Monitor()
  // Guarded by `monitor`.
  private nonisolated(unsafe) var entries: [StoreIdentity: Entry] = [:]
  /// File systems, by realm, of which entries were dropped because there were too many: the next flush of any of their
  /// files flushes all of them. No more than the system has had devices.
  private nonisolated(unsafe) var crowded: [String: UInt64] = [:]
  /// Files that are being made, by number. No more than threads.
  private nonisolated(unsafe) var making: [UInt64: Making] = [:]
  private nonisolated(unsafe) var lastNumber: UInt64 = 0
  private nonisolated(unsafe) var waiters = 0
  /// Whether there is any of these: entries, crowded file systems, files that are being made. Changed with the lock
  /// held; most flushes find none, and take no lock.
  private let isAny = InlineWord(0)

  package init(limit: Int) { self.limit = limit }

  /// How many names wait for a flush.
  package var count: Int { monitor.withLock { unsafe entries.count } }

  /// How many flushes wait for a file that is being made.
  package var waitingCount: Int { monitor.withLock { unsafe waiters } }

  // MARK: Making files

  /// Runs a body that makes a file and adds its name. Flushes of files on the same device wait for its end:
  ///
  ///     T1  makes the file
  ///     T2  opens it by its path, writes, flushes, and finds no entry
  ///     T1  adds the entry
  ///
  /// T2 would say that the file is durable, and its name would not be. Files on other devices do not wait: a file
  /// system that hangs holds up its own files only.
  /// - Parameter realm: of the directory. Nil if that is not known: then nothing waits.
  package func whileMaking<Result, Failure: Error>(
    in realm: String?, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let realm else { return try body() }
    let number = monitor.withLock { () -> UInt64 in
      unsafe lastNumber += 1
      unsafe making[lastNumber] = Making(realm: realm, process: getpid())
      noteIfAny()
      return unsafe lastNumber
    }
    defer {
      monitor.withLock {
        unsafe making[number] = nil
        noteIfAny()
        monitor.broadcast()
      }
    }
    return try body()
  }

  /// Adds the name of a file that was just made.
  /// - Parameter path: absolute, or nothing keeps it from leading elsewhere; then the file system is flushed.
  package func add(_ path: FilePath, of identity: StoreIdentity, created: StoreStatus.ChangeStamp?) {
    guard let name = path.lastComponent else { return }
    monitor.withLock {
      unsafe lastNumber += 1
      if unsafe entries.count >= limit, unsafe entries[identity] == nil { makeRoom() }
      unsafe entries[identity] = Entry(
        created: created, directory: path.removingLastComponent(), name: name, number: lastNumber)
      noteIfAny()
    }
  }

  /// Forgets the names of the file system that has the oldest one, and notes that all of that has to be flushed.
  /// Expects the lock held.
  private func makeRoom() {
    guard let oldest = unsafe entries.min(by: { $0.value.number < $1.value.number }) else { return }
    let realm = oldest.key.realm
    unsafe crowded[realm] = lastNumber
    unsafe entries = entries.filter { $0.key.realm != realm }
  }

  // MARK: Flushing

  /// Makes durable the name of a file, if opening made it and no flush has covered it since.
  /// - Parameter file: a descriptor of the file.
  /// - Cost: a load, if no name in the process waits for a flush; otherwise a lock; for a name that is not durable yet,
  ///   six system calls and a flush.
  package func flush(
    _ identity: StoreIdentity, created: StoreStatus.ChangeStamp?, by file: Int32, system: FileSystemCalls
  ) -> Errno? {
    // T1 makes a file. T2 opens it by its path, and flushes it. T1 has noted it before the file was there, so T2, which
    // has found the file, finds it noted: the kernel has published the name in between. Acquire pairs with
    // the release of `noteIfAny`: a thread that finds nothing left to flush comes after the flush that took it away.
    guard isAny.loadAcquire() != 0 else { return nil }
    let (entry, crowd) = monitor.withLock { () -> (Entry?, UInt64?) in
      awaitMaking(identity, created)
      return unsafe (entries[identity], crowded[identity.realm])
    }
    if let crowd {
      if let errno = system.flushFileSystem(file) { return errno }
      // What was added since then, and dropped, is not covered.
      monitor.withLock {
        if unsafe crowded[identity.realm] == crowd { unsafe crowded[identity.realm] = nil }
        noteIfAny()
      }
    } else if let entry, entry.isOf(created) {
      if let errno = Self.flush(entry.name, in: entry.directory, of: identity, by: file, system: system) {
        return errno
      }
    }
    if let entry { forget(identity, entry.number) }
    return nil
  }

  /// Waits for files that are being made now, unless it is known that the file is one of those that were. Expects the
  /// lock held, and lets go of it while it waits. Files that are begun later are not waited for: there may always be
  /// one.
  private func awaitMaking(_ identity: StoreIdentity, _ created: StoreStatus.ChangeStamp?) {
    let last = unsafe lastNumber
    func isWaiting() -> Bool {
      // What an earlier file with the same number has left says nothing.
      if let entry = unsafe entries[identity], entry.isOf(created) { return false }
      guard unsafe !making.isEmpty else { return false }
      let process = getpid()
      return unsafe making.contains {
        $0.key <= last && $0.value.realm == identity.realm && $0.value.process == process
      }
    }
    while isWaiting() {
      unsafe waiters += 1
      monitor.wait()
      unsafe waiters -= 1
    }
  }

  private func forget(_ identity: StoreIdentity, _ number: UInt64) {
    monitor.withLock {
      if unsafe entries[identity]?.number == number { unsafe entries[identity] = nil }
      noteIfAny()
    }
  }

  /// Expects the lock held.
  private func noteIfAny() {
    let isAny = unsafe !entries.isEmpty || !crowded.isEmpty || !making.isEmpty
    self.isAny.storeRelease(isAny ? 1 : 0)
  }

  /// Forgets the name of a file that has none any more. Called when a store is closed, so that temporary files leave
  /// nothing.
  package func forgetIfNameless(_ identity: StoreIdentity, by file: Int32, system: FileSystemCalls) {
    let number = monitor.withLock { unsafe entries[identity]?.number }
    if let number, system.linkCount(file) == 0 { forget(identity, number) }
  }

  /// Makes a name durable: flushes the directory if the path leads to it, and the whole file system if it does not.
  /// - Parameter file: a descriptor of the file.
  static func flush(
    _ name: FilePath.Component, in directory: FilePath, of identity: StoreIdentity, by file: Int32,
    system: FileSystemCalls
  ) -> Errno? {
    // Nothing has to be durable of a file that has no name any more.
    if system.linkCount(file) == 0 { return nil }
    // A directory that may be written to and not read cannot be opened.
    if case .success(let descriptor) = system.open(
      directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    {
      let opened = OwnedDescriptor(descriptor)
      if has(opened.rawValue, name, identity, system) {
        let errno = system.flush(opened.rawValue, false)
        // Some file systems flush no directories.
        if errno != .invalidArgument { return errno }
      }
    }
    return system.flushFileSystem(file)
  }

  /// Whether a directory has a file under a name. By the directory's descriptor, so that it is this one that is
  /// flushed.
  private static func has(
    _ directory: Int32, _ name: FilePath.Component, _ identity: StoreIdentity, _ system: FileSystemCalls
  ) -> Bool {
    guard case .success(let descriptor) = system.openEntry(directory, FilePath(root: nil, [name])) else { return false }
    let entry = OwnedDescriptor(descriptor)
    guard case .success(let status) = system.status(entry.rawValue) else { return false }
    return LocalFileStore.identity(of: status) == identity
  }
}
