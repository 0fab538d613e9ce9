import Glibc
import Primitives
import SystemPackage

/// What a process that will be killed has done to its index: memory that it shares with the process that kills it.
///
/// ```
///  word 0   1       2   3   4...     + slots   + slots    + slots
///  state    syncs   -   -   begun    returned  synced, of two syncs that take turns
/// ```
///
/// Each word is written by one thread.
@safe
package final class OrderedAccount: @unchecked Sendable {
  enum State: UInt64 {
    case starting, running, refused
  }

  private static let headWords = 4
  private static let byteCount = (headWords + 4 * OrderedFiles.slots) * 8

  private let base: UnsafeMutableRawPointer

  /// Opens it, or makes it, with nothing done.
  init(_ path: FilePath) throws {
    let descriptor = unsafe path.withPlatformString { unsafe open($0, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
    guard descriptor >= 0 else { throw ExerciseError("open \(path)", errno: errno) }
    defer { close(descriptor) }
    guard ftruncate(descriptor, off_t(OrderedAccount.byteCount)) == 0 else {
      throw ExerciseError("ftruncate \(path)", errno: errno)
    }
    let mapped = unsafe mmap(nil, OrderedAccount.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
      throw ExerciseError("mmap \(path)", errno: errno)
    }
    unsafe base = mapped
  }

  deinit { unsafe munmap(base, OrderedAccount.byteCount) }

  private func word(_ number: Int) -> SharedWord {
    // Safe: the number is one of the words that are mapped.
    unsafe SharedWord(at: base + number * 8)
  }

  private func word(_ table: Int, slot: Int) -> SharedWord {
    word(OrderedAccount.headWords + table * OrderedFiles.slots + slot)
  }

  var state: State {
    get { State(rawValue: word(0).loadAcquire()) ?? .starting }
    set { word(0).storeRelease(newValue.rawValue) }
  }

  /// Syncs that have returned.
  var syncs: UInt64 { word(1).loadAcquire() }

  // MARK: Writers

  func begin(slot: Int) -> UInt64 {
    let count = word(0, slot: slot).loadRelaxed() + 1
    word(0, slot: slot).storeRelaxed(count)
    return count
  }

  /// Release pairs with the acquire of the thread that syncs: the write has returned before its sync begins.
  func end(slot: Int, count: UInt64) { word(1, slot: slot).storeRelease(count) }

  // MARK: The thread that syncs

  /// Notes what has returned before a sync begins.
  func beginSync() {
    let table = 2 + Int(syncs + 1) % 2
    for slot in 0..<OrderedFiles.slots { word(table, slot: slot).storeRelaxed(word(1, slot: slot).loadAcquire()) }
  }

  func endSync() { word(1).storeRelease(syncs + 1) }

  // MARK: Afterwards

  /// The last transaction of a slot that has begun.
  func begun(slot: Int) -> UInt64 { word(0, slot: slot).loadAcquire() }
  /// The last that has returned.
  func returned(slot: Int) -> UInt64 { word(1, slot: slot).loadAcquire() }
  /// The last that had returned when the last sync began that has returned.
  func synced(slot: Int) -> UInt64 { syncs == 0 ? 0 : word(2 + Int(syncs) % 2, slot: slot).loadAcquire() }
}
