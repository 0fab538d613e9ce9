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
      unsafe segment.initializeMemory(as: UInt8.self, repeating: 0)
      for place in stride(from: 0, to: segment.count, by: Self.pageBytes) {
        unsafe segment.storeBytes(of: UInt64(position) / UInt64(Self.pageBytes), toByteOffset: place, as: UInt64.self)
        position += Int64(Self.pageBytes)
      }
    }
    completion(.success(Int(position - request.offset)))
  }

  func close() {}
}
