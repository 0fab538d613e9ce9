import Glibc
import PageCache

/// What arm `cache-borrow` needs of a file: a view of bytes in place.
package protocol ByteBorrowing: Sendable {
  func withBytes<Result: ~Copyable>(
    atAbsoluteOffset offset: Int64, count: Int, _ body: (_ bytes: RawSpan) throws -> Result
  ) throws -> Result
}

extension CachedFile: ByteBorrowing {}

/// The arm over a cached file. Not generic, so that its loop is compiled for it: the protocol table of a generic type
/// leads to code for any type.
struct CacheBorrowArm: ReadArm {
  let arm: BorrowArm<CachedFile>

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    unsafe arm.read(at: offset, into: buffer)
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(arm, count: count) }
}

/// The cache through a borrowed view, from which the reader copies: the same work as the other arms.
package struct BorrowArm<File: ByteBorrowing>: ReadArm {
  package let file: File

  package init(_ file: File) { self.file = file }

  @inline(__always)
  package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    do {
      return try file.withBytes(atAbsoluteOffset: Int64(bitPattern: offset), count: buffer.count) { bytes in
        unsafe bytes.withUnsafeBytes { source in
          let count = min(source.count, buffer.count)
          if let from = source.baseAddress, let to = buffer.baseAddress { unsafe _ = memcpy(to, from, count) }
          return count
        }
      }
    } catch {
      return -1
    }
  }

  package func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(self, count: count) }
}
