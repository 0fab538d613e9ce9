import PageCache
import Primitives

/// What arm `cache-many` needs of a file: many reads in one call.
package protocol BatchReading: Sendable {
  associatedtype Request
  static func request(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Request
  /// Bytes read by a request that has been served.
  static func count(of request: Request) -> Int
  func readMany(_ requests: inout [Request]) throws
}

extension CachedFile: BatchReading {
  package static func request(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> ReadRequest {
    unsafe ReadRequest(offset: Int64(bitPattern: offset), buffer: buffer)
  }

  package static func count(of request: ReadRequest) -> Int { request.bytesRead }
}

/// The arm over a cached file. Not generic, for the reason told at `CacheBorrowArm`.
struct CacheManyArm: ReadArm {
  let arm: BatchArm<CachedFile>

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    unsafe arm.read(at: offset, into: buffer)
  }

  func readBatch(_ loop: inout ReadLoop, count: Int) -> Int { arm.readBatch(&loop, count: count) }
}

/// The cache through its batch call: a few dozen random blocks at a time, each into its own part of the buffer.
///
/// Making the requests is part of what is measured: a caller has to do it too.
package struct BatchArm<File: BatchReading>: ReadArm {
  package let file: File

  package init(_ file: File) { self.file = file }

  package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var requests = unsafe [File.request(at: offset, into: buffer)]
    do { try file.readMany(&requests) } catch { return -1 }
    return File.count(of: requests[0])
  }

  @inline(__always)
  package func readBatch(_ loop: inout ReadLoop, count: Int) -> Int {
    let blockBytes = loop.blockBytes
    let batch = unsafe max(1, min(ReadLoop.batchLimit, loop.buffer.count / blockBytes))
    var requests: [File.Request] = []
    requests.reserveCapacity(batch)
    var done = 0
    while done < count {
      requests.removeAll(keepingCapacity: true)
      for number in 0..<batch {
        let offset = loop.random.next(below: loop.blockCount) &* UInt64(truncatingIfNeeded: blockBytes)
        let start = number &* blockBytes
        unsafe requests.append(
          File.request(
            at: offset, into: UnsafeMutableRawBufferPointer(rebasing: loop.buffer[start..<(start &+ blockBytes)])))
      }
      do { try file.readMany(&requests) } catch { loop.shortReads &+= batch }
      for number in 0..<batch where File.count(of: requests[number]) != blockBytes { loop.shortReads &+= 1 }
      compilerFence()
      done &+= batch
    }
    return done
  }
}

extension ReadLoop {
  /// Most requests that arm `cache-many` makes in one call.
  package static var batchLimit: Int { 32 }

  /// Room that a thread's buffer has, so that a batch of small blocks fits, and one of large blocks stays within the processor's caches.
  package static func bufferBytes(forBlock blockBytes: Int) -> Int {
    max(blockBytes * 4, min(256 << 10, blockBytes * batchLimit))
  }
}
