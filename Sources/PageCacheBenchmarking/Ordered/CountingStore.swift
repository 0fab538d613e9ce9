import BackingStores
import Glibc
import Primitives

/// A local file whose flushes are counted.
final class CountingStore: BackingStore {
  private let file: LocalFileStore
  /// Flushes that have begun.
  let flushes = SharedCounter()
  /// Of these, flushes by the thread that syncs.
  let ownFlushes = SharedCounter()
  private let syncing = InlineWord(0)

  init(_ file: LocalFileStore) { self.file = file }

  /// From now on, the calling thread is the one that syncs.
  func noteSyncing() { syncing.storeRelaxed(UInt64(pthread_self())) }

  func flush(dataOnly: Bool) throws(StoreError) {
    flushes.add(1)
    if UInt64(pthread_self()) == syncing.loadRelaxed() { ownFlushes.add(1) }
    try file.flush(dataOnly: dataOnly)
  }

  // MARK: As the file has it

  var name: String { file.name }
  var identity: StoreIdentity { file.identity }
  var maximumSize: Int64 { file.maximumSize }
  var readsOnCaller: Bool { file.readsOnCaller }

  func status() throws(StoreError) -> StoreStatus { try file.status() }
  func version() throws(StoreError) -> StoreVersion { try file.version() }
  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    file.read(request, completion: completion)
  }
  func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    try unsafe file.read(at: offset, into: memory)
  }
  func write(_ request: StoreWriteRequest) throws(StoreError) -> Int { try file.write(request) }
  func resize(to size: Int64) throws(StoreError) { try file.resize(to: size) }
  func extent(at offset: Int64) throws(StoreError) -> StoreExtent { try file.extent(at: offset) }
  func prepareToWrite() throws(StoreError) { try file.prepareToWrite() }
  func claim(forWriting: Bool) throws(StoreError) { try file.claim(forWriting: forWriting) }
  func dropBehind(_ range: Range<Int64>) { file.dropBehind(range) }
  func close() { file.close() }
}
