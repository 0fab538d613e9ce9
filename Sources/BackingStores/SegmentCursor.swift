import Glibc

/// How far a request has come.
@safe
struct SegmentCursor {
  private let segments: Segments
  /// The segment that comes next, and how many of its bytes are done.
  private var index = 0
  private var filled = 0
  /// Bytes done since the start of the request.
  private(set) var done = 0

  /// Describes what is still to be done to the system: how many vectors, and how many bytes in them.
  func gather(into vectors: UnsafeMutableBufferPointer<iovec>) -> (vectors: Int, bytes: Int) {
    var (count, bytes, skipped) = (0, 0, filled)
    for next in index..<segments.count {
      guard count < vectors.count else { break }
      let segment = unsafe segments[next]
      guard segment.count > skipped else { continue }
      let part = unsafe UnsafeRawBufferPointer(rebasing: segment[skipped...])
      // Safe: the system writes to it only if it was made from a read request, whose segments may be written to.
      let vector = unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count)
      unsafe vectors.initializeElement(at: count, to: vector)
      count += 1
      bytes += part.count
      skipped = 0
    }
    return (count, bytes)
  }

  mutating func advance(by count: Int) {
    done += count
    var left = count
    while index < segments.count {
      let room = unsafe segments[index].count - filled
      guard left >= room else { break }
      left -= room
      index += 1
      filled = 0
    }
    filled += left
  }

  init(_ request: StoreReadRequest) { segments = unsafe .reading(request.segments) }

  init(_ request: StoreWriteRequest) { segments = unsafe .writing(request.segments) }

  /// The request's own array, whichever it is.
  @safe
  private enum Segments {
    case reading([UnsafeMutableRawBufferPointer])
    case writing([UnsafeRawBufferPointer])

    var count: Int {
      switch self {
      case .reading(let segments): unsafe segments.count
      case .writing(let segments): unsafe segments.count
      }
    }

    subscript(index: Int) -> UnsafeRawBufferPointer {
      switch self {
      case .reading(let segments): unsafe UnsafeRawBufferPointer(segments[index])
      case .writing(let segments): unsafe segments[index]
      }
    }
  }
}
