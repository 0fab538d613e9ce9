import PageIndex
import Primitives
import ReadCopyUpdate

/// Nodes from the heap that are poisoned when their grace period is over, used again, and only freed at the end.
@safe
final class PoisoningAllocator: NodeAllocator, @unchecked Sendable {
  /// Looks like a value entry, so that a reader that comes too late finds it and does not follow it.
  static let poison = Entry.value(0x0DEA_DDEA_DDEA_DDEA)

  private let domain: ReadDomain
  private let monitor = Monitor()
  // Guarded by `monitor`.
  private var free: [UnsafeMutableRawPointer] = unsafe []
  private var all: [UnsafeMutableRawPointer] = unsafe []
  private var retired: [(node: Node, fanOut: Int, period: GracePeriod)] = []
  private var poisoned = 0
  private var byteCount = 0

  init(domain: ReadDomain) { self.domain = domain }

  deinit {
    domain.synchronize()
    for index in unsafe all.indices { unsafe all[index].deallocate() }
  }

  /// How many nodes have been poisoned.
  var poisonedNodes: Int { monitor.withLock { poisoned } }

  func allocateNode(fanOut: Int) -> Node? {
    monitor.withLock {
      byteCount = IndexGeometry(fanOutShift: fanOut.trailingZeroBitCount).nodeByteCount
      if unsafe free.isEmpty {
        let base = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: Entry.nodeAlignment)
        unsafe all.append(base)
        return unsafe Node.at(base: base, fanOut: fanOut)
      }
      let base = unsafe free.removeLast()
      // Whoever wrote into it since it was poisoned was too late.
      for offset in stride(from: 0, to: byteCount, by: 8) {
        unsafe precondition(
          SharedWord(at: base + offset).loadRelaxed() == Self.poison.word, "a freed node was written to")
      }
      return unsafe Node.at(base: base, fanOut: fanOut)
    }
  }

  func freeNode(_ node: Node, fanOut: Int) { monitor.withLock { poison(node, fanOut) } }

  func retireNode(_ node: Node, fanOut: Int) {
    let period = domain.ticket()
    monitor.withLock { retired.append((node, fanOut, period)) }
  }

  /// Poisons what no reader should see any more.
  func reclaim() {
    guard let oldest = monitor.withLock({ retired.first }), domain.poll(oldest.period) else { return }
    monitor.withLock {
      while let oldest = retired.first, domain.isOver(oldest.period) {
        poison(oldest.node, oldest.fanOut)
        retired.removeFirst()
        poisoned += 1
      }
    }
  }

  private func poison(_ node: Node, _ fanOut: Int) {
    let base = unsafe node.base(fanOut: fanOut)
    for offset in stride(from: 0, to: byteCount, by: 8) {
      unsafe SharedWord(at: base + offset).storeRelaxed(Self.poison.word)
    }
    unsafe free.append(base)
  }
}
