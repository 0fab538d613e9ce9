import Primitives

/// Hands out blocks of 2^order frames, order 0...9, naturally aligned. Expects its owner's lock held for every call.
///
/// Free blocks are on one list an order, linked through their metadata, newest first. Freeing joins a block with its buddy as long as that is free too.
/// Two allocators over one table tell their free blocks apart by the kind that these have.
struct BuddyAllocator {
  static let maximumOrder = 9

  private let table: FolioTable
  private let freeKind: FolioMetadata.Kind
  private var heads: [UInt64?] = Array(repeating: nil, count: maximumOrder + 1)
  /// Frames on the free lists.
  private(set) var freeFrames = 0
  /// Free blocks by order.
  private(set) var freeBlocks = Array(repeating: 0, count: maximumOrder + 1)

  init(table: FolioTable, freeKind: FolioMetadata.Kind = .free) {
    self.table = table
    self.freeKind = freeKind
  }

  /// Takes in frames that were never in any block.
  mutating func add(_ frames: Range<UInt64>) {
    var frame = frames.lowerBound
    let end = frames.upperBound
    while frame < end {
      var order = BuddyAllocator.maximumOrder
      while frame & (1 << UInt64(order) - 1) != 0 || frame + 1 << UInt64(order) > end { order -= 1 }
      table[frame].setState(.allocated, order: order)
      free(frame)
      frame += 1 << UInt64(order)
    }
  }

  /// The first frame of a block, or nil when there is none of this order or larger.
  mutating func allocate(order: Int) -> UInt64? {
    guard let from = (order...BuddyAllocator.maximumOrder).first(where: { heads[$0] != nil }), let frame = heads[from]
    else { return nil }
    unlink(frame, order: from)
    var have = from
    while have > order {
      have -= 1
      push(frame + 1 << UInt64(have), order: have)
    }
    table[frame].setState(.allocated, order: order)
    return frame
  }

  /// Takes free blocks that lie in a range off their lists.
  mutating func take(in range: Range<UInt64>) -> [UInt64] {
    var taken: [UInt64] = []
    var frame = range.lowerBound
    while frame < range.upperBound {
      let block = table[frame]
      let order = block.order
      if block.kind == freeKind, frame + 1 << UInt64(order) <= range.upperBound {
        unlink(frame, order: order)
        block.setState(.allocated, order: order)
        taken.append(frame)
        frame += 1 << UInt64(order)
      } else {
        frame += 1
      }
    }
    return taken
  }

  mutating func free(_ first: UInt64) {
    var frame = first
    var order = table[frame].order
    let kind = table[frame].kind
    precondition(kind != .free && kind != .withdrawn && kind != .tail, "a frame is freed twice")
    while order < BuddyAllocator.maximumOrder {
      let buddy = frame ^ 1 << UInt64(order)
      guard buddy + 1 << UInt64(order) <= UInt64(table.frameCount), table[buddy].kind == freeKind,
        table[buddy].order == order
      else { break }
      unlink(buddy, order: order)
      table[max(frame, buddy)].setState(.tail, order: 0)
      frame = min(frame, buddy)
      order += 1
    }
    push(frame, order: order)
  }

  private mutating func push(_ frame: UInt64, order: Int) {
    let block = table[frame]
    block.setState(freeKind, order: order)
    block.previous = nil
    block.next = heads[order]
    if let next = heads[order] { table[next].previous = frame }
    heads[order] = frame
    freeFrames += 1 << order
    freeBlocks[order] += 1
  }

  private mutating func unlink(_ frame: UInt64, order: Int) {
    let block = table[frame]
    if let previous = block.previous { table[previous].next = block.next } else { heads[order] = block.next }
    if let next = block.next { table[next].previous = block.previous }
    freeFrames -= 1 << order
    freeBlocks[order] -= 1
  }
}
