/// A file descriptor that several threads use and one of them sets or takes; -1 for none.
package struct SharedDescriptor: ~Copyable, Sendable {
  private let word: InlineWord

  package init(_ descriptor: Int32 = -1) { word = InlineWord(UInt64(UInt32(bitPattern: descriptor))) }

  private func decode(_ word: UInt64) -> Int32 { Int32(bitPattern: UInt32(truncatingIfNeeded: word)) }

  /// Acquire pairs with the release of `set`: whatever was found out about the descriptor before is seen.
  package var value: Int32 { decode(word.loadAcquire()) }

  package func set(_ descriptor: Int32) { word.storeRelease(UInt64(UInt32(bitPattern: descriptor))) }

  /// Leaves none behind. Acquire and release: exactly one caller gets it, and closes it after everybody's use.
  package func take() -> Int32 { decode(word.exchangeAcquireRelease(UInt64(UInt32.max))) }
}
