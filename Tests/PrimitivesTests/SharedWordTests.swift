import Primitives
import TestSupport
import Testing

@Suite struct SharedWordTests {
  /// A word of memory, freed with its holder.
  private final class Cell: Sendable {
    let word: SharedWord
    init(_ value: UInt64) {
      word = unsafe SharedWord(at: .allocate(byteCount: 8, alignment: 8))
      word.storeRelaxed(value)
    }
    deinit { unsafe word.address.deallocate() }
  }

  @Test func loadsSeeStores() {
    let cell = Cell(7)
    let word = cell.word
    #expect([word.loadRelaxed(), word.loadAcquire()] == [7, 7])
    word.storeRelaxed(.max)
    #expect(word.loadAcquire() == .max)
    word.storeRelease(1 << 63)
    #expect(word.loadAcquire() == 1 << 63)
  }

  @Test func additionsReturnWhatWasBeforeAndWrap() {
    let cell = Cell(.max)
    let word = cell.word
    #expect(word.fetchAddRelaxed(3) == .max)
    #expect(word.fetchAddAcquire(10) == 2)
    #expect(word.fetchAddRelease(100) == 12)
    #expect(word.fetchSubtractRelease(113) == 112)
    #expect(word.loadRelaxed() == .max)
    word.addAsOnlyWriter(6)
    #expect(word.loadRelaxed() == 5)
    #expect(word.exchangeAcquireRelease(77) == 5)
    #expect(word.loadRelaxed() == 77)
  }

  @Test func compareExchangeOnlyReplacesWhatWasExpected() {
    let cell = Cell(1)
    let word = cell.word
    let attempts = [
      word.compareExchangeRelaxed, word.compareExchangeAcquire, word.compareExchangeRelease,
      word.compareExchangeAcquireRelease,
    ]
    for (number, attempt) in attempts.enumerated() {
      let now = UInt64(number + 1)
      let refused = attempt(now + 100, 0)
      #expect(!refused.exchanged)
      #expect(refused.original == now)
      #expect(word.loadRelaxed() == now)
      let taken = attempt(now, now + 1)
      #expect(taken.exchanged)
      #expect(taken.original == now)
      #expect(word.loadRelaxed() == now + 1)
    }
  }

  @Test func noAdditionIsLost() {
    let cell = Cell(0)
    let inline = Word()
    let counter = SharedCounter()
    onThreads(4) { index in
      for _ in 0..<5_000 {
        cell.word.fetchAddRelaxed(1).ignored()
        cell.word.fetchAddRelease(2).ignored()
        inline.add(3)
        counter.add(index == 0 ? -3 : 1)
        // ... nor one made by compare-and-exchange.
        var old = cell.word.loadRelaxed()
        while true {
          let (exchanged, original) = cell.word.compareExchangeRelaxed(expected: old, desired: old + 1 << 32)
          if exchanged { break }
          old = original
        }
      }
    }
    #expect(cell.word.loadRelaxed() == 20_000 << 32 + 60_000)
    #expect(inline.value == 60_000)
    #expect(counter.value == 0)
  }

  @Test func whatAReleaseHidesAnAcquireFinds() {
    // A lock of one word around plain memory: loses increments if the orderings do not hold.
    let cell = Cell(0)
    let plain = Plain()
    onThreads(3) { _ in
      for _ in 0..<5_000 {
        while !cell.word.compareExchangeAcquire(expected: 0, desired: 1).exchanged { sleepNanoseconds(1) }
        unsafe plain.value += 1
        cell.word.storeRelease(0)
      }
    }
    unsafe #expect(plain.value == 15_000)
  }

  private final class Plain: Sendable {
    nonisolated(unsafe) var value = 0
  }

  @Test func anInlineWordDoesWhatASharedOneDoes() {
    let word = InlineWord(5)
    #expect(word.loadRelaxed() == 5)
    #expect(word.exchangeRelaxed(6) == 5)
    #expect(word.fetchAddRelaxed(.max) == 6)
    #expect(word.loadAcquire() == 5)
    word.storeRelaxed(9)
    #expect(word.loadRelaxed() == 9)
  }
}

extension UInt64 {
  fileprivate func ignored() {}
}
