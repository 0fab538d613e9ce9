import Glibc
import Primitives
import SystemPackage

/// A file in which each 8-byte word is a function of its offset, so that every byte of any read can be checked.
@safe
package struct PatternFile: Sendable {
  package let path: FilePath
  package let byteCount: Int

  @inline(__always)
  package static func word(at offset: UInt64) -> UInt64 { (offset &>> 3 &+ 1) &* 0x9E37_79B9_7F4A_7C15 }

  @inline(__always)
  package static func byte(at offset: UInt64) -> UInt8 {
    UInt8(truncatingIfNeeded: word(at: offset & ~7) &>> ((offset & 7) &* 8))
  }

  /// Writes the file. Replaces what is there.
  package init(creating path: FilePath, byteCount: Int) throws {
    self.path = path
    self.byteCount = byteCount
    let file = try FileDescriptor.open(
      path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
    try file.closeAfter {
      var chunk = [UInt64](repeating: 0, count: 1 << 17)
      var done = 0
      while done < byteCount {
        for index in chunk.indices { chunk[index] = PatternFile.word(at: UInt64(done + index * 8)) }
        let count = min(byteCount - done, chunk.count * 8)
        let written = try unsafe chunk.withUnsafeBytes {
          try unsafe file.writeAll(toAbsoluteOffset: Int64(done), UnsafeRawBufferPointer(rebasing: $0[..<count]))
        }
        done += written
      }
      // Direct reads must not find pages that are still to be written.
      fsync(file.rawValue)
    }
  }

  package func remove() { unsafe _ = path.withPlatformString { unsafe unlink($0) } }

  /// The file offset of the first byte that is not what it should be, or nil.
  package static func firstMismatch(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> UInt64? {
    var position = 0
    let count = bytes.count
    func check(_ end: Int) -> UInt64? {
      while position < end {
        let place = offset &+ UInt64(position)
        if unsafe bytes[position] != byte(at: place) { return place }
        position += 1
      }
      return nil
    }
    if let bad = check(min(count, Int((8 - offset & 7) & 7))) { return bad }
    while position + 8 <= count {
      let place = offset &+ UInt64(position)
      if unsafe bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) != word(at: place) {
        return check(position + 8)
      }
      position += 8
    }
    return check(count)
  }
}
