import BackingStores
import Primitives
import SystemPackage

/// A local file that refuses now and then, and then does nothing of what it was told.
final class RefusingStore: BackingStore {
  private let file: LocalFileStore
  private let seed: UInt64
  private let calls = SharedCounter()
  /// Calls that were refused, of all stores that have this counter.
  private let refused: SharedCounter

  init(_ file: LocalFileStore, seed: UInt64, refused: SharedCounter) {
    self.file = file
    self.seed = seed
    self.refused = refused
  }

  /// What it says: nothing else does, so that no other failure passes for one of these.
  static let cause = StoreError.Cause.other("refused by the exercise")

  /// One call in so many is refused.
  private static let rarity: UInt64 = 50

  private func mayRefuse(_ operation: StoreError.Operation, _ range: Range<Int64>? = nil) throws(StoreError) {
    var random = RandomWords(seed: seed &+ UInt64(calls.addReturningNew(1)))
    guard random.next(below: Self.rarity) == 0 else { return }
    refused.add(1)
    throw StoreError(operation: operation, store: name, range: range, cause: Self.cause)
  }

  // MARK: What is refused now and then

  func read(_ request: StoreReadRequest, completion: @escaping @Sendable (Result<Int, StoreError>) -> Void) {
    do throws(StoreError) { try mayRefuse(.read, request.range) } catch { return completion(.failure(error)) }
    file.read(request, completion: completion)
  }

  func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
    try mayRefuse(.read, offset..<offset + Int64(memory.count))
    return try unsafe file.read(at: offset, into: memory)
  }

  func write(_ request: StoreWriteRequest) throws(StoreError) -> Int {
    try mayRefuse(.write, request.range)
    return try file.write(request)
  }

  func flush(dataOnly: Bool) throws(StoreError) {
    try mayRefuse(.flush)
    try file.flush(dataOnly: dataOnly)
  }

  func resize(to size: Int64) throws(StoreError) {
    try mayRefuse(.resize)
    try file.resize(to: size)
  }

  func change(_ change: StoreRangeChange, _ range: Range<Int64>) throws(StoreError) {
    try mayRefuse(change.operation, range)
    try file.change(change, range)
  }

  func clone(_ range: Range<Int64>, of source: any BackingStore, to offset: Int64) throws(StoreError) {
    try mayRefuse(.clone, range)
    try file.clone(range, of: Self.file(source), to: offset)
  }

  func dedupe(_ range: Range<Int64>, with other: any BackingStore, at offset: Int64) throws(StoreError) -> Bool {
    try mayRefuse(.dedupe, range)
    return try file.dedupe(range, with: Self.file(other), at: offset)
  }

  private static func file(_ store: any BackingStore) -> any BackingStore { (store as? RefusingStore)?.file ?? store }

  // MARK: As the file has it

  var name: String { file.name }
  var identity: StoreIdentity { file.identity }
  var maximumSize: Int64 { file.maximumSize }
  var readsOnCaller: Bool { file.readsOnCaller }

  func status() throws(StoreError) -> StoreStatus { try file.status() }
  func version() throws(StoreError) -> StoreVersion { try file.version() }
  func extent(at offset: Int64) throws(StoreError) -> StoreExtent { try file.extent(at: offset) }
  func prepareToWrite() throws(StoreError) { try file.prepareToWrite() }
  func claim(forWriting: Bool) throws(StoreError) { try file.claim(forWriting: forWriting) }
  func dropBehind(_ range: Range<Int64>) { file.dropBehind(range) }
  func close() { file.close() }
}
