import PageCache
import Primitives

/// What a soak does.
package enum SoakOperation: String, Sendable, CaseIterable {
  case read, write, append, resize, allocate, clone, copy, exchange, sync, flush, invalidate, reopen
  case punchHole = "punch hole"
  case zeroRange = "zero range"
  case collapseRange = "collapse range"
  case insertRange = "insert range"
  case readBlocks = "read of blocks"
  case lendBlocks = "loan of blocks"
  case writeBlock = "write of a block"
  case punchBlock = "hole for a block"
  case changeLimit = "change of the limit"
  case saveResidency = "residency saved"
  case restoreResidency = "residency restored"
}

/// How often each of them was done, and what went wrong. By many threads.
package final class SoakCounts: Sendable {
  private let done: [SharedCounter] = SoakOperation.allCases.map { _ in SharedCounter() }
  private let byPlace: [SoakOperation: Int] = Dictionary(
    uniqueKeysWithValues: SoakOperation.allCases.enumerated().map { ($1, $0) })
  private let monitor = Monitor()
  package init() {}

  // Guarded by `monitor`.
  nonisolated(unsafe) private var errors: [String: Int] = [:]
  nonisolated(unsafe) private var details: [String] = []

  func count(_ operation: SoakOperation) { if let place = byPlace[operation] { done[place].add(1) } }

  /// Counts a refusal by its cause.
  func note(_ error: any Error) {
    let cause =
      (error as? CacheError).map { "\($0.operation.rawValue): \(Self.name(of: $0.cause))" } ?? "\(type(of: error))"
    monitor.withLock {
      unsafe errors[cause, default: 0] += 1
      if unsafe details.count < 5 { unsafe details.append("\(error)") }
    }
  }

  /// The cause without what it says besides.
  private static func name(of cause: CacheError.Cause) -> String {
    String("\(Mirror(reflecting: cause).children.first?.label ?? "\(cause)")")
  }

  var operations: [(SoakOperation, Int)] {
    zip(SoakOperation.allCases, done).map { ($0, $1.value) }.filter { $0.1 > 0 }
  }
  var refusals: [(String, Int)] { monitor.withLock { unsafe errors.sorted { $0.key < $1.key } } }
  var firstRefusals: [String] { monitor.withLock { unsafe details } }
}
