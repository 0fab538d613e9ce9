import Primitives

/// Where a read puts its bytes. Rewound before each attempt: an attempt that was overtaken by a change has written garbage.
protocol Sink: ~Copyable {
  mutating func rewind()
  /// Takes bytes from a frame that may be changing.
  mutating func copy(from source: UnsafeRawPointer, count: Int)
  mutating func zero(count: Int)
}

/// One piece of memory, with room for all that is copied.
@safe
struct ContiguousSink: Sink {
  let start: UnsafeMutableRawPointer
  private var position: UnsafeMutableRawPointer

  @inline(__always)
  init(_ start: UnsafeMutableRawPointer) {
    unsafe self.start = start
    unsafe position = start
  }

  @inline(__always)
  mutating func rewind() { unsafe position = start }

  @inline(__always)
  mutating func copy(from source: UnsafeRawPointer, count: Int) {
    unsafe racyCopy(to: position, from: source, count: count)
    unsafe position += count
  }

  @inline(__always)
  mutating func zero(count: Int) {
    unsafe zeroBytes(position, count: count)
    unsafe position += count
  }
}

/// Several pieces of memory, filled one after the other.
@safe
struct ScatterSink: Sink {
  let buffers: [UnsafeMutableRawBufferPointer]
  private let firstBuffer: Int
  private let firstOffset: Int
  private var buffer: Int
  private var offset: Int

  /// Starts behind the first `skipping` bytes of the buffers.
  init(_ buffers: [UnsafeMutableRawBufferPointer], skipping: Int) {
    unsafe self.buffers = buffers
    var buffer = 0
    var offset = skipping
    while unsafe buffer < buffers.count, unsafe offset >= buffers[buffer].count {
      unsafe offset -= buffers[buffer].count
      buffer += 1
    }
    firstBuffer = buffer
    firstOffset = offset
    self.buffer = buffer
    self.offset = offset
  }

  mutating func rewind() {
    buffer = firstBuffer
    offset = firstOffset
  }

  mutating func copy(from source: UnsafeRawPointer, count: Int) {
    unsafe advance(count) { destination, done, length in
      unsafe racyCopy(to: destination, from: source + done, count: length)
    }
  }

  mutating func zero(count: Int) {
    unsafe advance(count) { destination, _, length in unsafe zeroBytes(destination, count: length) }
  }

  private mutating func advance(
    _ count: Int, _ body: (_ destination: UnsafeMutableRawPointer, _ done: Int, _ length: Int) -> Void
  ) {
    var done = 0
    while done < count {
      let room = unsafe buffers[buffer].count - offset
      if room == 0 {
        buffer += 1
        offset = 0
        continue
      }
      let length = min(room, count - done)
      // Safe: the caller asked for no more bytes than the buffers hold, so each of them with room has an address.
      unsafe body(buffers[buffer].baseAddress.unsafelyUnwrapped + offset, done, length)
      offset += length
      done += length
    }
  }
}
