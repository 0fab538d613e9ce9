/// A buffer for each thread, on pages of their own.
@safe
final class ThreadBuffers: @unchecked Sendable {
  private let memory: UnsafeMutableRawBufferPointer
  private let byteCount: Int

  init(count: Int, byteCount: Int) {
    self.byteCount = byteCount
    unsafe memory = .allocate(byteCount: count * byteCount, alignment: 4096)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe memory.deallocate() }

  /// Safe if each thread takes its own, and no longer than this lives.
  subscript(thread: Int) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(rebasing: memory[thread * byteCount..<(thread + 1) * byteCount])
  }
}
