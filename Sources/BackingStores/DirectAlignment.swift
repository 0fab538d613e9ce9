/// Bytes of which addresses, and of which offsets and lengths, must be multiples.
struct DirectAlignment: Equatable {
  var memory: Int
  var offset: Int

  /// The smallest frame, of which every cache's requests are multiples.
  static let frame = DirectAlignment(memory: 4096, offset: 4096)

  /// Whether requests in whole frames keep it.
  var suitsFrames: Bool {
    Self.frame.memory.isMultiple(of: memory) && Self.frame.offset.isMultiple(of: offset)
  }

  /// What a read that stopped can go on at a multiple of. Both are divisors of a frame, so powers of two.
  var unit: Int { max(memory, offset) }

  func allows(_ request: StoreReadRequest) -> Bool {
    guard request.offset.isMultiple(of: Int64(offset)) else { return false }
    return unsafe request.segments.allSatisfy(isAligned)
  }

  func allows(_ start: Int64, _ segment: UnsafeMutableRawBufferPointer) -> Bool {
    unsafe start >= 0 && start <= Int64.max - Int64(segment.count) && start.isMultiple(of: Int64(offset))
      && isAligned(segment)
  }

  private func isAligned(_ segment: UnsafeMutableRawBufferPointer) -> Bool {
    UInt(bitPattern: segment.baseAddress).isMultiple(of: UInt(memory)) && segment.count.isMultiple(of: offset)
  }
}
