import BackingStores
import Glibc
import SystemPackage
import Testing

extension BackingStore {
  /// Writes from segments of this many bytes; nil for one.
  @discardableResult
  func write(_ bytes: [UInt8], at offset: Int64, segment: Int? = nil) throws(StoreError) -> Int {
    // A copy that stays in its place: a request does not hold it.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
    defer { unsafe memory.deallocate() }
    unsafe memory.copyBytes(from: bytes)
    let step = max(1, segment ?? bytes.count)
    let starts = bytes.isEmpty ? [0] : Array(stride(from: 0, to: bytes.count, by: step))
    let segments = unsafe starts.map {
      unsafe UnsafeRawBufferPointer(rebasing: memory[$0..<min($0 + step, bytes.count)])
    }
    return try unsafe write(StoreWriteRequest(offset: offset, segments: segments))
  }

  /// What is there up to the size, read in whole frames.
  func contents() throws(StoreError) -> [UInt8] {
    let size = Int(try status().size)
    let frames = Frames((size + 4096) / 4096 * 4096)
    let count = try readAndWait(frames, at: 0).get()
    return Array(frames.bytes.prefix(count))
  }
}

func pattern(_ range: Range<Int64>, seed: Int64 = 0) -> [UInt8] { Array(patternRuns(range, seed: seed).joined()) }

func zeroes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

/// The cause of the error that something throws; nil if it throws none.
func cause(_ body: () throws -> Void) -> StoreError.Cause? {
  do {
    try body()
    return nil
  } catch {
    return (error as? StoreError)?.cause ?? .other("not of a store: \(error)")
  }
}
