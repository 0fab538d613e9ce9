import BackingStores
import PageCache
import Primitives
import SystemPackage
import TestSupport
import Testing

/// P5: what a change copies from a page stays there until it has been copied, also if a loan of the page comes back
/// meanwhile.
@Suite struct KeptSourceTests {
  enum Way: String, CaseIterable {
    case writeThrough, writeBack, punch, zero

    func change(_ file: CachedFile) throws {
      switch self {
      case .writeThrough, .writeBack: try file.write(toAbsoluteOffset: 4000, filled(7, 200))
      case .punch: try file.punchHole(4000..<4200)
      case .zero: try file.zeroRange(4000..<4200)
      }
    }
  }

  /// X1. Of two pages that are changed in part, the second is lent and the first has to be read. While the store reads
  /// it, the loan comes back, the page is evicted, and its frame gets bytes of another file.
  @Test(arguments: Way.allCases) func aLoanThatComesBack(_ way: Way) throws {
    let store = ScriptedStore(filled(1, 8192))
    let cache = try PageCache(
      .init(memoryLimit: 2 << 20, folioOrders: 0...0, maximumAtomicLength: 1 << 16, readAheadLength: 0))
    let file = try store.open(in: cache, way == .writeBack ? .writeBack : .writeThrough)
    let other = try cache.open(store: ScriptedStore(filled(2, 4 << 20)))
    try file.sync()
    _ = try file.read(fromAbsoluteOffset: 4096, count: 1)
    let (isLent, ends, once) = (Moment(), Moment(), Once())
    let borrower = StagedThread("borrower") {
      try file.withBytes(atAbsoluteOffset: 4096, count: 1) { _ in
        isLent.come()
        ends.wait()
      }
    }
    isLent.wait()
    store.before { call in
      guard case .read = call, once.isFirst() else { return nil }
      ends.come()
      #expect(throws: Never.self) {
        try borrower.value()
        try file.advise(.dontNeed, 4096..<8192)
        for page in 0..<1024 { _ = try other.read(fromAbsoluteOffset: Int64(page) << 12, count: 1) }
      }
      return nil
    }
    try way.change(file)
    #expect(!once.isFirst(), "the first page was not read")
    var model = BytesModel(bytes: filled(1, 8192))
    if way == .punch || way == .zero { model.zero(4000..<4200) } else { model.write(filled(7, 200), at: 4000) }
    try expectBytes(contents(file), model.bytes, "the file has bytes of another one")
    try file.sync()
    expectBytes(store.durable, model.bytes, "the store has been given bytes of another file")
    try file.close()
  }
}
