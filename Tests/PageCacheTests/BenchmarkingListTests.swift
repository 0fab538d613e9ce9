import PageCacheBenchmarking
import Testing

@Suite struct BenchmarkingListTests {
  @Test(arguments: [
    ("1", 1), ("4096", 4096), ("4KiB", 4096), ("4 kib", 4096), ("1MiB", 1 << 20), ("3GiB", 3 << 30), ("2k", 2048),
    ("7B", 7),
  ])
  func sizes(text: String, count: Int) throws { #expect(try parseByteCount(text) == count) }

  @Test(arguments: ["", "KiB", "-1", "4XB", "1.5MiB", "4 4", "99999999999GiB", "99999999999999999999"])
  func badSizes(text: String) { #expect(throws: ListError.self) { try parseByteCount(text) } }

  @Test(arguments: [(1, "1 B"), (1000, "1000 B"), (4096, "4 KiB"), (1 << 20, "1 MiB"), (3 << 30, "3 GiB"), (0, "0 B")])
  func sizeTexts(count: Int, text: String) { #expect(byteCountText(count) == text) }

  @Test func lists() throws {
    #expect(try parseByteCounts("1, 32,4KiB", in: 1...4096) == [1, 32, 4096])
    #expect(try parseCounts("1,2,16", in: 1...16) == [1, 2, 16])
    #expect(try ReadArmKind.list("cache,mmap") == [.cache, .mmap])
    #expect(try ReadArmKind.list(ReadArmKind.allCases.map(\.rawValue).joined(separator: ",")) == ReadArmKind.allCases)
  }

  @Test(arguments: ["", ",", "1,", "1,1", "1,4097", "0", "one"])
  func badLists(text: String) {
    #expect(throws: ListError.self) { try parseByteCounts(text, in: 1...4096) }
    #expect(throws: ListError.self) { try parseCounts(text, in: 1...4096) }
  }

  @Test func oneValue() throws {
    #expect(try single(parseCounts("3", in: 1...16)) == 3)
    let error = #expect(throws: ListError.self) { try single(parseByteCounts("4KiB,8KiB", in: 1...1 << 20)) }
    #expect(error?.description.contains("one value") == true)
  }

  @Test func unknownArmIsNamedAndTheOthersListed() {
    let error = #expect(throws: ListError.self) { try ReadArmKind.list("cache,cash") }
    #expect(error?.description.contains("'cash'") == true)
    #expect(error?.description.contains("cache-rwlock") == true)
  }
}
