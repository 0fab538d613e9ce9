import BackingStores
import Primitives

extension FileCore {
  /// Reads one page from the store into fresh memory, on this thread. The caller has claimed the page, so that nobody changes the store there.
  func readPage(_ page: UInt64, into address: UnsafeMutableRawPointer, operation: CacheError.Operation)
    throws(CacheError)
  {
    let stored = index.withLock { unsafe storeState.size }
    let range = byteRange(from: page, through: page, length: stored)
    guard !range.isEmpty else { return unsafe zeroBytes(address, count: frameByteCount) }
    let answer = StoreAnswer()
    let request = unsafe StoreReadRequest(
      offset: range.lowerBound, segments: [UnsafeMutableRawBufferPointer(start: address, count: frameByteCount)],
      execution: .caller)
    let courier = Courier(
      answer,
      .failure(
        StoreError(operation: .read, store: name, range: range, cause: .other("the store dropped the request"))))
    store.read(request) { courier.deliver($0) }
    // If the store has dropped the completion, this is the last reference.
    _ = consume courier
    let result = answer.wait()
    if let failure = failure(of: result, range) { throw error(operation, range, .store(failure)) }
    if range.count < frameByteCount { unsafe zeroBytes(address + range.count, count: frameByteCount - range.count) }
  }
}

/// Delivers a store's answer, or says that there is none when it is dropped.
private final class Courier: Sendable {
  private let answer: StoreAnswer
  private let otherwise: Result<Int, StoreError>

  init(_ answer: StoreAnswer, _ otherwise: Result<Int, StoreError>) {
    self.answer = answer
    self.otherwise = otherwise
  }

  deinit { answer.set(otherwise) }

  func deliver(_ result: Result<Int, StoreError>) { answer.set(result) }
}
