import PageIndex
import Primitives
import ReadCopyUpdate

/// An index with all that it needs, emptied at the end.
final class IndexHarness: Sendable {
  let domain: ReadDomain
  // Set to nil by deinit only: the index looks at its root when it goes.
  nonisolated(unsafe) private var held: PageIndex?
  let root: SharedWord
  let nodes: any NodeAllocator

  init(
    _ geometry: IndexGeometry, coveredPages: UInt64 = 0,
    nodes makeNodes: (ReadDomain) -> any NodeAllocator = { HeapNodeAllocator(domain: $0) }
  ) throws {
    domain = try ReadDomain()
    nodes = makeNodes(domain)
    root = unsafe SharedWord(at: .allocate(byteCount: 8, alignment: 8))
    unsafe held = PageIndex(geometry: geometry, nodes: nodes, root: root, coveredPages: coveredPages)
  }

  deinit {
    index.withLock { index.removeAll { _ in } }
    unsafe held = nil
    unsafe root.address.deallocate()
  }

  var index: PageIndex { unsafe held! }

  /// The last page whose key fits into 63 bits.
  var lastPage: UInt64 { min(IndexGeometry.maximumPage, UInt64(Int64.max) >> UInt64(index.geometry.keyShift)) }

  func reserve(from first: UInt64, through last: UInt64) -> NodeReserve {
    var reserve = NodeReserve(for: index)
    precondition(reserve.fill(to: index.nodesNeeded(from: first, through: last)))
    return reserve
  }

  /// Stores with exactly the nodes that the index says it needs.
  func store(_ page: UInt64, order: Int, _ entry: (UInt64) -> Entry) {
    var reserve = reserve(from: page, through: page + 1 << UInt64(order) - 1)
    index.withLock { index.store(page, order: order, reserve: &reserve, entry) }
  }

  @discardableResult
  func erase(from first: UInt64, through last: UInt64) -> [Slot] {
    var erased: [Slot] = []
    var reserve = reserve(from: first, through: last)
    index.withLock { index.erase(from: first, through: last, reserve: &reserve) { erased.append(Slot($0)) } }
    return erased
  }

  func found(_ page: UInt64) -> PageIndex.Found? { index.next(from: page, through: page, values: true) }

  /// Everything that iteration meets.
  func iterate(from first: UInt64, through last: UInt64, marked mark: Mark? = nil) -> [Slot] {
    var slots: [Slot] = []
    var page = first
    while let found = index.next(from: page, through: last, marked: mark, values: true) {
      slots.append(Slot(found))
      if found.lastPage >= last { break }
      page = found.lastPage + 1
    }
    return slots
  }
}

/// One slot: what it covers and what it says.
struct Slot: Equatable, CustomStringConvertible {
  var page: UInt64
  var pageCount: UInt64
  var word: UInt64

  init(page: UInt64, pageCount: UInt64, word: UInt64) {
    self.page = page
    self.pageCount = pageCount
    self.word = word
  }

  init(_ found: PageIndex.Found) {
    self.init(page: found.page, pageCount: found.pageCount, word: found.entry.word)
  }

  var description: String { "\(page)+\(pageCount): \(String(word, radix: 16))" }
}
