import Primitives

/// Two files with one writer, whose changes are numbered in the order of their effects: so what the files held after each is known exactly.
///
/// Readers are not held up. They note which changes had ended before a read and which had begun when it was over; what they read must be the
/// state after one of these, or of the last that had ended.
@safe
final class StampedGroup<File: ExercisedFile>: @unchecked Sendable {
  let number: Int
  let files: [File]
  let phase: Int

  // The log: change v is at v % logLength. Written by the writer before `begun` says v, and again only when all readers are past it.
  private let log: UnsafeMutablePointer<StampedChange>
  private static var logLength: Int { 1 << 13 }
  /// The last change that had begun.
  private let begun = InlineWord(0)
  /// The last change that had ended.
  private let ended = InlineWord(0)
  /// For each reader, the change up to which it needs no log. A cache line each.
  private let positions: UnsafeMutableRawPointer
  private let readers: Int
  private let broken = SharedFlag()

  init(number: Int, files: [File], phase: Int, readers: Int) {
    self.number = number
    self.files = files
    self.phase = phase
    self.readers = readers
    unsafe log = .allocate(capacity: Self.logLength)
    unsafe log.initialize(repeating: .resize(file: 0, cells: 0), count: Self.logLength)
    unsafe positions = .allocate(byteCount: max(1, readers) * 64, alignment: 64)
    unsafe positions.initializeMemory(as: UInt8.self, repeating: 0, count: max(1, readers) * 64)
  }

  deinit {
    unsafe log.deallocate()
    unsafe positions.deallocate()
  }

  private func position(_ reader: Int) -> SharedWord { unsafe SharedWord(at: positions + reader * 64) }

  // MARK: The writer

  /// Announces a change. For the one writer.
  /// - Parameter version: one more than that of the last.
  /// - Returns: false if it was told to stop while it waited for a reader that is behind.
  func begin(_ change: StampedChange, version: UInt64, isStopped: () -> Bool) -> Bool {
    for reader in 0..<readers {
      // Acquire pairs with the release in `passed`: the reader has read what is overwritten.
      while position(reader).loadAcquire() + UInt64(Self.logLength) <= version {
        if isStopped() { return false }
        sleepNanoseconds(50_000)
      }
    }
    unsafe log[Int(version % UInt64(Self.logLength))] = change
    // Release pairs with the acquire in `newest`: whoever sees the number sees the change.
    begun.storeRelease(version)
    // Nothing of the change may be seen before its number: the fence pairs with the one in `newest`.
    sequentialFence()
    return true
  }

  /// Release pairs with the acquire in `oldest`: whoever sees the number sees what the change did.
  func end(version: UInt64) { ended.storeRelease(version) }

  /// A change was refused: what the files hold now is not known any more.
  func breakOff(version: UInt64) {
    broken.set()
    end(version: version)
  }

  // MARK: Readers

  var isBroken: Bool { broken.isSet }

  /// Before a read: the change that it must have seen.
  func oldest() -> UInt64 {
    let version = ended.loadAcquire()
    // The read does not begin before the number was taken.
    sequentialFence()
    return version
  }

  /// After a read: the last change that it may have seen.
  func newest() -> UInt64 {
    sequentialFence()
    return begun.loadAcquire()
  }

  /// The change to a version that has begun and that the reader has not passed.
  func change(_ version: UInt64) -> StampedChange { unsafe log[Int(version % UInt64(Self.logLength))] }

  /// The reader needs no change up to this any more.
  func passed(_ version: UInt64, reader: Int) { position(reader).storeRelease(version) }

  func waitUntilEnded(_ version: UInt64) {
    while ended.loadAcquire() < version { sleepNanoseconds(10_000) }
  }
}
