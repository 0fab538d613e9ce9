import BackingStores

/// A store that answers at once: each page holds its number, and zeros.
final class NumberedPages: BackingStore {
  let name = "numbered pages"
  let identity: StoreIdentity
  private let pages: Int
  static let pageBytes = 4096

  init(_ pages: Int, object: String) {
    self.pages = pages
    identity = StoreIdentity(realm: "benchmark", object: object)
  }

  func status() throws(StoreError) -> StoreStatus {
    StoreStatus(
      size: Int64(pages * Self.pageBytes), changeStamp: .init(seconds: 0, nanoseconds: 0),
      allocatedBytes: Int64(pages * Self.pageBytes))
  }

  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    var position = request.offset
    for number in unsafe request.segments.indices {
      let segment = unsafe request.segments[number]
      unsafe fill(segment, at: position)
      position += Int64(segment.count)
    }
    completion(.success(Int(position - request.offset)))
  }

  var readsOnCaller: Bool { true }

  func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    unsafe fill(memory, at: offset)
    return memory.count
  }

  private func fill(_ memory: UnsafeMutableRawBufferPointer, at offset: Int64) {
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    for place in stride(from: 0, to: memory.count, by: Self.pageBytes) {
      let page = (UInt64(offset) + UInt64(place)) / UInt64(Self.pageBytes)
      unsafe memory.storeBytes(of: page, toByteOffset: place, as: UInt64.self)
    }
  }

  func close() {}
}
