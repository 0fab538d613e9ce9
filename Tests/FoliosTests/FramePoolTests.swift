import Folios
import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

func makePool(frames: Int, frameShift: Int = 12) throws -> FramePool {
  try FramePool(
    limit: frames * (1 << frameShift + FolioMetadata.byteCount), frameShift: frameShift, domain: ReadDomain())
}

@Suite struct FramePoolTests {
  @Test func framesAndTheirMetadataStayWithinTheLimit() throws {
    for limit in [4160, 8319, 8320, 1 << 20, 1 << 20 + 4159, 64 << 20] {
      let count = FramePool.frameCount(limit: limit, frameShift: 12)
      #expect(count * (4096 + 64) <= limit)
      #expect((count + 1) * (4096 + 64) > limit)
      let pool = try FramePool(limit: limit, domain: ReadDomain())
      #expect(pool.frameCount == count && pool.freeFrames == count)
      #expect(pool.arena.byteCount == count * 4096)
    }
    #expect(FramePool.frameCount(limit: 4159, frameShift: 12) == 0)
    #expect(FramePool.frameCount(limit: -1, frameShift: 12) == 0)
  }

  @Test func framesLieOneBehindTheOther() throws {
    let pool = try makePool(frames: 10)
    for frame in 0..<UInt64(10) {
      let offset = unsafe pool.address(of: frame) - pool.arena.base
      #expect(offset == Int(frame) * 4096)
    }
  }

  /// Against a plain array of who has which frame.
  @Test(arguments: [1, 7, 512, 513, 1000, 1537])
  func blocksDoNotOverlapAndComeBack(frameCount: Int) throws {
    let pool = try makePool(frames: frameCount, frameShift: 7)
    var random = RandomWords(seed: testSeed &+ UInt64(frameCount))
    let initialBlocks = pool.freeBlocks
    var taken = [Bool](repeating: false, count: frameCount)
    var blocks: [(frame: UInt64, order: Int)] = []
    var mistakes: [String] = []

    for step in 0..<3000 where mistakes.isEmpty {
      // Phases of growing and of shrinking.
      if random.next(below: 16) < (step / 300 % 2 == 0 ? 11 : 5) {
        let order = Int(random.next(below: random.next(below: 4) == 0 ? 10 : 3))
        let size = 1 << order
        guard let frame = pool.allocate(order: order) else {
          // Right only if there is no aligned run of that length: buddies always merge.
          let run = stride(from: 0, through: frameCount - size, by: size).first {
            !taken[$0..<$0 + size].contains(true)
          }
          if let run { mistakes.append("step \(step): nothing of order \(order), but \(run) is free") }
          continue
        }
        let range = Int(frame)..<Int(frame) + size
        if range.upperBound > frameCount || range.lowerBound % size != 0 || taken[range].contains(true) {
          mistakes.append("step \(step): \(range)")
          break
        }
        for index in range { taken[index] = true }
        blocks.append((frame, order))
        let folio = pool.table[frame]
        if folio.order != order || folio.kind != .allocated || folio.references.loadRelaxed() != FolioMetadata.frozenBit
        {
          mistakes.append("step \(step): \(folio.kind) of order \(folio.order)")
        }
      } else if !blocks.isEmpty {
        blocks.swapAt(Int(random.next(below: UInt64(blocks.count))), blocks.count - 1)
        let (frame, order) = blocks.removeLast()
        for index in Int(frame)..<Int(frame) + 1 << order { taken[index] = false }
        pool.free(frame)
      }
      if pool.freeFrames != taken.count(where: { !$0 }) { mistakes.append("step \(step): \(pool.freeFrames) free") }
    }
    for (frame, _) in blocks { pool.free(frame) }
    #expect(mistakes == [], "PAGECACHE_SEED=\(testSeed)")
    #expect(pool.freeFrames == frameCount)
    #expect(pool.freeBlocks == initialBlocks, "blocks that did not merge, PAGECACHE_SEED=\(testSeed)")
  }

  @Test func whenAllIsGoneThereIsNone() throws {
    let pool = try makePool(frames: 100, frameShift: 7)
    let frames = (0..<100).compactMap { _ in pool.allocate(order: 0) }
    #expect(Set(frames).count == 100)
    #expect(pool.allocate(order: 0) == nil)
    pool.free(frames[40])
    #expect(pool.allocate(order: 1) == nil)
    #expect(pool.allocate(order: 0) == frames[40])
    for frame in frames { pool.free(frame) }
    #expect(pool.allocate(order: 6) != nil)
  }

  @Test func freeingTwiceIsCaught() async {
    await #expect(processExitsWith: .failure) {
      let pool = try makePool(frames: 4, frameShift: 7)
      guard let frame = pool.allocate(order: 0) else { return }
      pool.free(frame)
      pool.free(frame)
    }
  }

  @Test func threadsDoNotGetTheSameFrame() throws {
    let pool = try makePool(frames: 300, frameShift: 7)
    let initialBlocks = pool.freeBlocks
    let failures = Failures()
    onThreads(3) { index in
      var random = RandomWords(seed: testSeed &+ UInt64(index))
      var mine: [UInt64] = []
      for _ in 0..<4000 {
        if random.next(below: 2) == 0, let frame = pool.allocate(order: Int(random.next(below: 4))) {
          unsafe SharedWord(at: pool.address(of: frame)).storeRelaxed(UInt64(index) << 32 | frame)
          mine.append(frame)
        } else if let frame = mine.popLast() {
          let word = unsafe SharedWord(at: pool.address(of: frame)).loadRelaxed()
          failures.check(word == UInt64(index) << 32 | frame, "frame \(frame) of \(index) says \(word)")
          pool.free(frame)
        }
      }
      for frame in mine { pool.free(frame) }
    }
    #expect(failures.all == [])
    #expect(pool.freeBlocks == initialBlocks)
  }
}
