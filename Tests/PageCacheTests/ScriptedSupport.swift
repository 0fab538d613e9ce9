import BackingStores
import PageCache
import Testing

/// Bytes that are all the same: a page, unless it is said how many.
func filled(_ byte: UInt8, _ count: Int = 4096) -> [UInt8] { [UInt8](repeating: byte, count: count) }

/// Expects bytes, and says where the first one is that differs.
func expectBytes(
  _ bytes: [UInt8], _ expected: [UInt8], _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  guard bytes != expected else { return }
  let place = zip(bytes, expected).enumerated().first { $1.0 != $1.1 }?.offset
  let what = place.map { "byte \($0) is \(bytes[$0]) and not \(expected[$0])" } ?? "the bytes that both have are equal"
  Issue.record(
    "\(comment): \(bytes.count) bytes, \(expected.count) expected; \(what)", sourceLocation: sourceLocation)
}

extension ScriptedStore {
  /// A handle for writing.
  func open(in cache: PageCache, _ durability: PageCache.Durability = .writeThrough) throws -> CachedFile {
    try cache.open(store: self, .readWrite(durability: durability))
  }

  /// Another handle of the file, which is open already.
  func openAgain(in cache: PageCache, _ durability: PageCache.Durability = .writeThrough) throws -> CachedFile {
    try cache.open(store: MemoryStore(bytes: [], identity: identity), .readWrite(durability: durability))
  }
}
