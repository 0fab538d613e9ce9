import Primitives

/// The array of folio metadata.
@safe @frozen
public struct FolioTable: @unchecked Sendable {
  @usableFromInline let base: UnsafeMutableRawPointer
  public let frameCount: Int

  /// Zeroed memory for `frameCount` records, which outlives the table.
  init(base: UnsafeMutableRawPointer, frameCount: Int) {
    unsafe self.base = base
    self.frameCount = frameCount
  }

  @inlinable @inline(__always)
  package subscript(_ frame: UInt64) -> FolioMetadata {
    precondition(frame < UInt64(frameCount), "no such frame")
    // Safe: inside the array.
    return unsafe FolioMetadata(base: base + Int(frame) * FolioMetadata.byteCount)
  }
}
