import BackingStores
import Primitives

extension CachedFile {
  /// Forgets what is cached, because somebody else may have changed the store; and takes the size that the store has now. With `.external` ownership, this is how
  /// the cache is told; with `.exclusive`, how a change that was reported is accepted.
  ///
  /// What is dirty is given to the store first, and made durable. To the caller's protocol with the others it must not come as a surprise: see to it
  /// that nothing is dirty when others may write. A handle for reading will do.
  /// - Parameter range: what may have changed; nil for all of the file, and its size.
  /// - Throws: `CacheError` with cause `.badRange`, `.closed`, `.forkedChild`, `.store`, `.impossibleSize`.
  /// - Cost: of all of the file, a grace period; a write-back and a flush if anything is owed; one or two calls of the store, a step for each cached folio.
  public func invalidate(_ range: Range<Int64>? = nil) throws(CacheError) {
    let file = try file(.invalidate, range)
    if let range {
      guard range.lowerBound >= 0 else { throw error(.invalidate, range, .badRange(range)) }
      guard !range.isEmpty else { return }
    }
    let pages =
      range.map { file.foliosAround(file.pages(offset: UInt64($0.lowerBound), count: UInt64($0.count))) }
      ?? file.pages(from: 0)
    try file.withStructure(pages, shortens: range == nil, operation: .invalidate, range: range) {
      () throws(CacheError) -> Void? in
      guard try file.settle(pages, operation: .invalidate, range: range ?? 0..<file.length) else { return nil }
      var status: StoreStatus
      do throws(StoreError) {
        status = try file.store.status()
        // A hole at the end that the store does not have yet is the file's all the same. Not if the store has become shorter behind our back.
        let (known, length) = file.index.withLock { unsafe (file.storeState.size, file.length) }
        if range == nil, status.size == known, known < length {
          try file.extendStore()
          status = try file.store.status()
        }
      } catch {
        throw self.error(.invalidate, range, .store(error))
      }
      guard status.size >= 0, status.size <= PageCache.maximumFileSize else {
        throw error(.invalidate, range, .impossibleSize(status.size))
      }
      let accepted = status
      try file.reshape(
        FileChange(
          operation: .invalidate, range: range ?? 0..<0, content: .unknown,
          length: range == nil ? .exactly(accepted.size) : .unchanged, pages: pages)
      ) { () throws(CacheError) in
        file.index.withLock {
          if range == nil { unsafe file.storeState.accept(accepted) }
          // What others have written, nobody here has flushed.
          unsafe file.durability.forgetWhatIsDurable()
        }
      }
      return ()
    }
  }
}
