import BackingStores
import Folios
import PageIndex
import Primitives
import ReadCopyUpdate

/// A part of a file that takes part in an operation on two of them.
struct FilePart {
  let file: FileCore
  let range: Range<Int64>
  let mode: RangeTable.Mode
  /// The length from which on everything is claimed, so that nobody else makes the file longer meanwhile; nil if the operation does not.
  var growsFrom: Int64?

  var pages: ClosedRange<UInt64> {
    file.foliosAround(file.pages(offset: UInt64(range.lowerBound), count: UInt64(range.count)))
  }

  var claimed: ClosedRange<UInt64> {
    growsFrom.map { file.foliosAround(file.pages(from: min($0, range.lowerBound))) } ?? pages
  }
}

extension FileCore {
  /// Runs a body with parts of two files claimed: in order of the files' numbers, so that two such operations cannot wait for each other. Of one file,
  /// everything from the first part to the last is claimed at once.
  /// - Parameter body: nil to let go of everything, make durable what the parts hold back, and try again.
  static func withClaims<Result>(
    _ one: FilePart, _ other: FilePart, operation: CacheError.Operation, _ body: () throws(CacheError) -> Result?
  ) throws(CacheError) -> Result {
    try tryingAgain(unlessHeld: [one, other].map { ($0.file, $0.claimed) }) { () throws(CacheError) in
      try withClaimsOnce(one, other, operation: operation, body)
    }
  }

  private static func withClaimsOnce<Result>(
    _ one: FilePart, _ other: FilePart, operation: CacheError.Operation, _ body: () throws(CacheError) -> Result?
  ) throws(CacheError) -> Result? {
    let engine = one.file.engine
    let frames = engine.configuration.framesOfOneCall
    engine.budget.reserve(frames)
    defer { engine.budget.giveBack(frames) }
    var claims: [(FileCore, RangeClaim)] = []
    defer { for (file, claim) in claims.reversed() { file.letGo(claim) } }
    if one.file === other.file {
      let (first, second) = (one.claimed, other.claimed)
      let all = min(first.lowerBound, second.lowerBound)...max(first.upperBound, second.upperBound)
      claims.append((one.file, one.file.claim(all, .changingStore)))
    } else {
      for part in [one, other].sorted(by: { $0.file.number < $1.file.number }) {
        claims.append((part.file, part.file.claim(part.claimed, part.mode)))
      }
    }
    for part in [one, other] where part.file.index.withLock({ unsafe part.file.isClosing }) {
      throw part.file.error(operation, part.range, .closed)
    }
    return try body()
  }

  /// Copies bytes of the file as they are, without keeping them: what is cached from there, the rest from the store. The caller has claimed the pages, so that
  /// nobody changes them.
  /// - Parameter range: not past the end of the file.
  func copyClaimed(
    _ range: Range<Int64>, into memory: UnsafeMutableRawBufferPointer, operation: CacheError.Operation
  ) throws(CacheError) {
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: frameByteCount, alignment: 4096)
    defer { unsafe page.deallocate() }
    // Safe: neither is empty.
    let pageStart = unsafe page.baseAddress.unsafelyUnwrapped
    var position = range.lowerBound
    while position < range.upperBound {
      let number = UInt64(position) >> frameShift
      let pageOffset = Int64(number << frameShift)
      let end = min(range.upperBound, pageOffset + Int64(frameByteCount))
      let destination = unsafe memory.baseAddress.unsafelyUnwrapped + Int(position - range.lowerBound)
      let within = Int(position - pageOffset)
      if unsafe !copyCached(number, within..<Int(end - pageOffset), to: destination) {
        try unsafe readPage(number, into: pageStart, operation: operation)
        unsafe destination.copyMemory(from: pageStart + within, byteCount: Int(end - position))
      }
      position = end
    }
  }

  /// Copies a part of a page, if it is cached or in a hole. The claim keeps the bytes as they are, and the read section keeps a folio that is evicted meanwhile
  /// from being somebody else's.
  private func copyCached(_ page: UInt64, _ part: Range<Int>, to destination: UnsafeMutableRawPointer) -> Bool {
    engine.domain.read {
      guard let location = index.locate(page) else { return false }
      if location.entry.isHole {
        unsafe Primitives.zeroBytes(destination, count: part.count)
        return true
      }
      guard location.entry.isStable else { return false }
      let within = Int((page & (1 << location.shift - 1)) << frameShift) + part.lowerBound
      unsafe racyCopy(to: destination, from: address(of: location.entry) + within, count: part.count)
      return true
    }
  }
}
