#if RaceLaboratory
  import PageCache

  /// One way in which the start of a generated program differs from the plain one: a file of two cached pages,
  /// write-through.
  struct Feature: Sendable {
    let name: String
    /// Of several in one group a program has one at most.
    let group: String
    let apply: @Sendable (inout Start) -> Void

    init(_ name: String, _ group: String, _ apply: @escaping @Sendable (inout Start) -> Void) {
      self.name = name
      self.group = group
      self.apply = apply
    }

    static func named(_ name: String) -> Feature? { all.first { $0.name == name } }

    /// In the order in which they are applied.
    static let all: [Feature] = [
      Feature("size24", "size") { $0.sizes[0] = 24 },
      Feature("size256", "size") { $0.sizes[0] = 256 },
      Feature("size264", "size") { $0.sizes[0] = 264 },
      Feature("size768", "size") { $0.sizes[0] = 768 },
      Feature("back", "durability") { $0.durability = .writeBack },
      Feature("twin", "twin") { $0.hasTwin = true },
      Feature("cold", "cached") { $0.cached[0] = [] },
      Feature("first", "cached") { $0.cached[0] = [0] },
      Feature("hole", "holes") {
        $0.holes[0] = [0]
        $0.cached[0] = ($0.cached[0] ?? Array(0..<($0.sizes[0] + 255) / 256)).filter { $0 != 0 }
      },
      Feature("holeSecond", "holes") {
        $0.holes[0] = [1]
        $0.cached[0] = ($0.cached[0] ?? Array(0..<($0.sizes[0] + 255) / 256)).filter { $0 != 1 }
      },
      Feature("knownHole", "holes") {
        $0.holes[0] = [0]
        $0.before.append(.read(0, 8))
      },
      Feature("order01", "orders") { $0.orders = 0...1 },
      Feature("order11", "orders") { $0.orders = 1...1 },
      Feature("bits2", "versions") { $0.versionBits = 2 },
      Feature("unfenced", "fences") { $0.usesMembarrier = false },
      Feature("lone", "store") { $0.readsOnCaller = true },
      Feature("tight", "frames") { $0.callsAtOnce = 1 },
      Feature("ahead", "ahead") { $0.readAhead = 512 },
      Feature("apart", "sharing") { $0.sharesStorage = false },
      Feature("dirty", "dirty") { $0.before.append(.write(16, bytes(60, 8))) },
      Feature("dirtyEnd", "dirtyEnd") { $0.before.append(.append(bytes(61, 8))) },
      Feature("dirtyBeyond", "dirtyEnd") { $0.before.append(.write($0.sizes[0] + 256, bytes(59, 8))) },
      Feature("held", "held") {
        $0.before += [
          .write(0, bytes(62, 8), file: 1), .point(file: 1), .heldWrite(24, bytes(63, 8)), .point(file: 0),
        ]
      },
      Feature("aged", "aged") { $0.before.append(.age(0)) },
      Feature("lent", "lent") { $0.isLent = true },
      Feature("badRead", "failures") { $0.failingReads = 1 },
      Feature("badWrite", "failures") { $0.failingWrites = 1 },
      Feature("badFlush", "failures") { $0.failingFlushes = 1 },
      Feature("badChange", "failures") { $0.failingChanges = 1 },
      Feature("badSecondRead", "failures") {
        $0.failingReads = 1
        $0.sparedFailures = 1
      },
      Feature("badSecondWrite", "failures") {
        $0.failingWrites = 1
        $0.sparedFailures = 1
      },
      Feature("badSecondFlush", "failures") {
        $0.failingFlushes = 1
        $0.sparedFailures = 1
      },
    ]

    /// The starts that every pair of letters is tried from.
    static let plain: [[String]] = [
      [], ["back"], ["cold"], ["back", "dirty"], ["hole"], ["order01"], ["twin"], ["size24"], ["lent"],
      ["back", "dirtyEnd"], ["size264", "back"], ["order11"], ["badFlush"], ["back", "badWrite"],
      ["back", "held"], ["tight", "cold"], ["lone", "first"],
    ]

    /// ... and every letter beside its companions.
    static let plainOfTriples: [[String]] = [[], ["back"], ["cold"], ["back", "dirty"], ["back", "held"]]
  }
#endif
