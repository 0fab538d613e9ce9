import Primitives
import ReadCopyUpdate
import TestSupport
import Testing

/// Writers replace a block that readers follow a pointer to, and poison the old one after a grace period.
@Suite(.serialized) struct ReclamationStressTests {
  static let wordCount = 16
  static let poison: UInt64 = 0xDEAD_DEAD_DEAD_DEAD

  /// A pointer to a block, and the blocks. Poisoned blocks are used again, and only freed at the end: a reader that comes too late finds poison or
  /// another serial number, and not a fault.
  @safe
  final class Shared: Sendable {
    let pointer: SharedWord
    private let monitor = Monitor()
    // Guarded by `monitor`.
    nonisolated(unsafe) private var free: [UnsafeMutableRawPointer] = unsafe []
    nonisolated(unsafe) private var all: [UnsafeMutableRawPointer] = unsafe []
    private let serial = Word(1)

    init() {
      pointer = unsafe SharedWord(at: .allocate(byteCount: 8, alignment: 8))
      pointer.storeRelaxed(0)
      pointer.storeRelease(makeBlock())
    }

    deinit {
      for index in unsafe all.indices { unsafe all[index].deallocate() }
      unsafe pointer.address.deallocate()
    }

    func makeBlock() -> UInt64 {
      let block = unsafe monitor.withLock {
        if let block = unsafe free.popLast() { return unsafe block }
        let block = UnsafeMutableRawPointer.allocate(byteCount: wordCount * 8, alignment: 8)
        unsafe all.append(block)
        return unsafe block
      }
      let number = serial.add(1)
      for word in 0..<wordCount { unsafe SharedWord(at: block + word * 8).storeRelaxed(number) }
      return UInt64(UInt(bitPattern: block))
    }

    func destroyBlock(_ address: UInt64) {
      let block = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address))!
      for word in 0..<wordCount { unsafe SharedWord(at: block + word * 8).storeRelaxed(poison) }
      monitor.withLock { unsafe free.append(block) }
    }

    /// Reads the block twice over. Nil if all its words said the same and were no poison.
    func complaint(lingering: UInt64) -> String? {
      let block = unsafe UnsafeMutableRawPointer(bitPattern: UInt(pointer.loadAcquire()))!
      let first = unsafe SharedWord(at: block).loadRelaxed()
      if first == poison { return "poison at once" }
      for _ in 0..<lingering { spinHint() }
      for word in 0..<wordCount {
        let again = unsafe SharedWord(at: block + word * 8).loadRelaxed()
        if again != first { return "block \(first) became \(again == poison ? "poison" : String(again))" }
      }
      return nil
    }
  }

  @Test(arguments: [true, false])
  func noReaderSeesPoison(usesMembarrier: Bool) throws {
    let domain = try ReadDomain(usesMembarrier: usesMembarrier)
    let shared = Shared()
    let failures = Failures()
    let rounds = Word()
    let replaced = Word()
    let end = monotonicNanoseconds() + 1_200_000_000
    onThreads(4) { index in
      var random = RandomWords(seed: testSeed &+ UInt64(index))
      var pending: [(address: UInt64, period: GracePeriod)] = []
      while monotonicNanoseconds() < end {
        if index < 2 {
          let record = domain.record()
          for _ in 0..<50 {
            let lingering = random.next(below: 16) == 0 ? random.next(below: 3000) : 0
            // The hit path's way in where there is one, else the general one.
            if let fast = ThreadRecord.fast(slot: domain.slotNumber) {
              fast.enter(domain.clock)
            } else {
              domain.enter(record)
            }
            let complaint = shared.complaint(lingering: lingering)
            record.exit()
            if let complaint { failures.add(complaint) }
          }
          rounds.add(50)
        } else {
          let old = shared.pointer.exchangeAcquireRelease(shared.makeBlock())
          replaced.add(1)
          if index == 2 {
            domain.synchronize()
            shared.destroyBlock(old)
          } else {
            // This one never waits: it polls for the oldest.
            pending.append((old, domain.ticket()))
            while let oldest = pending.first, pending.count > 64 ? true : domain.poll(oldest.period) {
              if pending.count > 64 { domain.wait(for: oldest.period) }
              shared.destroyBlock(oldest.address)
              pending.removeFirst()
            }
          }
        }
      }
    }
    #expect(failures.all == [])
    #expect(rounds.value > 100)
    #expect(replaced.value > 100)
  }

  @Test func theStressTestWouldNotice() throws {
    // The same readers beside a writer that waits for nobody.
    let domain = try ReadDomain()
    let shared = Shared()
    let seen = Word()
    let end = monotonicNanoseconds() + 5_000_000_000
    onThreads(2) { index in
      while monotonicNanoseconds() < end, seen.value == 0 {
        if index == 0 {
          for _ in 0..<50 {
            if domain.read({ shared.complaint(lingering: 200) }) != nil { seen.set(1) }
          }
        } else {
          shared.destroyBlock(shared.pointer.exchangeAcquireRelease(shared.makeBlock()))
        }
      }
    }
    #expect(seen.value == 1)
  }
}
