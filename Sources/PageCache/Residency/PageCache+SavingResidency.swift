import PageIndex
public import SystemPackage

/// What a residency file says, in numbers.
public struct SavedResidency: Sendable, Equatable {
  /// Open files of which something was cached.
  public var files: Int
  /// Runs of neighbours that are equally hot.
  public var runs: Int
  /// Bytes that were cached, in whole pages.
  public var residentBytes: Int64
  /// Bytes that the file has.
  public var byteCount: Int
}

extension PageCache {
  /// Writes to a file which bytes of the open files are cached, and how hot they are; not the bytes. After a restart, `restoreResidency` reads them again
  /// before they are missed.
  ///
  /// Before the files are closed, and if the program may be killed, now and then: it is a moment's picture, and reads, writes and evictions go on meanwhile.
  /// What the path led to is replaced at once: whoever opens it, at any time and after a power cut, finds all of the old file or all of the new one. While
  /// it is written, a file beside it has a name that ends in `.new`.
  /// - Parameter path: where to, outside of the cache. A symbolic link there is replaced, not followed.
  /// - Returns: what was saved.
  /// - Throws: `CacheError` with cause `.store`: no such directory, no permission, no space; then what the path led to is as it was. `.forkedChild`.
  /// - Cost: a step for each cached folio, of a thousand in a read section; a lock for the list of files; nine system calls, two of them flushes. Memory
  ///   for three words and three bytes of each run. Hits pay nothing.
  @discardableResult
  public func saveResidency(to path: FilePath) throws(CacheError) -> SavedResidency {
    func refusal(_ cause: CacheError.Cause) -> CacheError {
      CacheError(operation: .saveResidency, file: path.string, cause: cause)
    }
    guard !engine.isInForkedChild else { throw refusal(.forkedChild) }
    let image = engine.residencyImage()
    let bytes = image.encoded()
    do throws(StoreError) { try WholeFile.replace(path, with: bytes) } catch { throw refusal(.store(error)) }
    return SavedResidency(
      files: image.files.count, runs: image.runCount, residentBytes: Int64(image.pageCount << UInt64(image.pageShift)),
      byteCount: bytes.count)
  }
}

extension Engine {
  /// What is cached now.
  func residencyImage() -> ResidencyImage {
    var image = ResidencyImage(pageShift: pool.frameShift)
    for file in openFiles.sorted(by: { $0.number < $1.number }) {
      var saved = ResidencyImage.File(
        name: file.name, identity: file.identity, creationStamp: file.creationStamp, size: file.length)
      file.noteResidency(in: &saved)
      if !saved.runs.isEmpty { image.files.append(saved) }
    }
    return image
  }
}

extension FileCore {
  fileprivate func noteResidency(in saved: inout ResidencyImage.File) {
    let pool = pool
    let end = pageCount(saved.size)
    var page: UInt64 = 0
    var isDone = false
    while !isDone {
      // A section for a thousand folios at a time, so that no grace period waits for all of a large file.
      domain.read {
        for _ in 0..<1000 {
          guard page < end, let found = index.next(from: page, through: end - 1) else {
            isDone = true
            return
          }
          let first = max(page, found.page)
          page = found.lastPage + 1
          guard found.entry.isFolio else { continue }
          // In no queue: reclaim is looking at it just now.
          let queue = pool.queues.queue(of: found.entry.headFrame(shift: pool.frameShift))
          let isProven = queue.map { engine.policy.isProven(in: $0) } ?? false
          saved.append(
            from: first, through: min(found.lastPage, end - 1),
            heat: .init(isProven: isProven, isAccessed: found.entry.isAccessed))
        }
      }
    }
  }
}
