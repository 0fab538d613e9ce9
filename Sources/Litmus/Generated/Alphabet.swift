#if RaceLaboratory
  /// What generated programs are spelled with. A letter is one or a few acts of a thread, on files of two or three
  /// pages of 256 bytes each.
  struct Letter: Sendable {
    /// What the acts of a letter depend on.
    struct Place {
      /// Bytes of the first file before the threads start.
      let size: Int
      /// Of what is written: no other letter of the program has it.
      let byte: UInt8

      /// Bytes to write.
      func bytes(_ count: Int) -> [UInt8] { Array(repeating: byte, count: count) }
      /// Of the same letter's second write.
      func otherBytes(_ count: Int) -> [UInt8] { Array(repeating: byte + 100, count: count) }
      /// Some bytes on both sides of the end of the file.
      var end: Range<Int> { size - 8..<size + 8 }
    }

    let name: String
    let acts: @Sendable (Place) -> [Act]

    init(_ name: String, _ acts: @escaping @Sendable (Place) -> [Act]) {
      self.name = name
      self.acts = acts
    }

    init(_ name: String, _ act: Act) { self.init(name) { _ in [act] } }

    static func named(_ name: String) -> Letter? { all.first { $0.name == name } }

    /// The alphabet, in groups of which each is drawn from as often as the others.
    static let groups: [[Letter]] = [reading, writing, zeroing, resizing, sharing, storing, reclaiming]
    static let all: [Letter] = groups.joined() + telling

    /// Two threads beside which every letter is tried.
    static let companions: [[[String]]] = [
      [["borrow"], ["evictReuse"]], [["borrow"], ["moveReuse"]], [["write"], ["sync"]], [["append"], ["sync"]],
      [["read"], ["evictSecond"]], [["write", "send"], ["receive", "sync"]],
      [["heldPoint"], ["sync", "reached"]],
      [["sync"], ["syncOther", "sync"]],
    ]

    private static let reading: [Letter] = [
      Letter("try", .tryRead(8, 16)),
      Letter("tryAcross", .tryRead(248, 16)),
      Letter("tryEnd") { [.tryRead($0.end.lowerBound, 16)] },
      Letter("read", .read(8, 16)),
      Letter("readSecond", .read(256, 16)),
      Letter("readAcross", .read(248, 16)),
      Letter("readEnd") { [.read($0.end.lowerBound, 16)] },
      Letter("array", .readArray(8, 16)),
      Letter("arrayAcross", .readArray(248, 16)),
      Letter("arrayEnd") { [.readArray($0.end.lowerBound, 16)] },
      Letter("async", .readAsync(8, 16)),
      Letter("asyncAcross", .readAsync(248, 16)),
      Letter("asyncEnd") { [.readAsync($0.end.lowerBound, 16)] },
      Letter("asyncArrayEnd") { [.readArrayAsync($0.end.lowerBound, 16)] },
      Letter("many", .readMany(0, 8, 256, 8)),
      Letter("manyEnd") { [.readMany($0.end.lowerBound, 16, 0, 8)] },
      Letter("borrow", .borrow(0, 8)),
      Letter("borrowSecond", .borrow(256, 8)),
      Letter("borrowAcross", .borrow(248, 16)),
      Letter("borrowEnd") { [.borrow($0.end.lowerBound, 16)] },
      Letter("tryFar", .tryRead(1280, 16)),
      Letter("readOther", .read(0, 8, file: 1)),
      Letter("size", .size()),
      Letter("sizeRead") { [.size(), .tryRead($0.end.lowerBound, 16)] },
      Letter("readTwice", { _ in [.tryRead(8, 16), .tryRead(8, 16)] }),
      Letter("reopen", .reopen()),
    ]

    private static let writing: [Letter] = [
      Letter("write") { [.write(8, $0.bytes(8))] },
      Letter("writeTwice") { [.write(8, $0.bytes(8)), .write(16, $0.bytes(8))] },
      Letter("writePage") { [.write(0, $0.bytes(256))] },
      Letter("writeSecond") { [.write(256, $0.bytes(8))] },
      Letter("writeAcross") { [.write(248, $0.bytes(16))] },
      Letter("writeEnd") { [.write($0.end.lowerBound, $0.bytes(16))] },
      Letter("writeBeyond") { [.write($0.size + 264, $0.bytes(8))] },
      Letter("writeFar") { [.write(1280, $0.bytes(16))] },
      Letter("writeOften") { place in
        (0..<4).map { .write(0, Array(repeating: place.byte + 40 * UInt8($0), count: 16)) }
      },
      Letter("append") { [.append($0.bytes(8))] },
      Letter("writeOther") { [.write(0, $0.bytes(8), file: 1)] },
    ]

    private static let zeroing: [Letter] = [
      Letter("punch", .punch(8..<24)),
      Letter("punchMost", .punch(8..<248)),
      Letter("punchPage", .punch(0..<256)),
      Letter("punchAcross", .punch(248..<264)),
      Letter("punchEnd") { [.punch($0.end)] },
      Letter("zero", .zero(8..<24)),
      Letter("zeroPage", .zero(0..<256)),
      Letter("zeroAcross", .zero(248..<264)),
      Letter("zeroEnd") { [.zero($0.end)] },
      Letter("zeroGrowing") { [.zero($0.end, growing: true)] },
      Letter("zeroBeyond") { [.zero($0.size + 256..<$0.size + 264, growing: true)] },
    ]

    private static let resizing: [Letter] = [
      Letter("cut") { [.resize($0.size - 8)] },
      Letter("cutPage") { [.resize(max(8, $0.size - 256))] },
      Letter("grow") { [.resize($0.size + 8)] },
      Letter("growPage") { [.resize($0.size + 256)] },
      Letter("cutGrow") { [.resize($0.size - 8), .resize($0.size)] },
      Letter("cutWrite") { [.resize($0.size - 16), .write($0.size - 8, $0.bytes(8))] },
      Letter("cutAppend") { [.resize($0.size - 8), .append($0.bytes(8))] },
      Letter("cutPageGrow") { [.resize(max(8, $0.size - 256)), .resize($0.size)] },
    ]

    /// What moves bytes, or has other files' bytes.
    private static let sharing: [Letter] = [
      Letter("collapse", .collapse(0..<256)),
      Letter("insert", .insert(0..<256)),
      Letter("insertSecond", .insert(256..<512)),
      Letter("clone", .clone(0..<256, of: 1, to: 0, file: 0)),
      Letter("cloneEnd") { [.clone(0..<256, of: 1, to: ($0.size + 255) / 256 * 256, file: 0)] },
      Letter("cloneAway", .clone(0..<256, of: 0, to: 0, file: 1)),
      Letter("cloneWithin", .clone(0..<256, of: 0, to: 256, file: 0)),
      Letter("cloneSome", .clone(8..<16, of: 1, to: 16, file: 0)),
      Letter("exchange", .exchange(0..<256, with: 1, at: 0, file: 0)),
      Letter("exchangeWithin", .exchange(0..<256, with: 0, at: 256, file: 0)),
      Letter("dedupe", .dedupe(0..<256, with: 1, at: 0, file: 0)),
      Letter(
        "cloneDedupe",
        { _ in
          [.clone(0..<256, of: 0, to: 0, file: 1), .dedupe(0..<256, with: 1, at: 0, file: 0)]
        }),
    ]

    private static let storing: [Letter] = [
      Letter("sync", .sync()),
      Letter("syncTwice", { _ in [.sync(), .sync()] }),
      Letter("syncOther", .sync(file: 1)),
      Letter("flush", .flush(0..<16)),
      Letter("flushEnd") { [.flush($0.end)] },
      Letter("seek", .seekData(0)),
      Letter("seekEnd") { [.seekData(max(0, $0.size - 256))] },
      Letter("invalidate", .invalidate()),
      Letter("held") {
        [.write(0, $0.bytes(8), file: 1), .point(file: 1), .heldWrite(8, $0.otherBytes(8))]
      },
      Letter("cycle", .cycle(file: 0)),
      Letter("cycleHeld") {
        [.write(0, $0.bytes(8), file: 1), .cycle(file: 1), .point(file: 1), .heldWrite(8, $0.otherBytes(8))]
      },
      Letter("reached", .reached),
      Letter("heldPoint") {
        [
          .write(0, $0.bytes(8), file: 1), .point(file: 1), .heldWrite(8, $0.otherBytes(8)), .point(file: 0), .reached,
        ]
      },
      Letter("heldBoth") {
        [
          .write(0, $0.bytes(8), file: 1), .point(file: 1), .heldWrite(8, $0.otherBytes(8)), .point(file: 0),
          .heldWrite(16, Array(repeating: $0.byte + 140, count: 8), file: 1),
        ]
      },
      Letter("point") { [.write(0, $0.bytes(8), file: 1), .point(file: 1), .reached] },
    ]

    private static let reclaiming: [Letter] = [
      Letter("evict", .evict(0)),
      Letter("evictSecond", .evict(1)),
      Letter("evictSecondReuse", { _ in [.evict(1), .reclaim, .read(0, 8, file: 1)] }),
      Letter("evictReuse", { _ in [.evict(0), .reclaim, .read(0, 8, file: 1)] }),
      Letter("move", .move(0)),
      Letter("moveReuse", { _ in [.move(0), .reclaim, .read(0, 8, file: 1)] }),
      Letter("age", .age(0)),
    ]

    /// From one thread to another.
    private static let telling: [Letter] = [
      Letter("send", .send),
      Letter("receive", .receive),
    ]
  }

  extension Act {
    /// The numbers of the files that it is about.
    var files: [Int] {
      switch self {
      case .read(_, _, let file), .tryRead(_, _, let file), .readArray(_, _, let file),
        .readAsync(_, _, let file), .readArrayAsync(_, _, let file), .cycle(let file),
        .readMany(_, _, _, _, let file), .size(let file), .borrow(_, _, let file), .referencedRead(_, _, let file),
        .write(_, _, let file), .heldWrite(_, _, let file), .append(_, let file), .punch(_, let file),
        .zero(_, _, let file), .resize(_, let file), .collapse(_, let file), .insert(_, let file), .sync(let file),
        .syncDurable(_, _, let file), .flush(_, let file), .seekData(_, let file), .reopen(let file),
        .point(let file),
        .evict(_, let file), .age(_, let file), .move(_, let file), .invalidate(let file):
        [file]
      case .clone(_, let other, _, let file), .exchange(_, let other, _, let file), .dedupe(_, let other, _, let file):
        [file, other]
      case .reached, .send, .receive, .reclaim: []
      }
    }

    /// Whether it leaves files and their stores as they are.
    var onlyReads: Bool {
      switch self {
      case .read, .tryRead, .readArray, .readAsync, .readArrayAsync, .readMany, .size, .borrow, .referencedRead,
        .reopen, .seekData, .point, .reached,
        .send, .receive, .age, .reclaim:
        true
      default: false
      }
    }
  }
#endif
