import BackingStores
import PageIndex
import Primitives

/// A fill that is at its store: what has to be done once the store answers, whatever it does.
///
/// The first answer counts; a second is ignored. What a fill has in hand is let go with the answer, even if the store keeps its completion; and if the
/// store drops the completion unanswered, that is an answer too.
final class PendingFill: @unchecked Sendable {
  private struct Work: ~Copyable {
    let file: FileCore
    let fill: Fill
    let folios: ShortList<FillFolio>
    let range: Range<Int64>
    var nodes: NodeReserve
    let quiet: UInt64?
    let purpose: FillPurpose
    let operation: CacheError.Operation
    let holding: @Sendable (UInt64) -> Void
  }

  // Guarded by `isAnswered`: taken by the thread that answers first.
  private var work: Work?
  private let isAnswered = InlineWord(0)
  private let storeName: String
  private let range: Range<Int64>

  init(
    file: FileCore, fill: Fill, folios: ShortList<FillFolio>, range: Range<Int64>, nodes: consuming NodeReserve,
    quiet: UInt64?, purpose: FillPurpose, operation: CacheError.Operation, holding: @escaping @Sendable (UInt64) -> Void
  ) {
    storeName = file.name
    self.range = range
    work = Work(
      file: file, fill: fill, folios: folios, range: range, nodes: nodes, quiet: quiet, purpose: purpose,
      operation: operation, holding: holding)
  }

  deinit {
    // Nothing happens if it was answered.
    complete(
      .failure(
        StoreError(operation: .read, store: storeName, range: range, cause: .other("the store dropped the request"))))
  }

  /// The store's answer. Any thread.
  func complete(_ result: Result<Int, StoreError>) {
    // Exactly one caller gets the work, which was there before anybody had this to call: nothing else is to be ordered.
    guard isAnswered.exchangeRelaxed(1) == 0, let work = work.take() else { return }
    PendingFill.conclude(work, result)
  }

  private static func conclude(_ work: consuming Work, _ result: Result<Int, StoreError>) {
    let file = work.file
    let fill = work.fill
    let folios = work.folios
    let range = work.range
    let quiet = work.quiet
    let purpose = work.purpose
    let operation = work.operation
    let holding = work.holding
    file.finish(
      fill, folios, range, result, work.nodes, quiet: quiet, purpose: purpose, operation: operation, holding: holding)
  }
}
