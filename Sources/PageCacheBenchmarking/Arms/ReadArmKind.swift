/// The arms by name.
package enum ReadArmKind: String, CaseIterable, Sendable {
  case pread
  case mmap
  case cache
  case cacheBorrow = "cache-borrow"
  case cacheMany = "cache-many"
  case cacheRefcount = "cache-refcount"
  case cacheRefcountCompareExchange = "cache-refcount-cas"
  case cacheReadWriteLock = "cache-rwlock"

  /// Whether it reads through a cache of ours, and so is measured for each folio order.
  package var usesCache: Bool { self != .pread && self != .mmap }

  /// - Throws: `ListError` for a name that is none, or comes twice.
  package static func list(_ text: String) throws(ListError) -> [ReadArmKind] {
    try parseList(text) { word throws(ListError) in
      guard let kind = ReadArmKind(rawValue: word) else {
        throw ListError("'\(word)' is no arm: there are \(allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return kind
    }
  }
}
