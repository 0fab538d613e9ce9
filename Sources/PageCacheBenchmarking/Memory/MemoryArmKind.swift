/// The ways of `bench memory` to read a file four times as large as what may be kept of it. Each has a process of its own.
package enum MemoryArmKind: String, CaseIterable, Codable, Sendable {
  /// The cache, its memory limit the one of the benchmark, misses past the kernel's cache.
  case cache
  /// pread(2), the kernel's page cache held to the limit by a control group.
  case pread
  /// A mapping, held in the same way.
  case mmap
  /// RocksDB's HyperClockCache with direct reads for what it lacks: another program.
  case peer = "hyperclock"

  /// Whether what it caches is the kernel's.
  var isOfKernel: Bool { self == .pread || self == .mmap }

  package static func list(_ text: String) throws(ListError) -> [MemoryArmKind] {
    try parseList(text) { word throws(ListError) in
      guard let found = MemoryArmKind(rawValue: word) else {
        throw ListError("'\(word)' is no arm: there are \(allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return found
    }
  }
}
