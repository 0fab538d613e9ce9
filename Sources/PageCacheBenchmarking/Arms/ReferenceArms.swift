import PageCache
import Primitives

/// The cache with a reference to the folio around each copy, by fetch-and-add.
struct ReferenceArm: ReadArm {
  let reader: ReferencedReader

  @inline(__always)
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    do {
      return try unsafe reader.read(fromAbsoluteOffset: Int64(bitPattern: offset), into: buffer)
    } catch {
      return -1
    }
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(self, count: count) }
}

/// The same by compare-and-exchange, which collapses when many take references to one folio (L32).
struct CompareExchangeArm: ReadArm {
  let reader: ReferencedReader

  @inline(__always)
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    // No instruction. Without it, the compiler sees two loops that differ in the function they call, and makes one of them with
    // an indirect call.
    compilerFence()
    do {
      return try unsafe reader.readByCompareExchange(fromAbsoluteOffset: Int64(bitPattern: offset), into: buffer)
    } catch {
      return -1
    }
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { loop.run(self, count: count) }
}
