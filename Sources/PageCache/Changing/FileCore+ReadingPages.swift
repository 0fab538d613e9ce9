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
    for attempt in 0... {
      guard let failure = unsafe failureOfReading(range, into: address) else { break }
      let error = error(operation, range, .store(failure))
      guard error.isShortAnswer, attempt < FileCore.shortAnswersInARow else { throw error }
    }
    if range.count < frameByteCount { unsafe zeroBytes(address + range.count, count: frameByteCount - range.count) }
  }

  private func failureOfReading(_ range: Range<Int64>, into address: UnsafeMutableRawPointer) -> StoreError? {
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
    return failure(of: answer.wait(), range)
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
