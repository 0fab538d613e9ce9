import Glibc
import Primitives

/// What the random tests start from: `PAGECACHE_SEED` in the environment, else always the same.
package let testSeed: UInt64 = {
  guard let text = unsafe getenv("PAGECACHE_SEED") else { return 0x5EED_0001 }
  return unsafe UInt64(String(cString: text)) ?? 0x5EED_0001
}()

/// Whether a sanitizer slows everything down: tests still look for what is wrong, but not for how much was done.
package let isSanitized = unsafe getenv("PAGECACHE_SANITIZED") != nil

/// What went wrong on threads that the testing library does not know.
package final class Failures: Sendable {
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var messages: [String] = []

  package init() {}

  package func add(_ message: @autoclosure () -> String) {
    monitor.withLock {
      if unsafe messages.count < 5 { unsafe messages.append("\(message()) (PAGECACHE_SEED=\(testSeed))") }
    }
  }

  package func check(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { add(message()) }
  }

  package var all: [String] { monitor.withLock { unsafe messages } }
}

/// A word on the heap that a test's threads share.
package final class Word: Sendable {
  private let word: InlineWord
  package init(_ value: UInt64 = 0) { word = InlineWord(value) }
  package var value: UInt64 { word.loadAcquire() }
  package func set(_ value: UInt64) { word.storeRelease(value) }
  @discardableResult
  package func add(_ amount: UInt64) -> UInt64 { word.fetchAddRelaxed(amount) }
}

/// Looks every millisecond whether something has become true. False after ten seconds.
package func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  let start = monotonicNanoseconds()
  while try !condition() {
    if monotonicNanoseconds() - start > 10_000_000_000 { return false }
    sleepNanoseconds(1_000_000)
  }
  return true
}
