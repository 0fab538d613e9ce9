import PageCache
import Primitives
import SystemPackage

/// Files of one cache for a soak, half of them write-through and half write-back. They can be had before there is a cache, so that all that the soak itself
/// needs is there when the memory is first measured.
package final class SoakTarget: ExerciseTarget {
  let configuration: PageCache.Configuration
  let counts = SoakCounts()
  private let monitor = Monitor()
  // Guarded by `monitor`.
  nonisolated(unsafe) private var made: PageCache?
  nonisolated(unsafe) private var opened: [SoakFile] = []

  init(_ configuration: PageCache.Configuration) { self.configuration = configuration }

  package var name: String { "soak" }
  package var maximumAtomicLength: Int { configuration.maximumAtomicLength }
  package var atomicChanges: Set<ExerciseChange> { Set(ExerciseChange.allCases) }

  /// The cache, once there is one.
  var cache: PageCache? { monitor.withLock { unsafe made } }
  var files: [SoakFile] { monitor.withLock { unsafe opened } }

  package func open(_ path: FilePath) throws -> SoakFile {
    monitor.withLock {
      let file = unsafe SoakFile(path, durability: opened.count % 2 == 0 ? .writeBack : .writeThrough, counts: counts)
      unsafe opened.append(file)
      return file
    }
  }

  /// Makes the cache, and opens all files in it.
  func start() throws -> PageCache {
    let cache = try PageCache(configuration)
    monitor.withLock { unsafe made = cache }
    for file in files { try file.open(in: cache) }
    return cache
  }

  func drop() { monitor.withLock { unsafe made = nil } }
}
