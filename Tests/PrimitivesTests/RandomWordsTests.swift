import Primitives
import TestSupport
import Testing

@Suite struct RandomWordsTests {
  @Test func wordsAreThoseOfWyrand() {
    // Computed with unbounded integers in Python.
    var zero = RandomWords(seed: 0)
    #expect(
      [zero.next(), zero.next(), zero.next()] == [0x111C_B3A7_8F59_A58E, 0xCEAB_D938_FF4E_856D, 0x61FB_5131_8F47_D2A4])
    var other = RandomWords(seed: 42)
    #expect([other.next(), other.next()] == [0xAE4A_7CBF_DDA9_B434, 0xE9CC_09D3_3D38_D9D2])
  }

  @Test func oneSeedGivesOneSequence() {
    var first = RandomWords(seed: testSeed)
    var second = RandomWords(seed: testSeed)
    var third = RandomWords(seed: testSeed &+ 1)
    var same = 0
    for _ in 0..<1000 {
      let word = first.next()
      #expect(word == second.next(), "PAGECACHE_SEED=\(testSeed)")
      if word == third.next() { same += 1 }
    }
    #expect(same < 3, "PAGECACHE_SEED=\(testSeed)")
  }

  @Test(arguments: [1, 2, 3, 10, 1 << 20, 1 << 63, UInt64.max])
  func wordsStayBelowTheBound(bound: UInt64) {
    var words = RandomWords(seed: testSeed)
    for _ in 0..<2000 {
      let word = words.next(below: bound)
      #expect(word < bound, "PAGECACHE_SEED=\(testSeed)")
    }
  }

  @Test func everyValueBelowTheBoundComesAboutEquallyOften() {
    var words = RandomWords(seed: testSeed)
    var counts = [Int](repeating: 0, count: 10)
    for _ in 0..<20_000 { counts[Int(words.next(below: 10))] += 1 }
    // 2000 each; ten standard deviations are 424.
    #expect(counts.allSatisfy { (1576...2424).contains($0) }, "\(counts), PAGECACHE_SEED=\(testSeed)")
  }
}
