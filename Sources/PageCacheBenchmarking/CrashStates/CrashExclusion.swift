/// Why nothing more is said of a history: what the cache does not promise, or what cannot be told from outside.
package enum CrashExclusion: String, Sendable, CaseIterable {
  case beforeLastClose, fromOutside, refusedInvalidation, tooManyOrders

  package var reason: String {
    switch self {
    case .beforeLastClose:
      "a flush has lost what was written before the last close and was not synced: no cache has it to write it again"
    case .fromOutside: "a flush has lost what another program wrote: the cache never had it"
    case .refusedInvalidation:
      "another program has written, and the call that tells the cache was refused: what it shows is not known"
    case .tooManyOrders: "more orders of the calls could explain what was seen than are looked at"
    }
  }
}

/// A fault of the stores that must be found, so that it is known that faults are.
package enum CrashPlant: Sendable {
  case none
  /// A flush says that it has succeeded, and has done nothing.
  case idleFlushes
  /// A write says that it has succeeded, and has done nothing.
  case idleWrites
  /// Bytes are written one page too far up.
  case misplacedWrites
}
