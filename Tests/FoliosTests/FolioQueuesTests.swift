import Folios
import Primitives
import TestSupport
import Testing

@Suite struct FolioQueuesTests {
  @Test func inTheOrderInWhichTheyCame() throws {
    let pool = try makePool(frames: 64)
    let queues = pool.queues
    let heads = try (0..<6).map { order in try #require(pool.allocate(order: order % 3)) }
    for (number, head) in heads.enumerated() { queues.append(head, hasReturned: number == 2) { _ in number % 2 } }
    // Once is enough.
    queues.append(heads[0]) { _ in 1 }
    #expect(list(queues.folios) == [3, 3])
    #expect(list(queues.frames) == [1 + 4 + 2, 2 + 1 + 4])
    let first = queues.take(most: 2) { _ in 0 }
    #expect(first.map(\.head) == [heads[0], heads[2]])
    #expect(first.map(\.hasReturned) == [false, true] && first.map(\.queue) == [0, 0])
    #expect(list(queues.frames) == [2, 7])
    // From the middle, by going.
    pool.retire(heads[3])
    #expect(queues.take(most: 9) { _ in 1 }.map(\.head) == [heads[1], heads[5]])
    #expect(queues.take(most: 9) { _ in 0 }.map(\.head) == [heads[4]])
    #expect(list(queues.folios) == [0, 0] && list(queues.frames) == [0, 0])
    #expect(queues.take(most: 9) { _ in 0 }.isEmpty)
  }

  @Test func whatIsSetAsideComesBack() throws {
    let pool = try makePool(frames: 8)
    let queues = pool.queues
    let heads = try (0..<3).map { _ in try #require(pool.allocate(order: 0)) }
    for head in heads { queues.append(head, hasReturned: head == heads[1]) { _ in 1 } }
    for candidate in queues.take(most: 2, choosing: { _ in 1 }) { queues.setAside(candidate) }
    // Neither put in a second time, nor taken.
    queues.append(heads[0]) { _ in 0 }
    #expect(list(queues.folios) == [0, 1])
    queues.bringBack(heads[1])
    queues.bringBack(heads[1])
    queues.bringBack(heads[2])
    let back = queues.take(most: 9) { _ in 1 }
    #expect(back.map(\.head) == [heads[2], heads[1]] && back.map(\.hasReturned) == [false, true])
    // Going, from nowhere.
    pool.retire(heads[0])
    pool.reclaimRetired(waiting: true)
    #expect(list(queues.folios) == [0, 0] && list(queues.frames) == [0, 0] && pool.freeFrames == 6)
  }

  private func list(_ numbers: FolioQueues.Numbers) -> [Int] { [numbers[0], numbers[1]] }

  @Test func ofManyThreads() throws {
    let pool = try makePool(frames: 256, frameShift: 7)
    onThreads(4) { thread in
      var random = RandomWords(seed: testSeed &+ UInt64(thread))
      var own: [UInt64] = []
      for _ in 0..<20_000 {
        if random.next(below: 2) == 0, let head = pool.allocate(order: Int(random.next(below: 3))) {
          pool.queues.append(head) { _ in thread % 2 }
          own.append(head)
        } else if let head = own.popLast() {
          // Somebody else may have taken it out.
          pool.retire(head)
        }
        _ = pool.queues.take(most: 3) { _ in thread % 2 }
        if random.next(below: 16) == 0 { pool.reclaimRetired(waiting: true) }
      }
      for head in own { pool.retire(head) }
    }
    pool.reclaimRetired(waiting: true)
    #expect(list(pool.queues.folios) == [0, 0] && list(pool.queues.frames) == [0, 0] && pool.freeFrames == 256)
  }
}
