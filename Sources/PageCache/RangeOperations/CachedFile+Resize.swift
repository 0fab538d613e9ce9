import Primitives

extension CachedFile {
  /// Changes the file's size, at one instant (P1). What is beyond a smaller size is gone; what a larger one adds reads as zero and takes no memory (P8).
  ///
  /// Done to the store at once, also with `.writeBack`; durable with the next `sync`.
  /// - Parameter size: bytes; not negative.
  /// - Throws: `CacheError` with cause `.negativeSize`, `.sizeTooLarge`, `.readOnly`, `.closed`, `.forkedChild`, `.noFrames`, or `.store` if the store refuses: then nothing
  ///   has changed.
  /// - Cost: a call of the store and a few locks; to shorten the file also a grace period, a wait for reads that were overtaken, a step for each cached folio
  ///   that goes, and a frame and a read of the store if its last page is cut and not cached. Reads that hit take a slower way meanwhile.
  /// - Note: Why a file is shortened through a gate is argued on the page on changing files; the objection is from the kernel's thread on fast short reads.
  public func resize(to size: Int64) throws(CacheError) {
    let file = try writableFile(.resize)
    guard size >= 0 else { throw error(.resize, nil, .negativeSize(size)) }
    guard size <= file.maximumSize else { throw error(.resize, nil, .sizeTooLarge(size, most: file.maximumSize)) }
    while try !file.resize(to: size) {}
  }
}

extension FileCore {
  /// Resizes, if the file is still as long as it was when this looked; false if not.
  func resize(to size: Int64) throws(CacheError) -> Bool {
    let before = length
    let shortens = size < before
    let range = min(size, before)..<max(size, before)
    return try withStructure(
      pages(from: min(size, before)), shortens: shortens, operation: .resize, range: range
    ) { () throws(CacheError) in
      guard length == before else { return false }
      if shortens, try !writeBackEdges(of: size..<size, operation: .resize) { return nil }
      try reshape(
        FileChange(
          operation: .resize, range: range, content: shortens ? .zeros(becomesHole: false) : .none,
          length: .exactly(size))
      ) { [self] () throws(CacheError) in
        try changeStore(.resize, range, size: { _ in size }, claimsEnd: true) {
          () throws(StoreError) in try store.resize(to: size)
        }
      }
      return true
    }
  }
}
